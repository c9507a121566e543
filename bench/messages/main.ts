/**
 * `npm run bench -- messages`: messages between processes, this library beside a bare relay and Socket.IO, in turns
 * within one run, so that a busy machine slows all of them alike. For Node. Options:
 *   --pairs LIST        `bun,deno,node,node>bun,...`: runtimes of sender and owner (default: see PAIRS)
 *   --contenders LIST   default all; the figures of fewer are shown and not kept
 *   --rounds N          measured rounds of each contender (default 5)
 *   --connections N     clients (default 1)
 *   --profile FOLDER    one round of flotilla at full throughput instead, with CPU profiles of sender and owner
 */
import { loadavg } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { startRedis } from "../../test/support/redis.ts";
import type { Runtime } from "../../test/support/runtimes.ts";
import { runtimesNamed, wholeNumber } from "../support/arguments.ts";
import { provenance, readResults, writeResults, writeSection } from "../support/results.ts";
import { CONTENDER_NAMES } from "./contenders.ts";
import { profile } from "./profile.ts";
import { aims, type PairResult, table } from "./summary.ts";
import { type Plan, type Round, Trial } from "./trial.ts";

const NAME = "messages";
const PAIRS = "bun,deno,node,node>bun,bun>node";
const PLAN: Plan = {
  connections: 1,
  payloadBytes: 200,
  window: 256,
  throughputMs: 1_000,
  pacedMessages: 600,
  pacedIntervalMs: 1,
};
/** Rounds for the compilers to warm up; not counted. */
const WARM_UP_ROUNDS = 2;

const { values } = parseArgs({
  options: {
    pairs: { type: "string", default: PAIRS },
    contenders: { type: "string", default: CONTENDER_NAMES.join() },
    rounds: { type: "string", default: "5" },
    connections: { type: "string", default: String(PLAN.connections) },
    profile: { type: "string" },
  },
});
const measuredRounds = wholeNumber("--rounds", values.rounds);
const plan: Plan = { ...PLAN, connections: wholeNumber("--connections", values.connections) };
const pairs = values.pairs.split(",").map((pair) => {
  const [sender, owner = sender] = runtimesNamed("--pairs", pair, ">") as [Runtime, Runtime?];
  return { sender, owner };
});

if (values.profile === undefined) await measure();
else for (const pair of pairs) await profile({ ...pair, plan, folder: values.profile });

async function measure(): Promise<void> {
  await using redis = await startRedis();
  if (redis === undefined) say("redis-server is not installed: without Socket.IO (Debian: redis-server)");
  const names = values.contenders.split(",").filter((name) => redis !== undefined || name !== "socket.io");
  const whole = CONTENDER_NAMES.every((name) => names.includes(name));
  const earlier = (readResults(NAME) ?? []) as PairResult[];
  const results = new Map(earlier.map((each) => [each.pair, each]));
  for (const { sender, owner } of pairs) {
    const pair = sender === owner ? sender : `${sender} > ${owner}`;
    const [loadBefore = 0] = loadavg();
    const rounds = await measurePair(sender, owner, names, redis?.url ?? null);
    results.set(pair, { pair, ...provenance(), plan, loadBefore, rounds });
    say(`\n${table([results.get(pair) as PairResult])}\n`);
    if (!whole) continue;
    writeResults(NAME, [...results.values()]);
    writeSection(NAME, paper([...results.values()]));
  }
  for (const line of aims([...results.values()])) say(line);
  if (!whole) say("not kept: not all contenders ran");
}

async function measurePair(
  sender: Runtime,
  owner: Runtime,
  names: readonly string[],
  redisUrl: string | null,
): Promise<Record<string, Round[]>> {
  await using started = new AsyncDisposableStack();
  const trials = new Map<string, Trial>();
  for (const contender of names) {
    trials.set(
      contender,
      started.use(await Trial.start({ contender, sender, owner, plan, setup: { redisUrl } })),
    );
  }
  const rounds: Record<string, Round[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let number = -WARM_UP_ROUNDS; number < measuredRounds; number++) {
    for (const [name, trial] of trials) {
      const round = await trial.round();
      if (number >= 0) rounds[name]?.push(round);
      const speed = `${Math.round(round.messagesPerSecond)} messages/s`;
      say(`${sender} > ${owner}, ${name}${number < 0 ? " (warming up)" : ""}: ${speed}`);
    }
  }
  return rounds;
}

function paper(results: readonly PairResult[]): string {
  const { payloadBytes, window, pacedIntervalMs } = PLAN;
  const runs = results.map(({ pair, commit, date, versions, machine, plan, loadBefore }) => {
    const on = [...new Set(pair.split(" > "))].map((name) => `${name} ${versions[name as Runtime]}`).join(
      ", ",
    );
    const clients = plan.connections === 1 ? "1 client" : `${plan.connections} clients`;
    const others = loadBefore === undefined ? "" : `, others' load ${loadBefore.toFixed(1)}`;
    return `- ${pair}: ${on}; ${clients}; ${commit}, ${date.slice(0, 16)}Z, ${machine}${others}`;
  });
  return `## Messages between nodes

Three processes on loopback: a sender, the owner of the clients' WebSockets, and the clients (always on Bun).
${payloadBytes} bytes a message, each with its answer; ${window} calls outstanding for the throughput, one call every
${pacedIntervalMs} ms for the latencies. Arrival: from the call at the sender to the client; answer: from the call to
its answer. Microseconds are processor time a message. Contenders take turns; medians of the rounds, ratios of rounds
side by side. Other work on the machine harms Socket.IO most, which needs most processes. The relay is the least one could write by hand for servers that never fail (\`bench/messages/relay.ts\`).

${table(results)}

${aims(results).map((line) => `- ${line}`).join("\n")}

${runs.join("\n")}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
