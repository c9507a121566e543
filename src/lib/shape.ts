/** Checks of values that came from outside; each throws `malformed` naming what was wrong. */
import type { Bytes } from "./bytes.ts";
import { utf8 } from "./bytes.ts";
import { FlotillaError, shown } from "./errors.ts";

/** The error for `value`, which is not `what`. */
export function wrong(what: string, value: unknown): FlotillaError {
  return new FlotillaError("malformed", `expected ${what}, got ${shown(value)}`);
}

/** An array of exactly `length` items. */
export function asTuple(value: unknown, length: number, what: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length !== length) throw wrong(`${what} of ${length} fields`, value);
  return value;
}

/** A whole number from `low` to `high`. */
export function asWhole(value: unknown, low: number, high: number, what: string): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < low || value > high) {
    throw wrong(`${what} from ${low} to ${high}`, value);
  }
  return value;
}

/** Bytes, exactly `length` of them where given; a copy of its own. */
export function asBytes(value: unknown, what: string, length?: number): Bytes {
  if (!(value instanceof Uint8Array) || (length !== undefined && value.byteLength !== length)) {
    throw wrong(length === undefined ? what : `${what} of ${length} bytes`, value);
  }
  return new Uint8Array(value);
}

/** Text of at most `bytesMax` bytes of UTF-8, without control characters, at least `charactersMin` long. */
export function asText(value: unknown, bytesMax: number, what: string, charactersMin = 1): string {
  if (typeof value !== "string" || value.length < charactersMin) throw wrong(what, value);
  if (value.length > bytesMax || utf8(value).byteLength > bytesMax) {
    throw wrong(`${what} of at most ${bytesMax} bytes`, value);
  }
  // deno-lint-ignore no-control-regex
  if (/[\u0000-\u001f\u007f-\u009f]/.test(value)) throw wrong(`${what} without control characters`, value);
  return value;
}

/** An array, of at most `lengthMax` items where given. */
export function asList(value: unknown, what: string, lengthMax: number = Infinity): readonly unknown[] {
  if (!Array.isArray(value) || value.length > lengthMax) {
    throw wrong(lengthMax === Infinity ? what : `${what}, at most ${lengthMax}`, value);
  }
  return value;
}

export function asBoolean(value: unknown, what: string): boolean {
  if (typeof value !== "boolean") throw wrong(what, value);
  return value;
}
