/**
 * `npm run bench -- registrations`: how fast one of three nodes registers connections until every node knows
 * them, and what a million routes weigh. For Node. Options:
 *   --clusters LIST     `bun,deno,node,node>bun>deno`: runtimes of the three nodes (default: these four)
 *   --rounds N          measured rounds (default 3), after one that is not counted
 *   --connections N     registered in a round (default 200,000)
 *   --routes N          of the heaviest run (default 1,000,000)
 *   --profile FOLDER    rounds only, with CPU profiles of all nodes, and nothing kept
 */
import { loadavg } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { runtimesNamed } from "../support/arguments.ts";
import { provenance, ranOn, readResults, writeResults, writeSection } from "../support/results.ts";
import { makeFolder, printProfiles } from "../support/start.ts";
import { wholeNumber } from "../support/arguments.ts";
import { aims, type ClusterResult, millionTable, ratesTable } from "./summary.ts";
import { million, type Round, rounds, type ThreeRuntimes } from "./trial.ts";

const NAME = "registrations";
const WARM_UP_ROUNDS = 1;

const { values } = parseArgs({
  options: {
    clusters: { type: "string", default: "bun,deno,node,node>bun>deno" },
    rounds: { type: "string", default: "3" },
    connections: { type: "string", default: "200000" },
    routes: { type: "string", default: "1000000" },
    profile: { type: "string" },
  },
});
const connections = wholeNumber("--connections", values.connections);
const roundsWanted = wholeNumber("--rounds", values.rounds);
const routes = wholeNumber("--routes", values.routes);
const clusters = values.clusters.split(",").map((cluster) => {
  const [first, second = first, third = second] = runtimesNamed("--clusters", cluster, ">");
  return [first, second, third] as ThreeRuntimes;
});
const earlier = (readResults(NAME) ?? []) as ClusterResult[];
const results = new Map(earlier.map((result) => [result.name, result]));
if (values.profile !== undefined) makeFolder(values.profile);

for (const runtimes of clusters) {
  const [first, ...others] = runtimes;
  const name = new Set(runtimes).size === 1 ? first : `${first} > ${others.join(", ")}`;
  const heard = ({ register, unregister }: Round): void => {
    const [up, down] = [register, unregister].map(({ perSecond }) => Math.round(perSecond));
    say(`${name}: ${up} registrations/s, ${down} unregistrations/s`);
  };
  const [loadBefore = 0] = loadavg();
  const done = await rounds(runtimes, connections, WARM_UP_ROUNDS + roundsWanted, heard, values.profile);
  if (values.profile !== undefined) {
    printProfiles(values.profile, `registrations-${runtimes.join("-")}`);
    continue;
  }
  const weighed = await million(runtimes, routes);
  results.set(name, {
    name,
    runtimes,
    ...provenance(),
    connections,
    loadBefore,
    rounds: done.slice(WARM_UP_ROUNDS),
    million: weighed,
  });
  const all = [...results.values()];
  say(`\n${ratesTable(all)}\n\n${millionTable(all)}\n`);
  writeResults(NAME, all);
  writeSection(NAME, paper(all));
}
if (values.profile === undefined) { for (const line of aims([...results.values()])) say(line); }

function paper(all: readonly ClusterResult[]): string {
  const runs = all.map((result) => {
    const load = `load before ${result.loadBefore.toFixed(1)}`;
    return `- ${result.name}: ${ranOn(result, result.runtimes)}; ${result.connections} connections; ${load}`;
  });
  return `## Registrations

Three nodes in processes of their own, over ws on loopback. The first registers connections as fast as it
can (their sockets take nothing, their ids have 36 characters) and unregisters them again; the clock stops
when all three directories agree. Microseconds are processor time each, at the first node and at each of the
others; bytes are what the first node sends to one of the others for each. Medians of the rounds.

${ratesTable(all)}

Then fresh nodes with ${routes} routes, a third of them each: bytes at each of the three nodes, divided by
all routes, after a collection; also for one connection at its own node (its details, outbox and both
indexes, without a socket) and for one route of another node. In the end the third node leaves: until the
others knew, and the longest time for which that kept one of them from anything else.

${millionTable(all)}

${aims(all).map((line) => `- ${line}`).join("\n")}

${runs.join("\n")}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
