/**
 * `npm run bench -- idle`: what connections cost that do nothing, at a node and at the runtime's own bare
 * server. For Node. Options:
 *   --runtimes LIST     default `bun,deno,node`
 *   --connections N     default 10,000, for each of the two servers
 */
import { loadavg } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Runtime } from "../../test/support/runtimes.ts";
import { runtimesNamed, wholeNumber } from "../support/arguments.ts";
import { markdownTable } from "../support/numbers.ts";
import {
  type Provenance,
  provenance,
  ranOn,
  readResults,
  writeResults,
  writeSection,
} from "../support/results.ts";
import { type Contender, CONTENDERS, type Idle, measureIdle, type Plan } from "./trial.ts";

const NAME = "idle";

interface RuntimeResult extends Provenance {
  readonly runtime: Runtime;
  readonly plan: Plan;
  /** Processes that wanted to run before it began, mean of a minute. */
  readonly loadBefore: number;
  readonly idle: Readonly<Record<Contender, Idle>>;
}

const { values } = parseArgs({
  options: {
    runtimes: { type: "string", default: "bun,deno,node" },
    connections: { type: "string", default: "10000" },
  },
});
// One whole interval of pings.
const plan: Plan = { connections: wholeNumber("--connections", values.connections), idleMs: 30_000 };
const earlier = (readResults(NAME) ?? []) as RuntimeResult[];
const results = new Map(earlier.map((result) => [result.runtime, result]));

for (const runtime of runtimesNamed("--runtimes", values.runtimes)) {
  const [loadBefore = 0] = loadavg();
  const idle = await measureIdle(runtime, plan);
  results.set(runtime, { runtime, ...provenance(), plan, loadBefore, idle });
  const all = [...results.values()];
  process.stdout.write(`\n${table(all)}\n`);
  writeResults(NAME, all);
  writeSection(NAME, paper(all));
}

function table(all: readonly RuntimeResult[]): string {
  const head = ["runtime", "server", "resident bytes", "heap bytes", "CPU ms in 10 s"];
  const rows = all.flatMap(({ runtime, idle }) =>
    CONTENDERS.map((name) => {
      const { residentBytes, heapBytes, cpuMsIn10Seconds } = idle[name];
      const cells = [residentBytes, heapBytes, cpuMsIn10Seconds].map((value) => `${Math.round(value)}`);
      return [runtime, name, ...cells];
    })
  );
  return markdownTable(head, rows, 2);
}

function paper(all: readonly RuntimeResult[]): string {
  const runs = all.map((result) => {
    const clients = `${result.plan.connections} connections`;
    const load = `load before ${result.loadBefore.toFixed(1)}`;
    return `- ${result.runtime}: ${ranOn(result, [result.runtime])}; ${clients}; ${load}`;
  });
  const seconds = plan.idleMs / 1_000;
  return `## Idle connections

${plan.connections} clients that say nothing, at one node of this library, and as many at a server of the
runtime's own WebSockets (ws on Node, \`Bun.serve\`, \`Deno.serve\`) that only keeps them in a Map. Bytes a
connection, more than the same process had before they came, after a collection; resident memory also holds
what connecting left behind. Processor time in ten of ${seconds} seconds, in which both ping every client once
(bare ws on Node never does).

${table(all)}

${runs.join("\n")}`;
}
