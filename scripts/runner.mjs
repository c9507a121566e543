/**
 * Runs test files on the three runtimes, one process a file and runtime, so that neither a hang nor a crash
 * reaches another file. Used by test.mjs and verify.mjs.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { root, runtimes } from "./install.mjs";
import { readJunit } from "./junit.mjs";

/** Files at a time, and of those that start processes of their own. In `npm test` more, since much of a test is waiting. */
const PROCESSORS = Math.min(2, availableParallelism());
const JOBS = { reduced: PROCESSORS + 1, full: PROCESSORS };
const MIXED_JOBS = { reduced: 2, full: 1 };
/** A test without a timeout of its own may take this long, here; a test alone has 5 s. */
export const TEST_TIMEOUT_MS = 20_000;
/** A file that takes longer is ended and fails by name. */
const FILE_TIMEOUT_MS = { reduced: 180_000, full: 1_200_000 };
/** The same for files that orchestrate processes; one of them takes an hour in full. */
const MIXED_TIMEOUT_MS = { reduced: 180_000, full: 4_200_000 };
/** Node would compile everything anew for each file: a quarter of its processor time. */
const COMPILE_CACHE = join(root, "node_modules", ".cache", "node");
/** What is kept of a process's output, in characters. */
const OUTPUT_CHARS_MAX = 64_000;
/** How long a killed process's pipes may stay open. */
const PIPES_CLOSE_MS = 2_000;

const groups = new Set();

function killGroup(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Already gone.
  }
}

/** Ends everything that is running, then this process, when a signal asks for it. */
export function stopOnSignals() {
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]]) {
    process.on(signal, () => {
      for (const pid of groups) killGroup(pid);
      process.exit(code);
    });
  }
}

/** Every test file, as paths from the root with forward slashes, sorted. */
export function testFiles() {
  const found = [];
  const walk = (folder) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (entry.name.endsWith(".test.ts")) found.push(path);
    }
  };
  walk("test");
  return found.sort();
}

/** A file that orchestrates all runtimes itself: runs once, under Node, with nothing beside it. */
export const isMixed = (file) => file.endsWith(".mixed.test.ts");

function commandFor(runtime, file, junitFile) {
  if (runtime === "bun") {
    const report = ["--reporter=junit", `--reporter-outfile=${junitFile}`];
    return ["test", `--timeout=${TEST_TIMEOUT_MS}`, ...report, `./${file}`];
  }
  if (runtime === "deno") return ["test", "-A", "--no-check", "--quiet", `./${file}`];
  const flags = ["--disable-warning=ExperimentalWarning", "--test-force-exit", "--test-reporter=spec"];
  return ["--import", "./test/support/register.mjs", ...flags, `./${file}`];
}

function readTests(runtime, folder) {
  try {
    if (runtime === "bun") return readJunit(readFileSync(join(folder, "junit.xml"), "utf8"));
    const lines = readFileSync(join(folder, "results.jsonl"), "utf8").split("\n").filter(Boolean).map(
      JSON.parse,
    );
    const tests = lines.filter((line) => line.event === "end");
    const ended = new Set(tests.map((each) => each.name));
    for (const { event, name } of lines) {
      if (event !== "start" || ended.has(name)) continue;
      tests.push({ name, outcome: "failed", ms: 0, error: "started and never ended" });
    }
    return tests;
  } catch {
    return [];
  }
}

/** What the process said, without the lines of tests that passed. */
function complaints(output) {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  return plain.split("\n").filter((line) => !/^\(pass\)|^✔ | \.\.\. ok /.test(line)).join("\n").trim();
}

/**
 * Runs one file on one runtime. Resolves with
 * `{ file, runtime, ms, tests: [{ name, outcome, ms, error? }], problem: string | undefined, output }`;
 * `problem` is what went wrong outside the tests: a hang, a crash, nothing ran.
 */
async function runFile({ file, runtime }, { full, env }) {
  const folder = mkdtempSync(join(tmpdir(), "flotilla-test-"));
  const limit = (isMixed(file) ? MIXED_TIMEOUT_MS : FILE_TIMEOUT_MS)[full ? "full" : "reduced"];
  const started = performance.now();
  const child = spawn(runtimes[runtime].command, commandFor(runtime, file, join(folder, "junit.xml")), {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      NO_COLOR: "1",
      PATH: `${join(root, "node_modules", ".bin")}:${process.env.PATH ?? ""}`,
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      FLOTILLA_TEST_RESULTS: join(folder, "results.jsonl"),
      FLOTILLA_TEST_TIMEOUT_MS: String(TEST_TIMEOUT_MS),
      FLOTILLA_FULL: full ? "1" : "0",
      ...env,
    },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text) => output = (output + text).slice(-OUTPUT_CHARS_MAX));
  }
  if (child.pid !== undefined) groups.add(child.pid);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    killGroup(child.pid);
  }, limit);
  const closed = new Promise((resolve) => child.on("close", resolve));
  const ended = await new Promise((resolve) => {
    child.on("error", (error) => resolve({ error }));
    child.on("exit", (code, signal) => resolve({ code, signal }));
  });
  clearTimeout(timer);
  if (child.pid !== undefined) {
    // What the file started and left behind is in its group.
    killGroup(child.pid);
    groups.delete(child.pid);
    let late;
    await Promise.race([closed, new Promise((resolve) => late = setTimeout(resolve, PIPES_CLOSE_MS))]);
    clearTimeout(late);
  }
  const tests = readTests(runtime, folder);
  rmSync(folder, { recursive: true, force: true });
  const failed = tests.some((each) => each.outcome === "failed");
  let problem;
  if (timedOut) problem = `ended after ${limit / 1000} s`;
  else if (ended.error) problem = `did not start: ${ended.error.message}`;
  else if (ended.code !== 0 && !failed) problem = `exited with ${ended.code ?? ended.signal}, no test failed`;
  else if (tests.length === 0) problem = "no test ran";
  return { file, runtime, ms: performance.now() - started, tests, problem, output: complaints(output) };
}

/** Runs `files` on `names` of runtimes; `onFile` hears each result. Mixed files come last, fewer at a time. */
export async function runFiles(files, names, { full = false, env = {}, onFile = () => {} } = {}) {
  const results = [];
  const drain = async (queue) => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const result = await runFile(next, { full, env });
      results.push(result);
      onFile(result);
    }
  };
  const units = files.filter((file) => !isMixed(file)).flatMap((file) =>
    names.map((runtime) => ({ file, runtime }))
  );
  const counts = full ? "full" : "reduced";
  await Promise.all(Array.from({ length: JOBS[counts] }, () => drain(units)));
  const mixed = files.filter(isMixed).map((file) => ({ file, runtime: "node" }));
  await Promise.all(Array.from({ length: MIXED_JOBS[counts] }, () => drain(mixed)));
  return results;
}
