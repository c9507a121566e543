import { describe, expect, test } from "bun:test";
import { report } from "../../support/measure.ts";
import { scale } from "../../support/scale.ts";
import { type Upheaval, upheave } from "./upheaval.ts";

const SEEDS: number = scale(1, 120);
const DISKS = ["all", "none", "some"] as const;

function plan(seed: number, reckless: boolean): Upheaval {
  const disks = DISKS[seed % 3] as Upheaval["disks"];
  return { seed, nodes: 3 + (seed * 7) % 5, disks, counted: seed % 4 === 0, reckless, harms: 12 };
}

describe("under upheaval", () => {
  for (const reckless of [false, true]) {
    const name = reckless
      ? "storages lost in any number: one cluster at a time, one leader a term, and it serves again"
      : "storages lost one at a time: nothing acknowledged is lost, and the cluster serves again";
    test(
      name,
      async () => {
        const tally = { virtualMs: 0, writes: 0, clusters: 0, longestHealMs: 0 };
        for (let seed = 1; seed <= SEEDS; seed++) {
          const outcome = await upheave(plan(seed, reckless));
          tally.virtualMs += outcome.virtualMs;
          tally.writes += outcome.writes;
          tally.clusters += outcome.clusters;
          tally.longestHealMs = Math.max(tally.longestHealMs, outcome.longestHealMs);
        }
        expect(tally.writes).toBeGreaterThan(100 * SEEDS);
        report(`upheaval, ${reckless ? "reckless" : "careful"}`, { seeds: SEEDS, ...tally });
      },
      scale(60_000, 1_500_000),
    );
  }
});
