/**
 * `npm run bench -- streams`: streams between processes, this library beside a bare relay, in turns within one run.
 * For Node. Options:
 *   --pairs LIST        `bun,node>bun,...`: runtimes of source and owner (default: all nine)
 *   --bytes N           of each stream (default 1 GiB; a multiple of 8 MiB)
 *   --rounds N          measured rounds of each delivery (default 3)
 *   --parts LIST        of `throughput,latency,memory` (default all; the figures of fewer are shown and not kept)
 *   --lines LIST        of chunks, framed, message, chunks sealed, relay; likewise
 *   --profile FOLDER    one stream of each line instead, with CPU profiles of source and owner
 */
import { loadavg } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { type Runtime, RUNTIMES } from "../../test/support/runtimes.ts";
import { runtimesNamed, wholeNumber } from "../support/arguments.ts";
import { provenance, ranOn, readResults, writeResults, writeSection } from "../support/results.ts";
import { makeFolder, printProfiles } from "../support/start.ts";
import { CHUNK_BYTES, type Contender, MESSAGE_BYTES } from "./contract.ts";
import type { Reception } from "./process.ts";
import {
  aims,
  latencyTable,
  type Line,
  LINES,
  MEMORY_CASES,
  type MemoryCase,
  memoryTable,
  type PairResult,
  throughputTable,
} from "./summary.ts";
import { type Growth, type Round, Trial } from "./trial.ts";

const NAME = "streams";
/** Rounds for the compilers to warm up; not counted. */
const WARM_UP_ROUNDS = 1;
const MESSAGE_EVERY_MS = 2;
const PARTS = ["throughput", "latency", "memory"] as const;

interface Pair {
  readonly source: Runtime;
  readonly owner: Runtime;
}

const { values } = parseArgs({
  options: {
    pairs: {
      type: "string",
      default: RUNTIMES.flatMap((source) => RUNTIMES.map((owner) => `${source}>${owner}`)).join(),
    },
    bytes: { type: "string", default: String(1_073_741_824) },
    rounds: { type: "string", default: "3" },
    parts: { type: "string", default: PARTS.join() },
    lines: { type: "string", default: LINES.map(({ name }) => name).join() },
    profile: { type: "string" },
  },
});
const bytes = wholeNumber("--bytes", values.bytes);
if (bytes % MESSAGE_BYTES !== 0) throw new Error(`--bytes ${bytes}: must be a multiple of ${MESSAGE_BYTES}`);
const roundsWanted = wholeNumber("--rounds", values.rounds);
const lines = LINES.filter(({ name }) => values.lines.split(",").includes(name));
const parts = PARTS.filter((part) => values.parts.split(",").includes(part));
const whole = lines.length === LINES.length && parts.length === PARTS.length;
const pairs = values.pairs.split(",").map((pair): Pair => {
  const [source, owner = source] = runtimesNamed("--pairs", pair, ">");
  return { source: source as Runtime, owner: owner as Runtime };
});

if (values.profile === undefined) await measureAll();
else for (const pair of pairs) await profile(pair, values.profile);

async function measureAll(): Promise<void> {
  const earlier = (readResults(NAME) ?? []) as PairResult[];
  const results = new Map(earlier.map((each) => [each.pair, each]));
  const now: PairResult[] = [];
  for (const { source, owner } of pairs) {
    const pair = source === owner ? source : `${source} > ${owner}`;
    const [loadBefore = 0] = loadavg();
    const measured = await measure({ source, owner });
    const growth = parts.includes("memory") ? await measureMemory({ source, owner }) : {};
    const result: PairResult = { pair, ...provenance(), bytes, loadBefore, ...measured, growth };
    results.set(pair, result);
    now.push(result);
    say(`\n${throughputTable([result])}\n\n${latencyTable([result])}\n\n${memoryTable([result])}\n`);
    if (!whole) continue;
    writeResults(NAME, [...results.values()]);
    writeSection(NAME, paper([...results.values()]));
  }
  for (const line of aims(now)) say(line);
  if (!whole) say("not kept: not everything was measured");
}

async function measure({ source, owner }: Pair): Promise<Pick<PairResult, "rounds" | "latencies">> {
  await using started = new AsyncDisposableStack();
  const trials = new Map<Contender, Trial>();
  for (const { contender } of lines) {
    if (trials.has(contender)) continue;
    trials.set(contender, started.use(await Trial.start({ contender, source, owner })));
  }
  const of = ({ contender }: Line): Trial => trials.get(contender) as Trial;
  const rounds: Record<string, Round[]> = {};
  const latencies: Record<string, Reception[]> = {};
  for (let number = -WARM_UP_ROUNDS; number < roundsWanted; number++) {
    for (const line of parts.includes("throughput") ? lines : []) {
      const round = await of(line).round({ delivery: line.delivery, bytes });
      if (number >= 0) (rounds[line.name] ??= []).push(round);
      const speed = `${Math.round(round.mibPerSecond)} MiB/s`;
      say(`${source} > ${owner}, ${line.name}${number < 0 ? " (warming up)" : ""}: ${speed}`);
    }
  }
  for (let number = 0; number < roundsWanted; number++) {
    for (const line of parts.includes("latency") ? lines : []) {
      if (line.delivery === "message") continue;
      const order = { delivery: line.delivery, bytes, messageEveryMs: MESSAGE_EVERY_MS };
      const reception = await of(line).latency(order);
      (latencies[line.name] ??= []).push(reception);
      say(`${source} > ${owner}, beside ${line.name}: p99 ${reception.arrivalMsP99.toFixed(2)} ms`);
    }
  }
  return { rounds, latencies };
}

async function measureMemory(pair: Pair): Promise<PairResult["growth"]> {
  const growth: Record<string, Record<"flotilla" | "relay", Growth[]>> = {};
  for (const each of MEMORY_CASES) {
    const own = growth[each.name] = { flotilla: [] as Growth[], relay: [] as Growth[] };
    for (let number = 0; number < roundsWanted; number++) {
      for (const contender of ["flotilla", "relay"] as const) {
        const grown = await growthOf(pair, contender, each);
        own[contender].push(grown);
        const [source, owner] = [grown.source, grown.owner].map((grew) => Math.round(grew / 1_048_576));
        say(`${pair.source} > ${pair.owner}, ${contender}, ${each.name}: ${source} and ${owner} MiB`);
        // Nobody waits a quarter of a minute several times for what hardly varies.
        if (each.stopAfterMs > 0) number = roundsWanted;
      }
    }
  }
  return growth;
}

async function growthOf(pair: Pair, contender: Contender, each: MemoryCase): Promise<Growth> {
  const { delivery, share, streams, bytesPerSecond, stopAfterMs } = each;
  await using trial = await Trial.start({ ...pair, contender, clients: streams, bytesPerSecond });
  const streamBytes = Math.ceil(bytes * share / CHUNK_BYTES) * CHUNK_BYTES;
  // The relay has plain clients only.
  const order = { delivery: contender === "relay" ? "chunks" : delivery, bytes: streamBytes } as const;
  return await trial.growth({ ...order, streams, stopAfterMs });
}

async function profile({ source, owner }: Pair, folder: string): Promise<void> {
  makeFolder(folder);
  for (const { name, contender, delivery } of lines) {
    const into = `${folder}/${name.replace(" ", "-")}`;
    makeFolder(into);
    {
      await using trial = await Trial.start({ contender, source, owner, profileIn: into });
      const { mibPerSecond } = await trial.round({ delivery, bytes });
      say(`${source} > ${owner}, ${name}: ${Math.round(mibPerSecond)} MiB/s under the profiler`);
    }
    printProfiles(into, `streams-${contender}-${source}-${owner}`);
  }
}

function paper(results: readonly PairResult[]): string {
  const runs = results.map((result) => {
    const on = ranOn(result, [...result.pair.split(" > ") as Runtime[], "bun"]);
    const size = `${result.bytes / 1_048_576} MiB a stream`;
    return `- ${result.pair}: ${on}; ${size}; load before ${result.loadBefore.toFixed(1)}`;
  });
  return `## Streams

Three processes on loopback: the source, whose \`ReadableStream\` makes chunks of 64 KiB, the owner of the client's
WebSocket, and the client (a plain socket on Bun that throws the bytes away; for \`framed\` it gives credit as the
SDK does). From the call to its result. \`message\` is in messages of ${
    MESSAGE_BYTES / 1_048_576
  } MiB, one after the
other. The relay (\`bench/streams/relay.ts\`) hands on each chunk as a message over the same kinds of sockets, and
lets the source wait while much is buffered; it names no errors and checks nothing. Milliseconds are processor time
a MiB. Medians of the rounds, ratios of rounds side by side.

${throughputTable(results)}

Small messages routed to the same client every ${MESSAGE_EVERY_MS} ms meanwhile, from the call to their arrival:

${latencyTable(results)}

MiB that a process grew at most (resident memory, fresh processes, from idle), beside the relay's:

${memoryTable(results)}

${aims(results).map((line) => `- ${line}`).join("\n")}

${runs.join("\n")}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
