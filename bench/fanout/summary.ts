/** What the rounds come to, as a table and aims. */
import { markdownTable, medianOf, medianRatio, met, rounded } from "../support/numbers.ts";
import type { Provenance } from "../support/results.ts";
import type { Runtime } from "../../test/support/runtimes.ts";
import { type Contender, CONTENDERS, type Plan, type Round } from "./trial.ts";

export interface RuntimeResult extends Provenance {
  readonly runtime: Runtime;
  readonly plan: Plan;
  /** Processes that wanted to run before it began, mean of a minute. */
  readonly loadBefore: number;
  /** By connections addressed, then by contender; round n of each ran beside round n of the other. */
  readonly rounds: Readonly<Record<string, Readonly<Record<Contender, readonly Round[]>>>>;
}

/** Of what the runtime's own sockets take in a bare loop. */
export const BARE_SHARE_AIM = 0.8;

const speed = ({ deliveriesPerSecond }: Round): number => deliveriesPerSecond;

export function table(results: readonly RuntimeResult[]): string {
  const rows = results.flatMap(({ runtime, rounds }) =>
    Object.entries(rounds).flatMap(([addressed, byContender]) =>
      CONTENDERS.map((name) => {
        const own = byContender[name];
        const us = (role: keyof Round["cpuUs"]): string =>
          rounded(medianOf(own, ({ cpuUs }) => cpuUs[role]), 1).toFixed(1);
        return [
          runtime,
          addressed,
          name,
          `${Math.round(medianOf(own, speed) / 100) * 100}`,
          medianRatio(own, byContender.bare, speed).toFixed(2),
          name === "bare" ? "–" : us("sender"),
          us("owner"),
          us("clients"),
        ];
      })
    )
  );
  const head = [
    "runtime",
    "connections",
    "contender",
    "deliveries/s",
    "of bare",
    "sender µs",
    "owner µs",
    "clients µs",
  ];
  return markdownTable(head, rows, 3);
}

export function aims(results: readonly RuntimeResult[]): string[] {
  return results.flatMap(({ runtime, rounds }) =>
    Object.entries(rounds).map(([addressed, { flotilla, bare }]) => {
      const share = medianRatio(flotilla, bare, speed);
      const what = `${runtime}: to ${addressed} connections ${share.toFixed(2)} of the bare loop`;
      return `${what}, aim ${BARE_SHARE_AIM}: ${met(share >= BARE_SHARE_AIM)}`;
    })
  );
}
