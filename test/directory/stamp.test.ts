import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HybridClock, STAMP_MAX, stampOf } from "../../src/directory/stamp.ts";

const START_MS = Date.UTC(2027, 0, 1);

function clockAt(wallMs: number, skewMaxMs = 60_000): { wall: { ms: number }; stamps: HybridClock } {
  const wall = { ms: wallMs };
  return { wall, stamps: new HybridClock({ wallTime: () => wall.ms }, skewMaxMs) };
}

describe("hybrid clock", () => {
  test("stamps follow the wall clock", () => {
    const { wall, stamps } = clockAt(START_MS);
    expect(stamps.next()).toBe(stampOf(START_MS));
    wall.ms += 5;
    expect(stamps.next()).toBe(stampOf(START_MS + 5));
  });

  test("stamps never repeat or go back, whatever the wall clock does", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: -100_000, max: 100_000 })), (jumps) => {
      const { wall, stamps } = clockAt(START_MS);
      let last = stamps.next();
      for (const jump of jumps) {
        wall.ms += jump;
        const next = stamps.next();
        expect(next).toBeGreaterThan(last);
        last = next;
      }
    }));
  });

  test("a stamp given after a peer's was observed is later, though this clock is behind", () => {
    const ahead = clockAt(START_MS + 30_000);
    const behind = clockAt(START_MS);
    const theirs = ahead.stamps.next();
    behind.stamps.observe(theirs);
    expect(behind.stamps.next()).toBeGreaterThan(theirs);
  });

  test("a stamp too far ahead does not advance the clock", () => {
    const { stamps } = clockAt(START_MS, 60_000);
    stamps.observe(stampOf(START_MS + 60_001));
    stamps.observe(STAMP_MAX);
    expect(stamps.next()).toBe(stampOf(START_MS));
    stamps.observe(stampOf(START_MS + 60_000));
    expect(stamps.next()).toBe(stampOf(START_MS + 60_000) + 1);
  });

  test("more stamps than fit one millisecond are still safe integers in order", () => {
    const { stamps } = clockAt(START_MS);
    let last = 0;
    for (let count = 0; count < 10_000; count++) {
      const next = stamps.next();
      expect(next > last && Number.isSafeInteger(next)).toBe(true);
      last = next;
    }
  });
});
