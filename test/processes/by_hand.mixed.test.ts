import { describe, expect, test } from "bun:test";
import { runChild } from "../support/child.ts";
import { commandFor, ROOT, RUNTIMES } from "../support/runtimes.ts";

describe("the parts wired by hand", () => {
  test.each([...RUNTIMES])("do the same on %s as createCluster does", async (runtime) => {
    const { code, output } = await runChild(...commandFor(runtime, `${ROOT}/examples/by_hand.ts`), {
      timeoutMs: 30_000,
    });
    expect(output).toContain("alice heard: hello from a");
    expect(output).toMatch(/to backend from b:.*\{\s*["']backend["'](:| =>) ["']delivered["'],?\s*\}/s);
    expect(output).toContain("alice is on: b");
    expect(output).toContain("the leader is a and the topic: flotillas");
    expect(code).toBe(0);
  });
});
