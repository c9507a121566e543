import { describe, expect, test } from "bun:test";
import { systemClock } from "../../src/lib/clock.ts";

describe("the system's clock", () => {
  test("fires a timer of 0 in a later turn, and not when it was cancelled, also without setImmediate", async () => {
    const { setImmediate } = globalThis;
    const fired: string[] = [];
    for (const [name, immediate] of [["with", setImmediate], ["without", undefined]] as const) {
      Object.assign(globalThis, { setImmediate: immediate });
      try {
        systemClock.timer(0, () => void fired.push(`${name}, cancelled`)).cancel();
        const later = new Promise<void>((resolve) => void systemClock.timer(0, resolve));
        fired.push(`${name}, now`);
        await later;
        fired.push(`${name}, later`);
      } finally {
        Object.assign(globalThis, { setImmediate });
      }
    }
    expect(fired).toEqual(["with, now", "with, later", "without, now", "without, later"]);
  });
});
