/** What the rounds of one pair of runtimes come to, and how that compares. */
import { median, rounded } from "../support/numbers.ts";
import type { Provenance } from "../support/results.ts";
import type { Plan, Round } from "./trial.ts";

/** All rounds of all contenders between two runtimes; round n of each ran beside round n of the others. */
export interface PairResult extends Provenance {
  /** `bun`, or `node > bun` for a sender on Node and an owner on Bun. */
  readonly pair: string;
  readonly plan: Plan;
  /** Processes that wanted to run while no contender did yet, mean of the minute before; others' then. */
  readonly loadBefore?: number;
  readonly rounds: Readonly<Record<string, readonly Round[]>>;
}

/** This library must reach `RELAY_SHARE` of the relay or `SOCKET_IO_TIMES` Socket.IO, whichever is lower. */
export const RELAY_SHARE = 0.8;
export const SOCKET_IO_TIMES = 10;
/** And its median arrival may take this many times the relay's. */
export const LATENCY_TIMES = 1.3;

const HEAD = [
  "sender > owner",
  "contender",
  "messages/s",
  "of relay",
  "× Socket.IO",
  "arrival p50 ms",
  "p99 ms",
  "× relay's p50",
  "answer p50 ms",
  "sender µs",
  "owner µs",
];

/** A Markdown table, one row for each contender of each pair. */
export function table(results: readonly PairResult[]): string {
  const rows = results.flatMap((result) => Object.keys(result.rounds).map((name) => row(result, name)));
  return [HEAD, HEAD.map((_, index) => index < 2 ? "---" : "---:"), ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function row({ pair, rounds }: PairResult, name: string): string[] {
  const own = rounds[name] ?? [];
  const middle = (of: (round: Round) => number, digits: number): string => show(median(own.map(of)), digits);
  const speed = (round: Round): number => round.messagesPerSecond;
  const arrival = (round: Round): number => round.paced.arrivalMsP50;
  return [
    pair,
    name,
    Math.round(median(own.map(speed)) / 100) * 100 + "",
    show(ratio(own, rounds["relay"], speed), 2),
    show(ratio(own, rounds["socket.io"], speed), 1),
    middle(arrival, 2),
    middle((round) => round.paced.arrivalMsP99, 2),
    show(ratio(own, rounds["relay"], arrival), 2),
    middle((round) => round.paced.answerMsP50, 2),
    middle((round) => round.cpuUs.sender, 1),
    middle((round) => round.cpuUs.owner, 1),
  ];
}

/** The median of the ratios of rounds that ran beside each other. */
function ratio(own: readonly Round[], other: readonly Round[] = [], of: (round: Round) => number): number {
  return median(own.flatMap((round, index) => {
    const beside = other[index];
    return beside === undefined ? [] : [of(round) / of(beside)];
  }));
}

function show(value: number, digits: number): string {
  return Number.isNaN(value) ? "–" : rounded(value, digits).toFixed(digits);
}

/** One line for each aim of each pair: met or missed, by how much. */
export function aims(results: readonly PairResult[]): string[] {
  return results.flatMap(({ pair, rounds }) => {
    const own = rounds["flotilla"] ?? [];
    const speed = (round: Round): number => round.messagesPerSecond;
    const ofRelay = ratio(own, rounds["relay"], speed);
    const socketIoOfRelay = ratio(rounds["socket.io"] ?? [], rounds["relay"], speed);
    const aim = Math.min(
      RELAY_SHARE,
      Number.isNaN(socketIoOfRelay) ? Infinity : SOCKET_IO_TIMES * socketIoOfRelay,
    );
    const times = ratio(own, rounds["relay"], (round) => round.paced.arrivalMsP50);
    if (Number.isNaN(ofRelay)) return [];
    return [
      `${pair}: throughput ${show(ofRelay, 2)} of the relay, aim ${show(aim, 2)}: ${met(ofRelay >= aim)}`,
      `${pair}: p50 ${show(times, 2)} × the relay's, aim ${LATENCY_TIMES}: ${met(times <= LATENCY_TIMES)}`,
    ];
  });
}

function met(yes: boolean): string {
  return yes ? "met" : "missed";
}
