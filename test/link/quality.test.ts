import { describe, expect, test } from "bun:test";
import { FadingCount, type LinkObservation, LossMeter, scoreLink } from "../../src/link/quality.ts";

const NEAR: LinkObservation = { latencyMs: 5, variationMs: 1, loss: 0, flaps: 0, sameHost: false };

describe("the score of a link", () => {
  test("is higher on the same host, and lower for delay, variation, loss and interruptions", () => {
    const near = scoreLink(NEAR);
    expect(scoreLink({ ...NEAR, sameHost: true })).toBe(near + 5);
    expect(scoreLink({ ...NEAR, latencyMs: 50 })).toBeLessThan(near - 10);
    expect(scoreLink({ ...NEAR, variationMs: 20 })).toBeLessThan(near - 10);
    expect(scoreLink({ ...NEAR, loss: 0.1 })).toBeLessThan(near - 10);
    expect(scoreLink({ ...NEAR, flaps: 1 })).toBeLessThan(near - 10);
  });

  test("stays from 1 to 100 whatever is observed, so that a link that works is better than none", () => {
    const worst = { latencyMs: 100_000, variationMs: 100_000, loss: 1, flaps: 1_000, sameHost: false };
    expect(scoreLink(worst)).toBe(1);
    expect(scoreLink({ ...NEAR, latencyMs: 0, variationMs: 0, sameHost: true })).toBe(100);
    expect(scoreLink({ ...NEAR, latencyMs: undefined })).toBe(scoreLink(NEAR));
  });

  test("recovers: interruptions fade by halves, and losses are outweighed by what arrives", () => {
    const flaps = new FadingCount(1_000);
    flaps.add(0);
    flaps.add(0);
    expect([flaps.read(0), flaps.read(1_000), flaps.read(2_000)]).toEqual([2, 1, 0.5]);
    const loss = new LossMeter();
    for (let packet = 0; packet < 500; packet++) loss.settled(packet % 10 === 0);
    expect(loss.share).toBeGreaterThan(0.05);
    for (let packet = 0; packet < 500; packet++) loss.settled(false);
    expect(loss.share).toBeLessThan(0.001);
  });
});
