import type { World } from "./conformance.ts";
import type { SimClock } from "./sim_clock.ts";

/** The parts of a World in virtual time that are the same for every transport. */
export function simWorld(clock: SimClock, transport: World["transport"], harass?: World["harass"]): World {
  return {
    clock,
    transport,
    until: (_what, condition) => clock.runUntil(condition, 60_000),
    ...(harass === undefined ? {} : { harass }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
