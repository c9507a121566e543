/** What the options of a public call may be, as a table; whatever is not in the table is refused by name. */
import { FlotillaError, shown } from "./errors.ts";

export type Check = (value: unknown) => boolean;

/** For each option what it may be, and how the error says it. */
export type OptionRules<Options> = {
  readonly [Name in keyof Required<Options>]: readonly [Check, string];
};

/**
 * Undefined stands for an option that was not given. Values of `secretive` options are not shown: a URL may hold a password.
 *
 * @throws FlotillaError `invalid-option` naming the option, its value and what it may be.
 */
export function checkOptions<Options>(
  options: unknown,
  rules: OptionRules<Options>,
  secretive: readonly string[] = [],
): asserts options is Options {
  checkObject(options);
  const table: Readonly<Record<string, readonly [Check, string]>> = rules;
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(table, name) ? table[name] : undefined;
    if (rule === undefined) throw new FlotillaError("invalid-option", `there is no option ${shown(name)}`);
    if (value === undefined || rule[0](value)) continue;
    const found = secretive.includes(name) ? "what was given" : shown(value);
    throw new FlotillaError("invalid-option", `${name} must be ${rule[1]}, not ${found}`);
  }
}

export function checkObject(options: unknown): asserts options is object {
  if (typeof options === "object" && options !== null) return;
  throw new FlotillaError("invalid-option", `the options must be an object, not ${shown(options)}`);
}

export function whole(low: number, high: number): Check {
  return (value) => typeof value === "number" && Number.isInteger(value) && value >= low && value <= high;
}

export function oneOf(...values: readonly unknown[]): Check {
  return (value) => values.includes(value);
}

/** An object with these methods. */
export function having(...methods: readonly string[]): Check {
  return (value) =>
    typeof value === "object" && value !== null &&
    methods.every((method) => typeof (value as Record<string, unknown>)[method] === "function");
}

export const text: Check = (value) => typeof value === "string" && value.length > 0 && value.isWellFormed();
export const callable: Check = (value) => typeof value === "function";

export const CLOCK_RULE: readonly [Check, string] = [having("now", "wallTime", "timer"), "a clock"];
export const LOGGER_RULE: readonly [Check, string] = [having("debug", "info", "warn", "error"), "a logger"];
