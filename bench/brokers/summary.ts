/** What the rounds on one runtime come to, and how that compares. */
import type { Runtime } from "../../test/support/runtimes.ts";
import type { Round } from "../messages/trial.ts";
import { median, rounded } from "../support/numbers.ts";
import type { Provenance } from "../support/results.ts";

export interface BrokerRound extends Round {
  readonly streamMibPerSecond: number | null;
}

/** Round n of each contender ran beside round n of the others. */
export interface BrokerResult extends Provenance {
  readonly runtime: Runtime;
  readonly loadBefore: number;
  readonly rounds: Readonly<Record<string, readonly BrokerRound[]>>;
}

/** This library must reach `RAW_SHARE` of the raw line or `SOCKET_IO_TIMES` Socket.IO, whichever is lower. */
const RAW_SHARE = 0.8;
const SOCKET_IO_TIMES = 5;
const SOCKET_IO = "socket.io redis";
/** What each of this library's is held against. */
const RAW: Readonly<Record<string, string>> = {
  "redis": "raw redis",
  "redis unsealed": "raw redis",
  "redis by HTTP": "raw redis",
  "socket.io redis": "raw redis",
  "socket.io redis streams": "raw redis",
  "rabbitmq": "raw rabbitmq",
  "rabbitmq by WebSocket": "raw rabbitmq",
  "hybrid": "raw rabbitmq",
};
/** Those that aims are for: the other ways lead through a server of this repository's own. */
const AIMED: readonly string[] = ["redis", "redis unsealed", "rabbitmq", "hybrid"];

const HEAD = [
  "runtime",
  "contender",
  "messages/s",
  "of raw",
  "× Socket.IO",
  "arrival p50 ms",
  "p99 ms",
  "packets, load / pace",
  "bytes, load / pace",
  "stream MiB/s",
];

export function table(results: readonly BrokerResult[]): string {
  const rows = results.flatMap((result) => Object.keys(result.rounds).map((name) => row(result, name)));
  return [HEAD, HEAD.map((_, index) => index < 2 ? "---" : "---:"), ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function row({ runtime, rounds }: BrokerResult, name: string): string[] {
  const own = rounds[name] ?? [];
  const middle = (of: (round: BrokerRound) => number): number => median(own.map(of));
  const wire = (of: "packets" | "bytes", digits: number): string =>
    own[0]?.wire == null ? "–" : (["full", "paced"] as const)
      .map((when) => show(middle(({ wire: each }) => each?.[when][of] ?? NaN), digits)).join(" / ");
  return [
    runtime,
    name,
    String(Math.round(middle(speedOf) / 100) * 100),
    show(ratio(own, rounds[RAW[name] ?? ""]), 2),
    show(ratio(own, rounds[SOCKET_IO]), 1),
    show(middle(({ paced }) => paced.arrivalMsP50), 2),
    show(middle(({ paced }) => paced.arrivalMsP99), 2),
    wire("packets", 2),
    wire("bytes", 0),
    show(middle(({ streamMibPerSecond }) => streamMibPerSecond ?? NaN), 0),
  ];
}

const speedOf = (round: BrokerRound): number => round.messagesPerSecond;

/** The median of the ratios of rounds that ran beside each other. */
function ratio(own: readonly BrokerRound[], other: readonly BrokerRound[] = []): number {
  return median(own.flatMap((round, index) => {
    const beside = other[index];
    return beside === undefined ? [] : [speedOf(round) / speedOf(beside)];
  }));
}

function show(value: number, digits: number): string {
  return Number.isNaN(value) ? "–" : rounded(value, digits).toFixed(digits);
}

/** One line for each aim: met or missed, by how much. */
export function aims(results: readonly BrokerResult[]): string[] {
  return results.flatMap(({ runtime, rounds }) =>
    AIMED.flatMap((name) => {
      const raw = rounds[RAW[name] ?? ""];
      const reached = ratio(rounds[name] ?? [], raw);
      if (Number.isNaN(reached)) return [];
      const socketIo = ratio(rounds[SOCKET_IO] ?? [], raw);
      const aim = Math.min(RAW_SHARE, Number.isNaN(socketIo) ? Infinity : SOCKET_IO_TIMES * socketIo);
      const met = reached >= aim ? "met" : "missed";
      return [`${runtime}: ${name} ${show(reached, 2)} of raw, aim ${show(aim, 2)}: ${met}`];
    })
  );
}
