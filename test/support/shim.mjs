/**
 * What `bun:test` gives, for Deno and Node: describe, test, hooks and `expect`. Each test becomes one flat test
 * of the runtime's own runner under its full name, so names and semantics are the same on both.
 * Only what the three runtimes share is here: no mocks, spies, fake timers or snapshots.
 *
 * With FLOTILLA_TEST_RESULTS set, each test's start and end is appended to that file as a line of JSON.
 */
import { appendFileSync } from "node:fs";
import process from "node:process";
import { expect } from "expect";

/** A test without a timeout of its own may take this long. */
const TEST_TIMEOUT_MS = Number(process.env.FLOTILLA_TEST_TIMEOUT_MS ?? 5_000);

const resultsFile = process.env.FLOTILLA_TEST_RESULTS;
const record = (line) => {
  if (resultsFile) appendFileSync(resultsFile, JSON.stringify(line) + "\n");
};

const onDeno = typeof globalThis.Deno !== "undefined";
const nodeTest = onDeno ? undefined : (await import("node:test")).test;

/** Hands one flat test to the runtime's runner. */
function handOver(name, skip, run) {
  if (!onDeno) return void nodeTest(name, { skip }, () => run());
  Deno.test({
    name,
    ignore: skip,
    sanitizeOps: false,
    sanitizeResources: false,
    sanitizeExit: false,
    fn: () => run(),
  });
}

const newScope = (name, parent, skip) => ({
  name,
  parent,
  skip,
  beforeAll: [],
  afterAll: [],
  beforeEach: [],
  afterEach: [],
  /** Tests of this scope and the scopes in it that have not ended. */
  remaining: 0,
  opened: undefined,
});
const root = newScope("", undefined, false);
let current = root;

/** `scope` and what encloses it, innermost first. */
function chainOf(scope) {
  const chain = [];
  for (let at = scope; at !== undefined; at = at.parent) chain.push(at);
  return chain;
}

async function withTimeout(what, timeoutMs, action) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([Promise.resolve().then(action), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function runHooks(hooks, what) {
  for (const { fn, timeoutMs } of hooks) await withTimeout(what, timeoutMs, fn);
}

async function runLeaf(scope, timeoutMs, fn) {
  const inwards = chainOf(scope).reverse();
  const outwards = chainOf(scope);
  const failures = [];
  const attempt = async (action) => {
    try {
      await action();
    } catch (thrown) {
      failures.push(thrown);
    }
  };
  await attempt(async () => {
    for (const each of inwards) await (each.opened ??= runHooks(each.beforeAll, "beforeAll"));
    for (const each of inwards) await runHooks(each.beforeEach, "beforeEach");
    await withTimeout("the test", timeoutMs, fn);
  });
  for (const each of outwards) await attempt(() => runHooks(each.afterEach, "afterEach"));
  for (const each of outwards) {
    if (--each.remaining === 0) await attempt(() => runHooks(each.afterAll, "afterAll"));
  }
  if (failures.length > 0) throw failures[0];
}

function addTest(name, fn, options, skip) {
  const scope = current;
  const path = chainOf(scope).reverse().slice(1).map((each) => each.name);
  const full = [...path, name].join(" > ");
  const timeoutMs = (typeof options === "number" ? options : options?.timeout) ?? TEST_TIMEOUT_MS;
  if (skip || scope.skip) {
    record({ event: "end", name: full, outcome: "skipped", ms: 0 });
    return handOver(full, true, () => {});
  }
  for (const each of chainOf(scope)) each.remaining++;
  handOver(full, false, async () => {
    record({ event: "start", name: full });
    const started = performance.now();
    try {
      await runLeaf(scope, timeoutMs, fn);
      record({ event: "end", name: full, outcome: "passed", ms: performance.now() - started });
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
      record({ event: "end", name: full, outcome: "failed", ms: performance.now() - started, error });
      throw thrown;
    }
  });
}

function addScope(name, body, skip) {
  current = newScope(name, current, skip || current.skip);
  try {
    if (body() instanceof Promise) throw new Error(`describe(${JSON.stringify(name)}) must not be async`);
  } finally {
    current = current.parent;
  }
}

/** The name of one row of a table: `%s %i %d %f` take the row's values in order, `$key` a field, `%#` the index. */
function rowName(template, row, index) {
  const values = Array.isArray(row) ? [...row] : [row];
  const first = values[0];
  return template.replace(/%([sdif#%])|\$(\w+)/g, (whole, format, key) => {
    if (key !== undefined) {
      return typeof first === "object" && first !== null && key in first ? String(first[key]) : whole;
    }
    if (format === "%") return "%";
    if (format === "#") return String(index);
    if (values.length === 0) return whole;
    const value = values.shift();
    return format === "i" ? String(Math.trunc(Number(value))) : String(value);
  });
}

const eachOf = (add) => (rows) => (name, fn, options) => {
  rows.forEach((row, index) => {
    const values = Array.isArray(row) ? row : [row];
    add(rowName(name, row, index), () => fn(...values), options);
  });
};

const makeTest = (skip) => {
  const add = (name, fn, options) => addTest(name, fn, options, skip);
  return Object.assign(add, { each: eachOf(add) });
};
const makeDescribe = (skip) => {
  const add = (name, body) => addScope(name, body, skip);
  return Object.assign(add, { each: eachOf(add) });
};

export const test = Object.assign(makeTest(false), {
  skip: makeTest(true),
  skipIf: (condition) => makeTest(Boolean(condition)),
});
export const it = test;
export const describe = Object.assign(makeDescribe(false), {
  skip: makeDescribe(true),
  skipIf: (condition) => makeDescribe(Boolean(condition)),
});

const hook = (kind) => (fn, timeoutMs = TEST_TIMEOUT_MS) => void current[kind].push({ fn, timeoutMs });
export const beforeAll = hook("beforeAll");
export const afterAll = hook("afterAll");
export const beforeEach = hook("beforeEach");
export const afterEach = hook("afterEach");
export { expect };
