/**
 * `bun test/raft/run_scripts.ts FILE…` runs interaction scripts of the three kinds (cluster, quorum, confchange;
 * also on Deno and Node): one line a file, `ok` or the first directive that differs, then the counts.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { describeDifference, runScript } from "./scripting/run.ts";

function problemOf(file: string): string | undefined {
  try {
    const difference = runScript(readFileSync(file, "utf8"));
    return difference && describeDifference(difference);
  } catch (thrown) {
    return thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
  }
}

const files = process.argv.slice(2);
let failed = 0;
for (const file of files) {
  const problem = problemOf(file);
  if (problem !== undefined) failed++;
  process.stdout.write(`${file}: ${problem ?? "ok"}\n`);
}
process.stdout.write(`${files.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 || files.length === 0 ? 1 : 0;
