/**
 * Values of a bench's options; each function throws with the option's name for what it does not understand.
 */
import { type Runtime, RUNTIMES } from "../../test/support/runtimes.ts";

export function wholeNumber(option: string, value: string): number {
  if (!/^[1-9]\d*$/.test(value)) throw new Error(`${option} ${value}: must be a whole number above 0`);
  return Number(value);
}

/** `bun,deno` as a list. */
export function runtimesNamed(option: string, list: string, separator = ","): Runtime[] {
  return list.split(separator).map((name) => {
    const found = RUNTIMES.find((each) => each === name.trim());
    if (found === undefined) throw new Error(`${option}: ${name} must be bun, deno or node`);
    return found;
  });
}
