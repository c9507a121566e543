/**
 * `npm run bench -- fanout`: one message to many connections of another node, beside a bare loop over the
 * sockets of the same runtime, in turns. For Node. Options:
 *   --runtimes LIST     default `bun,deno,node`
 *   --rounds N          measured rounds (default 3)
 *   --connections N     connected clients, and addressed by the larger batches (default 10,000)
 *   --profile FOLDER    one round of the larger batches of flotilla, with CPU profiles, and nothing kept
 */
import { loadavg } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Runtime } from "../../test/support/runtimes.ts";
import { runtimesNamed, wholeNumber } from "../support/arguments.ts";
import { provenance, ranOn, readResults, writeResults, writeSection } from "../support/results.ts";
import { makeFolder, printProfiles } from "../support/start.ts";
import { aims, type RuntimeResult, table } from "./summary.ts";
import { type Contender, CONTENDERS, type Plan, type Round, Trial } from "./trial.ts";

const NAME = "fanout";
/** Rounds for the compilers to warm up; not counted. */
const WARM_UP_ROUNDS = 1;
const PROFILED_MS = 5_000;
const SMALLER_BATCH = 1_000;

const { values } = parseArgs({
  options: {
    runtimes: { type: "string", default: "bun,deno,node" },
    rounds: { type: "string", default: "3" },
    connections: { type: "string", default: "10000" },
    profile: { type: "string" },
  },
});
const roundsWanted = wholeNumber("--rounds", values.rounds);
const connections = wholeNumber("--connections", values.connections);
const runtimes = runtimesNamed("--runtimes", values.runtimes);
const plan: Plan = {
  connections,
  payloadBytes: 200,
  addressed: [Math.min(SMALLER_BATCH, connections), connections],
  window: 4,
  ms: 1_500,
};
if (values.profile === undefined) await measureAll();
else for (const runtime of runtimes) await profile(runtime, values.profile);

async function measureAll(): Promise<void> {
  const earlier = (readResults(NAME) ?? []) as RuntimeResult[];
  const results = new Map(earlier.map((result) => [result.runtime, result]));
  for (const runtime of runtimes) {
    const [loadBefore = 0] = loadavg();
    const rounds = await measure(runtime);
    results.set(runtime, { runtime, ...provenance(), plan, loadBefore, rounds });
    const all = [...results.values()];
    say(`\n${table(all)}\n`);
    writeResults(NAME, all);
    writeSection(NAME, paper(all));
  }
  for (const line of aims([...results.values()])) say(line);
}

async function measure(runtime: Runtime): Promise<RuntimeResult["rounds"]> {
  await using started = new AsyncDisposableStack();
  const trials = new Map<Contender, Trial>();
  for (const contender of CONTENDERS) {
    const trial = await Trial.start({ contender, runtime, plan, profileIn: undefined });
    trials.set(contender, started.use(trial));
  }
  const all: Record<string, Record<Contender, Round[]>> = {};
  for (const addressed of plan.addressed) {
    const rounds = all[addressed] = { flotilla: [], bare: [] } as Record<Contender, Round[]>;
    for (let number = -WARM_UP_ROUNDS; number < roundsWanted; number++) {
      for (const [contender, trial] of trials) {
        const round = await trial.round(addressed);
        if (number >= 0) rounds[contender].push(round);
        const speed = `${Math.round(round.deliveriesPerSecond)} deliveries/s to ${addressed}`;
        say(`${runtime}, ${contender}${number < 0 ? " (warming up)" : ""}: ${speed}`);
      }
    }
  }
  return all;
}

async function profile(runtime: Runtime, folder: string): Promise<void> {
  makeFolder(folder);
  {
    const busy = { ...plan, ms: PROFILED_MS };
    await using trial = await Trial.start({ contender: "flotilla", runtime, plan: busy, profileIn: folder });
    const { deliveriesPerSecond } = await trial.round(connections);
    say(`${runtime}: ${Math.round(deliveriesPerSecond)} deliveries/s under the profiler`);
  }
  printProfiles(folder, `fanout-${runtime}`);
}

function paper(all: readonly RuntimeResult[]): string {
  const { payloadBytes, window } = plan;
  const runs = all.map((result) => {
    const load = `load before ${result.loadBefore.toFixed(1)}`;
    return `- ${result.runtime}: ${ranOn(result, [result.runtime, "bun"])}; ${load}`;
  });
  return `## Fan-out

One message of ${payloadBytes} bytes to many connections in one call (\`routeMessages\`): a sender, the
owner of ${connections} clients' WebSockets, and the clients (plain sockets on Bun that count messages), in
processes of their own on loopback; ${window} calls outstanding. The bare loop sends to its own
${connections} clients from inside the server, with the runtime's own WebSockets (ws on Node, \`Bun.serve\`,
\`Deno.serve\`), answers nobody, and waits only until its last socket has taken all. Deliveries a second:
from the first call to the last arrival. Microseconds are processor time a delivery. Medians of the rounds,
ratios of rounds side by side. One connection: see Messages between nodes.

${table(all)}

${aims(all).map((line) => `- ${line}`).join("\n")}

${runs.join("\n")}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
