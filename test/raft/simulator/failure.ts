/** A rule that did not hold. */
export class SimulationFailure extends Error {}

export function fail(rule: string, detail: string): never {
  throw new SimulationFailure(`${rule}: ${detail}`);
}
