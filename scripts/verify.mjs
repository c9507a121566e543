/**
 * `npm run verify -- [SCENARIO ...]`: the tests of the named scenarios (all without a name) at full counts.
 * Writes bench/results/verify/SCENARIO.json and exits 1 when one misses.
 *   --runtime NAME       bun, deno or node only (may be repeated)
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { install, root, run, runtimes } from "./install.mjs";
import { installNeeded } from "./needs.mjs";
import { sayFile, sumUp } from "./report.mjs";
import { isMixed, runFiles, stopOnSignals } from "./runner.mjs";
import { scenarios } from "./scenarios.mjs";

stopOnSignals();

function git(...args) {
  try {
    return execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
      .trim();
  } catch {
    return null;
  }
}

async function verify(name, names, versions) {
  const { claim, files } = scenarios[name];
  const absent = files.find((file) => !existsSync(join(root, file)));
  if (absent !== undefined) throw new Error(`scenario ${name}: ${absent} does not exist`);
  const folder = mkdtempSync(join(tmpdir(), "flotilla-verify-"));
  const reportFile = join(folder, "figures.jsonl");
  const date = new Date().toISOString();
  const code = { commit: git("rev-parse", "HEAD"), changed: git("status", "--porcelain") !== "" };
  process.stdout.write(`${name}: ${claim}\n`);
  installNeeded(files);
  const results = await runFiles(files, names, {
    full: true,
    env: { FLOTILLA_REPORT: reportFile },
    onFile: sayFile,
  });
  const figures = existsSync(reportFile)
    ? readFileSync(reportFile, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line))
    : [];
  rmSync(folder, { recursive: true, force: true });
  const expected = files.some((file) => !isMixed(file)) ? names : ["node"];
  const { passed, failed, skipped } = sumUp(results, names, expected);
  const document = {
    scenario: name,
    claim,
    ...code,
    date,
    machine: { cpus: cpus().length, model: cpus()[0]?.model ?? null, memoryBytes: totalmem() },
    runtimes: versions,
    seeds: [...new Set(figures.map((each) => each.figures.seed).filter((seed) => seed !== undefined))],
    passed,
    failed,
    skipped,
    files: results.map(({ file, runtime, ms, tests, problem }) => ({
      file,
      runtime,
      ms: Math.round(ms),
      tests: tests.length,
      failed: tests.filter((each) => each.outcome === "failed").map((each) => each.name),
      problem: problem ?? null,
    })),
    measured: figures,
  };
  mkdirSync(join(root, "bench", "results", "verify"), { recursive: true });
  const path = `bench/results/verify/${name}.json`;
  writeFileSync(join(root, path), JSON.stringify(document, null, 2) + "\n");
  process.stdout.write(`${name}: ${passed} passed, ${failed} failed; written to ${path}\n`);
  return failed;
}

await run(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { runtime: { type: "string", multiple: true, default: Object.keys(runtimes) } },
  });
  const known = Object.keys(scenarios);
  for (const name of positionals) {
    if (!known.includes(name)) throw new Error(`scenario ${name}: must be one of ${known.join(", ")}`);
  }
  for (const name of values.runtime) {
    if (!(name in runtimes)) throw new Error(`--runtime ${name}: must be bun, deno or node`);
  }
  const versions = install();
  let failed = 0;
  for (const name of positionals.length > 0 ? positionals : known) {
    failed += await verify(name, values.runtime, versions);
  }
  return failed === 0 ? 0 : 1;
});
