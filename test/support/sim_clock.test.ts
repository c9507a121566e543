import { describe, expect, test } from "bun:test";
import { sleep } from "../../src/lib/clock.ts";
import { SimClock } from "./sim_clock.ts";

describe("SimClock", () => {
  test("fires timers in the order of their instants, first set first among equal ones", async () => {
    const clock = new SimClock();
    const fired: string[] = [];
    clock.timer(20, () => fired.push(`c at ${clock.now()}`));
    clock.timer(10, () => fired.push(`a at ${clock.now()}`));
    clock.timer(10, () => fired.push(`b at ${clock.now()}`));
    clock.timer(21, () => fired.push("too early"));
    await clock.advance(20);
    expect(fired).toEqual(["a at 10", "b at 10", "c at 20"]);
    expect(clock.now()).toBe(20);
    expect(clock.timers).toBe(1);
  });

  test("lets everything asynchronous settle between two turns, also of one instant", async () => {
    const clock = new SimClock();
    const log: string[] = [];
    clock.timer(5, () => {
      clock.timer(0, () => log.push("next turn"));
      void (async () => {
        for (let hops = 0; hops < 50; hops++) await Promise.resolve();
        log.push("settled");
      })();
    });
    await clock.advance(5);
    expect(log).toEqual(["settled", "next turn"]);
  });

  test("stands still while operations outside of JavaScript are pending", async () => {
    let pending = 0;
    const clock = new SimClock({ pending: () => pending });
    const log: string[] = [];
    clock.timer(1, () => {
      pending++;
      void (async () => {
        for (let round = 0; round < 3; round++) {
          await crypto.subtle.digest("SHA-256", new Uint8Array(100_000));
        }
        log.push(`digested at ${clock.now()}`);
        pending--;
      })();
    });
    clock.timer(2, () => log.push("later"));
    await clock.advance(2);
    expect(log).toEqual(["digested at 1", "later"]);
  });

  test("fires no cancelled timer, neither one cancelled in its own turn", async () => {
    const clock = new SimClock();
    let fired = 0;
    const later = { cancel: () => {} };
    clock.timer(1, () => later.cancel());
    later.cancel = clock.timer(1, () => fired++).cancel;
    const other = clock.timer(2, () => fired++);
    other.cancel();
    other.cancel();
    await clock.advance(10);
    expect(fired).toBe(0);
    expect(clock.timers).toBe(0);
  });

  test("runs until a condition holds and no further, or says that it never held", async () => {
    const clock = new SimClock();
    let done = false;
    void sleep(clock, 300).then(() => done = true);
    await clock.runUntil(() => done, 1_000);
    expect(clock.now()).toBe(300);
    await expect(clock.runUntil(() => !done, 50)).rejects.toThrow("within 50 ms");
    expect(clock.now()).toBe(350);
  });

  test("rejects with what a timer threw", async () => {
    const clock = new SimClock();
    clock.timer(1, () => {
      throw new RangeError("broken timer");
    });
    await expect(clock.advance(1)).rejects.toThrow("broken timer");
  });

  test("gives each view a wall clock of its own over the same monotonic time", async () => {
    const clock = new SimClock({ epochMs: 1_000_000 });
    const ahead = clock.withSkew(60_000);
    await clock.advance(5);
    expect([clock.wallTime(), ahead.wallTime(), ahead.now()]).toEqual([1_000_005, 1_060_005, 5]);
    ahead.skewMs = -5;
    expect(ahead.wallTime()).toBe(1_000_000);
  });

  test("holds the timers of a paused view back and fires them late and in order when it resumes", async () => {
    const clock = new SimClock();
    const stopped = clock.view();
    const log: string[] = [];
    stopped.timer(10, () => log.push(`a at ${clock.now()}`));
    stopped.timer(20, () => log.push(`b at ${clock.now()}`));
    const cancelled = stopped.timer(15, () => log.push("cancelled"));
    stopped.pause();
    clock.timer(10, () => log.push("other node"));
    await clock.advance(100);
    expect(log).toEqual(["other node"]);
    cancelled.cancel();
    stopped.resume();
    await clock.advance(0);
    expect(log).toEqual(["other node", "a at 100", "b at 100"]);
  });

  test("passes through fifty thousand instants and a million timers in a moment", async () => {
    const clock = new SimClock();
    let ticks = 0;
    let fired = 0;
    const tick = (): void => {
      if (++ticks === 50_000) return;
      for (let batch = 0; batch < 20; batch++) clock.timer(1, () => fired++);
      clock.timer(1, tick);
    };
    tick();
    await clock.advance(60_000);
    expect([ticks, fired]).toEqual([50_000, 999_980]);
  });
});
