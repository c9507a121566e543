/** What the rounds come to, as tables and aims. */
import { markdownTable, medianOf, met, rounded } from "../support/numbers.ts";
import type { Provenance } from "../support/results.ts";
import type { Million, Round, ThreeRuntimes } from "./trial.ts";

export interface ClusterResult extends Provenance {
  /** The runtime of all three, or `node > bun, deno` for a first node on Node. */
  readonly name: string;
  readonly runtimes: ThreeRuntimes;
  readonly connections: number;
  /** Processes that wanted to run before it began, mean of a minute. */
  readonly loadBefore: number;
  readonly rounds: readonly Round[];
  readonly million: Million;
}

/** Registrations a second, known on every node. */
export const PER_SECOND_AIM = 100_000;
/** Bytes of live heap a route at a million routes. */
export const ROUTE_BYTES_AIM = 100;

export function ratesTable(results: readonly ClusterResult[]): string {
  return markdownTable(
    [
      "first node > others",
      "registered/s",
      "owner µs",
      "peer µs",
      "wire bytes",
      "unregistered/s",
      "owner µs",
      "peer µs",
      "wire bytes",
    ],
    results.map(({ name, rounds }) => [
      name,
      ...(["register", "unregister"] as const).flatMap((what) => [
        thousands(medianOf(rounds, (round) => round[what].perSecond)),
        rounded(medianOf(rounds, (round) => round[what].cpuUs.owner), 1).toFixed(1),
        rounded(medianOf(rounds, (round) => round[what].cpuUs.peer), 1).toFixed(1),
        rounded(medianOf(rounds, (round) => round[what].wireBytes), 1).toFixed(1),
      ]),
    ]),
  );
}

export function millionTable(results: readonly ClusterResult[]): string {
  const list = (values: readonly number[]): string => values.map((value) => Math.round(value)).join(" / ");
  return markdownTable(
    [
      "nodes",
      "heap bytes a route",
      "resident bytes a route",
      "an own connection",
      "a route elsewhere",
      "s until all know all",
      "a node left: ms",
      "longest pause ms",
    ],
    results.map(({ name, million }) => [
      name,
      list(million.heapBytes),
      list(million.residentBytes),
      list([million.ownBytes]),
      list([million.remoteBytes]),
      million.seconds.toFixed(1),
      list([million.dropMs]),
      list([million.dropPauseMs]),
    ]),
  );
}

export function aims(results: readonly ClusterResult[]): string[] {
  return results.flatMap(({ name, rounds, million }) => {
    const perSecond = medianOf(rounds, ({ register }) => register.perSecond);
    const worst = Math.max(...million.heapBytes);
    const { remoteBytes } = million;
    const all = `${thousands(perSecond)} registrations/s on every node, aim ${PER_SECOND_AIM}`;
    const bytes = (value: number): string => `${Math.round(value)} bytes of heap`;
    return [
      `${name}: ${all}: ${met(perSecond >= PER_SECOND_AIM)}`,
      `${name}: ${bytes(remoteBytes)} a route of another node, aim ${ROUTE_BYTES_AIM}: ` +
      met(remoteBytes <= ROUTE_BYTES_AIM),
      `${name}: ${bytes(worst)} a route with the own third's sockets and outboxes, aim ${ROUTE_BYTES_AIM}: ` +
      met(worst <= ROUTE_BYTES_AIM),
    ];
  });
}

function thousands(perSecond: number): string {
  return `${Math.round(perSecond / 100) * 100}`;
}
