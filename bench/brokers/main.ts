/**
 * `npm run bench -- brokers`: messages and streams between processes that share a broker, this library beside bare publish
 * and subscribe by the same client libraries and Socket.IO's adapters, in turns within one run. For Node. Options:
 *   --runtimes LIST     of sender and owner (default: bun,deno,node)
 *   --contenders LIST   default all; the figures of fewer are shown and not kept
 *   --rounds N          measured rounds of each contender (default 3)
 */
import { loadavg } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { startUpstashServer } from "../../examples/upstash_server.ts";
import { demandRabbitMq } from "../../test/support/rabbitmq.ts";
import { demandRedis } from "../../test/support/redis.ts";
import { type Runtime, RUNTIMES } from "../../test/support/runtimes.ts";
import { startRelay } from "../../test/support/tcp_relay.ts";
import { BROKER_CONTENDER_NAMES } from "../messages/contenders.ts";
import type { Setup } from "../messages/contract.ts";
import { type Plan, Trial } from "../messages/trial.ts";
import { runtimesNamed, wholeNumber } from "../support/arguments.ts";
import { provenance, ranOn, readResults, writeResults, writeSection } from "../support/results.ts";
import { aims, type BrokerResult, type BrokerRound, table } from "./summary.ts";

const NAME = "brokers";
const PLAN: Plan = {
  connections: 1,
  payloadBytes: 200,
  window: 256,
  throughputMs: 1_000,
  pacedMessages: 300,
  pacedIntervalMs: 1,
};
/** Rounds for the compilers to warm up; not counted. */
const WARM_UP_ROUNDS = 2;
const STREAM_BYTES = 67_108_864;

const { values } = parseArgs({
  options: {
    runtimes: { type: "string", default: RUNTIMES.join() },
    contenders: { type: "string", default: BROKER_CONTENDER_NAMES.join() },
    rounds: { type: "string", default: "3" },
  },
});
const rounds = wholeNumber("--rounds", values.rounds);
const names = values.contenders.split(",");

await using redis = await demandRedis();
await using rabbitMq = await demandRabbitMq();
await using relay = await startRelay(rabbitMq.url);
const http = await startUpstashServer({ port: 0, redis: redis.url, token: "T" });
const setup: Setup = {
  redisUrl: redis.url,
  redisHttpUrl: http.url.replace("//", "//:T@"),
  rabbitMqUrl: rabbitMq.url,
  rabbitMqRelayUrl: relay.url,
};
const earlier = (readResults(NAME) ?? []) as BrokerResult[];
const results = new Map(earlier.map((each) => [each.runtime, each]));
const isWhole = BROKER_CONTENDER_NAMES.every((name) => names.includes(name));
for (const runtime of runtimesNamed("--runtimes", values.runtimes)) {
  const [loadBefore = 0] = loadavg();
  const result = { runtime, ...provenance(), loadBefore, rounds: await measure(runtime) };
  results.set(runtime, result);
  say(`\n${table([result])}\n`);
  if (!isWhole) continue;
  writeResults(NAME, [...results.values()]);
  writeSection(NAME, paper([...results.values()]));
}
for (const line of aims([...results.values()])) say(line);
if (!isWhole) say("not kept: not all contenders ran");
await http.close();

async function measure(runtime: Runtime): Promise<Record<string, BrokerRound[]>> {
  await using started = new AsyncDisposableStack();
  const trials = new Map<string, Trial>();
  for (const contender of names) {
    const options = { contender, sender: runtime, owner: runtime, plan: PLAN, setup };
    trials.set(contender, started.use(await Trial.start(options)));
  }
  const measured: Record<string, BrokerRound[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let number = -WARM_UP_ROUNDS; number < rounds; number++) {
    for (const [name, trial] of trials) {
      const round = await trial.round();
      const streamMibPerSecond = await trial.stream(STREAM_BYTES);
      if (number >= 0) measured[name]?.push({ ...round, streamMibPerSecond });
      const stream = streamMibPerSecond === null ? "" : `, ${Math.round(streamMibPerSecond)} MiB/s`;
      const speed = `${Math.round(round.messagesPerSecond)} messages/s${stream}`;
      say(`${runtime}, ${name}${number < 0 ? " (warming up)" : ""}: ${speed}`);
    }
  }
  return measured;
}

function paper(all: readonly BrokerResult[]): string {
  const runs = all.map((result) =>
    `- ${ranOn(result, [result.runtime])}; load before ${result.loadBefore.toFixed(1)}`
  );
  return `## Messages and streams over brokers

Three processes on loopback: a sender, the owner of the clients' WebSocket, and its client (always on Bun), with one
Redis and one RabbitMQ. ${PLAN.payloadBytes} bytes a message, each with its answer; ${PLAN.window} calls outstanding
for the throughput, one call every ${PLAN.pacedIntervalMs} ms for the latencies; streams of
${
    STREAM_BYTES / 1_048_576
  } MiB in 64 KiB chunks. Raw: bare publish and subscribe by the same client library, the
messages of a turn in one publication. Packets and bytes are what the sender publishes for a message, under load and
at the steady pace. Everything of this library is sealed but where it says so. Contenders take turns; medians of the
rounds, ratios of rounds side by side.

${table(all)}

${aims(all).map((line) => `- ${line}`).join("\n")}

${runs.join("\n")}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
