/** Judges the results of a run and says so: one line a file, failures in full, what differs between runtimes. */
import process from "node:process";
import { differences } from "./differences.mjs";
import { isMixed } from "./runner.mjs";

/** Lines of a failing process's output that are shown. */
const OUTPUT_LINES_MAX = 60;

const say = (line) => process.stdout.write(`${line}\n`);
/** Frames of the shim and of the runtimes, which say nothing about a failure. */
const isNoise = (line) => /^\s+at .*(test\/support\/shim\.mjs|\((node|ext):|at (node|ext):)/.test(line);
const indented = (text) =>
  text.split("\n").filter((line) => !isNoise(line)).map((line) => `      ${line}`.trimEnd()).join("\n");
const count = (tests, outcome) => tests.filter((each) => each.outcome === outcome).length;

/** The line of one file, and its failures right below. */
export function sayFile({ file, runtime, ms, tests, problem, output }) {
  const failed = tests.filter((each) => each.outcome === "failed");
  const fine = failed.length === 0 && problem === undefined;
  const seconds = `${(ms / 1000).toFixed(1)} s`;
  say(`${fine ? "ok  " : "FAIL"} ${runtime.padEnd(4)} ${file}  ${tests.length} tests, ${seconds}`);
  for (const { name, error } of failed) {
    say(`    x ${name}`);
    if (error) say(indented(error));
  }
  if (problem !== undefined) say(`    x (${problem})`);
  const unexplained = problem !== undefined || failed.some((each) => !each.error);
  if (unexplained && output) say(indented(output.split("\n").slice(-OUTPUT_LINES_MAX).join("\n")));
}

const declared = (file, name, runtime) =>
  differences.some((each) =>
    each.file === file && (each.name === "*" || each.name === name) && !each.only.includes(runtime)
  );

/** Test names that a runtime lacks and another has, but for the declared ones. */
export function missingNames(results, names) {
  const missing = [];
  for (const file of new Set(results.map((each) => each.file))) {
    if (isMixed(file)) continue;
    // A failed hook or a crash takes names away; the failure itself is said already.
    const whole = (each) => each.problem === undefined && count(each.tests, "failed") === 0;
    const ran = results.filter((each) => each.file === file && whole(each));
    const all = new Set(ran.flatMap((each) => each.tests.map((test) => test.name)));
    for (const { runtime, tests } of ran) {
      const own = new Set(tests.map((test) => test.name));
      for (const name of all) {
        if (!own.has(name) && !declared(file, name, runtime)) missing.push({ file, runtime, name });
      }
    }
  }
  return missing.filter(({ runtime }) => names.includes(runtime));
}

/** Sums up over all runtimes and says what the single files could not; `{ passed, failed, skipped }`. */
export function sumUp(results, names, expected) {
  const missing = missingNames(results, names);
  for (const { file, runtime, name } of missing) say(`FAIL ${runtime.padEnd(4)} ${file}  lacks: ${name}`);
  const idle = expected.filter((runtime) =>
    !results.some((each) => each.runtime === runtime && each.tests.length > 0)
  );
  for (const runtime of idle) say(`FAIL ${runtime} ran nothing`);
  const total = (outcome) => results.reduce((sum, each) => sum + count(each.tests, outcome), 0);
  const problems = results.filter((each) => each.problem !== undefined).length;
  return {
    passed: total("passed"),
    failed: total("failed") + problems + missing.length + idle.length,
    skipped: total("skipped"),
  };
}
