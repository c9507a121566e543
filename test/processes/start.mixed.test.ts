import { describe, expect, test } from "bun:test";
import { runChild } from "../support/child.ts";
import { commandFor, ROOT } from "../support/runtimes.ts";

/** Only a hang takes longer: it is half a minute of work for two processors that have nothing else to do. */
const LIMIT_MS = 120_000;

async function start(...flags: string[]): Promise<{ code: number | null; output: string }> {
  const [command, args] = commandFor("node", `${ROOT}/examples/start.ts`, ["--once", ...flags]);
  return await runChild(command, args, { timeoutMs: LIMIT_MS });
}

describe("npm start", () => {
  test("shows the cluster and ends with 0 when all of it held", async () => {
    const { code, output } = await start();
    expect(output).toContain("All of it held.");
    expect(code).toBe(0);
  }, LIMIT_MS);

  test("ends with 1 and says what did not hold when a link is blocked", async () => {
    const { code, output } = await start("--block", "deno,node");
    expect(output).toContain("This did not hold: every node is up for every other");
    expect(code).toBe(1);
  });
});
