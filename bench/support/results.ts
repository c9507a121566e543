/** Where figures go: `bench/results/NAME.json` in full, and a section of `bench/RESULTS.md` to read. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { programOf, ROOT, type Runtime } from "../../test/support/runtimes.ts";

const PAPER = `${ROOT}/bench/RESULTS.md`;
const TITLE = "# Figures\n\nWritten by `npm run bench -- NAME`; in full in `bench/results/NAME.json`.\n";

/** What figures depend on besides the code. */
export interface Provenance {
  /** With `+` when files of the library differ from it. */
  readonly commit: string;
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly machine: string;
  readonly versions: Readonly<Record<Runtime, string>>;
}

export function provenance(): Provenance {
  const commit = output("git", ["rev-parse", "--short", "HEAD"]);
  const changed = output("git", ["status", "--porcelain", "mod.ts", "src", "transports"]) !== "";
  const processors = cpus();
  return {
    commit: changed ? `${commit}+` : commit,
    date: new Date().toISOString(),
    machine: `${processors.length} × ${processors[0]?.model ?? "unknown processor"}`,
    versions: {
      bun: output(programOf("bun"), ["--version"]),
      deno: output(programOf("deno"), ["eval", "console.log(Deno.version.deno)"]),
      node: output(programOf("node"), ["--version"]).replace(/^v/, ""),
    },
  };
}

/** One line of it for people: the versions of some runtimes, commit, date, machine. */
export function ranOn({ commit, date, machine, versions }: Provenance, runtimes: readonly Runtime[]): string {
  const on = [...new Set(runtimes)].map((runtime) => `${runtime} ${versions[runtime]}`).join(", ");
  return `${on}; ${commit}, ${date.slice(0, 16)}Z, ${machine}`;
}

function output(command: string, args: readonly string[]): string {
  return (spawnSync(command, args, { cwd: ROOT, encoding: "utf8" }).stdout ?? "").trim();
}

/** The figures of an earlier run; undefined when there are none. */
export function readResults(name: string): unknown {
  const path = `${ROOT}/bench/results/${name}.json`;
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
}

export function writeResults(name: string, results: unknown): void {
  mkdirSync(`${ROOT}/bench/results`, { recursive: true });
  writeFileSync(`${ROOT}/bench/results/${name}.json`, `${JSON.stringify(results, null, 2)}\n`);
}

/** Puts `markdown` in place of what the bench `name` wrote before, else at the end. */
export function writeSection(name: string, markdown: string): void {
  const before = existsSync(PAPER) ? readFileSync(PAPER, "utf8") : TITLE;
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const section = `${begin}\n\n${markdown}\n\n${end}\n`;
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  const after = from < 0 || to < from
    ? `${before}\n${section}`
    : before.slice(0, from) + section + before.slice(to + end.length).trimStart();
  writeFileSync(PAPER, after);
  output(programOf("deno"), ["fmt", "--quiet", PAPER]);
}
