/** What the rounds of one pair of runtimes come to, as tables and aims. */
import { markdownTable, medianOf, medianRatio, met, rounded } from "../support/numbers.ts";
import type { Provenance } from "../support/results.ts";
import type { Contender, Delivery } from "./contract.ts";
import type { Reception } from "./process.ts";
import type { Growth, Round } from "./trial.ts";

/** How a line is called: a delivery, sealed or not, or the relay. */
export interface Line {
  readonly name: string;
  readonly contender: Contender;
  readonly delivery: Delivery;
}

export const LINES: readonly Line[] = [
  { name: "chunks", contender: "flotilla", delivery: "chunks" },
  { name: "framed", contender: "flotilla", delivery: "framed" },
  { name: "message", contender: "flotilla", delivery: "message" },
  { name: "chunks sealed", contender: "sealed", delivery: "chunks" },
  { name: "relay", contender: "relay", delivery: "chunks" },
];

/** One case in which memory is measured. */
export interface MemoryCase {
  readonly name: string;
  readonly delivery: Delivery;
  /** Which part of the bytes each stream has. */
  readonly share: number;
  readonly streams: number;
  /** Of the client; 0 for as fast as it can. */
  readonly bytesPerSecond: number;
  readonly stopAfterMs: number;
}

const FAST = { share: 1, streams: 1, bytesPerSecond: 0, stopAfterMs: 0 } as const;
const SLOW = { share: 1, streams: 1, bytesPerSecond: 5_000_000, stopAfterMs: 15_000 } as const;
export const MEMORY_CASES: readonly MemoryCase[] = [
  { name: "chunks, fast", delivery: "chunks", ...FAST },
  { name: "framed, fast", delivery: "framed", ...FAST },
  { name: "chunks, 5 MB/s", delivery: "chunks", ...SLOW },
  { name: "framed, 5 MB/s", delivery: "framed", ...SLOW },
  { name: "chunks, 100 streams", delivery: "chunks", ...FAST, share: 1 / 100, streams: 100 },
];

/** All rounds between two runtimes; round n of each line ran beside round n of the others. */
export interface PairResult extends Provenance {
  /** `bun`, or `node > bun` for a source on Node and an owner on Bun. */
  readonly pair: string;
  readonly bytes: number;
  /** Processes that wanted to run before it began, mean of a minute. */
  readonly loadBefore: number;
  readonly rounds: Readonly<Record<string, readonly Round[]>>;
  readonly latencies: Readonly<Record<string, readonly Reception[]>>;
  /** Empty where it was not measured. */
  readonly growth: Readonly<Record<string, Readonly<Record<"flotilla" | "relay", readonly Growth[]>>>>;
}

export const RELAY_SHARE_AIM = 0.85;
export const SEALED_SHARE_AIM = 0.5;
export const GROWTH_MIB_AIM = 32;
export const P99_MS_AIM = 20;

const MIB = 1_048_576;
const speed = ({ mibPerSecond }: Round): number => mibPerSecond;

export function throughputTable(results: readonly PairResult[]): string {
  const rows = results.flatMap(({ pair, rounds }) =>
    Object.entries(rounds).map(([name, own]) => {
      const cpu = (role: keyof Round["cpuMs"]): string =>
        shown(medianOf(own, (round) => round.cpuMs[role]), 2);
      const share = medianRatio(own, rounds["relay"] ?? [], speed);
      const speeds = [shown(medianOf(own, speed), 0), shown(share, 2)];
      return [pair, name, ...speeds, cpu("source"), cpu("owner"), cpu("clients")];
    })
  );
  const head = ["source > owner", "delivery", "MiB/s", "of relay", "source ms/MiB", "owner", "client"];
  return markdownTable(head, rows, 2);
}

export function latencyTable(results: readonly PairResult[]): string {
  const rows = results.flatMap(({ pair, latencies }) =>
    Object.entries(latencies).map(([name, own]) => {
      const ms = (of: (reception: Reception) => number): string => shown(medianOf(own, of), 2);
      return [pair, name, ms(({ arrivalMsP50 }) => arrivalMsP50), ms(({ arrivalMsP99 }) => arrivalMsP99)];
    })
  );
  return markdownTable(["source > owner", "beside", "p50 ms", "p99 ms"], rows, 2);
}

export function memoryTable(results: readonly PairResult[]): string {
  const rows = results.flatMap(({ pair, growth }) =>
    Object.entries(growth).map(([name, { flotilla, relay }]) => [
      pair,
      name,
      ...(["source", "owner"] as const).flatMap((role) => {
        const own = medianOf(flotilla, (each) => each[role]) / MIB;
        const other = medianOf(relay, (each) => each[role]) / MIB;
        return [shown(own, 0), shown(other, 0), shown(own - other, 0)];
      }),
    ])
  );
  const head = ["source > owner", "case", "source", "relay's", "beyond", "owner", "relay's", "beyond"];
  return markdownTable(head, rows, 2);
}

/** One line for each aim of each pair: met or missed, by how much. */
export function aims(results: readonly PairResult[]): string[] {
  return results.flatMap((
    result,
  ) => [...throughputAims(result), ...latencyAims(result), ...memoryAims(result)]);
}

function throughputAims({ pair, rounds }: PairResult): string[] {
  const { relay = [], ...others } = rounds;
  return Object.entries(others).map(([name, own]) => {
    const share = medianRatio(own, relay, speed);
    const aim = name.endsWith("sealed") ? SEALED_SHARE_AIM : RELAY_SHARE_AIM;
    return `${pair}: ${name} ${shown(share, 2)} of the relay, aim ${aim}: ${met(share >= aim)}`;
  });
}

function latencyAims({ pair, latencies }: PairResult): string[] {
  return Object.entries(latencies).filter(([name]) => name !== "relay").map(([name, own]) => {
    const ms = medianOf(own, ({ arrivalMsP99 }) => arrivalMsP99);
    const what = `${pair}: p99 beside a stream (${name}) ${shown(ms, 1)} ms`;
    return `${what}, aim ${P99_MS_AIM}: ${met(ms < P99_MS_AIM)}`;
  });
}

function memoryAims({ pair, growth }: PairResult): string[] {
  const one = MEMORY_CASES.filter(({ name, streams }) => streams === 1 && growth[name] !== undefined);
  return one.flatMap(({ name }) =>
    (["source", "owner"] as const).map((role) => {
      const { flotilla = [], relay = [] } = growth[name] ?? {};
      const mib = medianOf(flotilla, (each) => each[role] / MIB) -
        medianOf(relay, (each) => each[role] / MIB);
      const what = `${pair}: ${role}'s memory (${name}) ${shown(mib, 0)} MiB beyond the relay's`;
      return `${what}, aim ${GROWTH_MIB_AIM}: ${met(mib <= GROWTH_MIB_AIM)}`;
    })
  );
}

function shown(value: number, digits: number): string {
  return Number.isNaN(value) ? "–" : rounded(value, digits).toFixed(digits);
}
