import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Deadlines } from "../../src/lib/deadlines.ts";
import { SimClock } from "../support/sim_clock.ts";

describe("many deadlines on one timer", () => {
  test("fire once each, in order, never early and a few milliseconds late at most", async () => {
    const clock = new SimClock();
    const fired: { at: number; now: number }[] = [];
    const deadlines = new Deadlines<number>(clock, (at) => fired.push({ at, now: clock.now() }));
    await clock.advance(3.7);
    for (const delayMs of [50, 10, 10.5, 0, 200, 49]) {
      deadlines.add(clock.now() + delayMs, clock.now() + delayMs);
    }
    expect(clock.timers).toBe(1);
    await clock.advance(300);
    expect(fired.map(({ at }) => at - 3.7)).toEqual([0, 10, 10.5, 49, 50, 200]);
    for (const { at, now } of fired) {
      expect(now).toBeGreaterThanOrEqual(at);
      expect(now - at).toBeLessThanOrEqual(5);
    }
    expect(deadlines.size).toBe(0);
    expect(clock.timers).toBe(0);
  });

  test("do not fire when cancelled, also in great numbers, and cancelling twice is harmless", async () => {
    const clock = new SimClock();
    let fired = 0;
    const deadlines = new Deadlines<number>(clock, () => fired++);
    for (let round = 0; round < 10; round++) {
      const added = Array.from({ length: 2_000 }, (_, index) => deadlines.add(index, clock.now() + 1_000));
      for (const deadline of added.slice(1)) deadlines.cancel(deadline);
      for (const deadline of added.slice(1)) deadlines.cancel(deadline);
      expect(deadlines.size).toBe(round + 1);
    }
    await clock.advance(1_004);
    expect(fired).toBe(10);
    expect(deadlines.size).toBe(0);
    expect(clock.timers).toBe(0);
  });

  test("may add and cancel others while they fire", async () => {
    const clock = new SimClock();
    const fired: string[] = [];
    const deadlines = new Deadlines<string>(clock, (name) => {
      fired.push(name);
      if (name !== "first") return;
      deadlines.cancel(second);
      deadlines.add("later", clock.now() + 20);
      deadlines.add("now", clock.now());
    });
    deadlines.add("first", 10);
    const second = deadlines.add("second", 10);
    await clock.advance(100);
    expect(fired).toEqual(["first", "now", "later"]);
    expect(clock.timers).toBe(0);
  });

  test("that lie further ahead than a timer can wait are waited for all the same", async () => {
    const clock = new SimClock();
    let fired = 0;
    const deadlines = new Deadlines<string>(clock, () => fired++);
    deadlines.add("far", 2 ** 33);
    await clock.advance(2 ** 33 - 10);
    expect(fired).toBe(0);
    await clock.advance(20);
    expect(fired).toBe(1);
  });

  test("all end when stopped, which gives back what waited", async () => {
    const clock = new SimClock();
    const deadlines = new Deadlines<string>(clock, () => {});
    deadlines.add("b", 20);
    deadlines.cancel(deadlines.add("c", 5));
    deadlines.add("a", 10);
    expect(deadlines.stop()).toEqual(["a", "b"]);
    expect(clock.timers).toBe(0);
  });

  test("agree with the plainest model", async () => {
    const step = fc.record({
      delayMs: fc.nat({ max: 100 }),
      cancel: fc.boolean(),
      passMs: fc.nat({ max: 30 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const clock = new SimClock();
        const fired: number[] = [];
        const expected: number[] = [];
        const deadlines = new Deadlines<number>(clock, (index) => fired.push(index));
        for (const [index, { delayMs, cancel, passMs }] of steps.entries()) {
          const deadline = deadlines.add(index, clock.now() + delayMs);
          if (cancel) deadlines.cancel(deadline);
          else expected.push(index);
          await clock.advance(passMs);
        }
        await clock.advance(110);
        expect(fired.sort((a, b) => a - b)).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });
});
