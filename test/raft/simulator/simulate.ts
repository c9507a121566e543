/** One seed from its plan to its verdict. */
import { seededRandom } from "../../../src/lib/random.ts";
import { atHandover, atTurningPoint, startChaos } from "./chaos.ts";
import { type Core, realCore } from "../core.ts";
import { checkLiveness } from "./liveness.ts";
import { startOperator } from "./operator.ts";
import { planFor } from "./plan.ts";
import { World } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  readonly steps: number;
  readonly committed: number;
  /** Whether a quorum could be healed at the end and recovered. */
  readonly recovered: boolean;
  /** The rule that did not hold, or what was thrown; undefined when all is well. */
  readonly failure: string | undefined;
}

/** Runs `seed`; `trace` is told every event. */
export function simulate(seed: number, core: Core = realCore, trace?: (line: string) => void): Outcome {
  const random = seededRandom(seed);
  const plan = planFor(random);
  trace?.(JSON.stringify(plan));
  const world = new World(plan, random, core, trace);
  let recovered = false, failure: string | undefined;
  try {
    world.hooks = {
      ...world.hooks,
      turningPoint: (machine) => atTurningPoint(world, machine),
      handedOver: (machine) => atHandover(world, machine),
    };
    startChaos(world, plan.chaosMs);
    startOperator(world, plan.chaosMs);
    world.runUntil(plan.chaosMs);
    recovered = checkLiveness(world);
  } catch (thrown) {
    // Not only broken rules: a core must not throw at all.
    failure = thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
  }
  return { seed, steps: world.steps, committed: world.history.maxCommitted, recovered, failure };
}
