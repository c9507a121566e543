/**
 * What entries and snapshots are made of: positional CBOR of whole numbers, flags, bytes and lists of them.
 *
 * Texts travel as the bytes of their UTF-8, not as CBOR text. Every node must read the same, and cbor-x takes
 * U+FEFF off the front of long texts and puts U+FFFD where bytes are not UTF-8.
 */
import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { asText, asWhole, wrong } from "../../lib/shape.ts";

const SHORT_BYTES_MAX = 64;

export type Field = number | boolean | null | Uint8Array | readonly Field[];

/** Throws `malformed` for text that UTF-8 cannot carry. */
export function textField(text: string): Bytes {
  if (!text.isWellFormed()) throw wrong("text without lone surrogates", text);
  return utf8(text);
}

/** Text of at least one character, whichever; its length is for the caller to judge. */
export function asUtf8(value: unknown, what: string): string {
  if (!(value instanceof Uint8Array) || value.byteLength === 0) throw wrong(what, value);
  const short = shortAscii(value);
  if (short !== undefined) return short;
  try {
    return fromUtf8(value);
  } catch {
    throw wrong(`${what} in UTF-8`, value);
  }
}

/** For short ASCII this is faster than a TextDecoder on two of three runtimes. */
function shortAscii(bytes: Uint8Array): string | undefined {
  if (bytes.byteLength > SHORT_BYTES_MAX) return undefined;
  const codes = new Array<number>(bytes.byteLength);
  for (let at = 0; at < bytes.byteLength; at++) {
    const code = bytes[at] as number;
    if (code > 0x7f) return undefined;
    codes[at] = code;
  }
  return String.fromCharCode.apply(null, codes);
}

/** Text of 1 to `bytesMax` bytes without control characters. */
export function asLabel(value: unknown, bytesMax: number, what: string): string {
  return asText(asUtf8(value, what), bytesMax, what);
}

/** A view of what arrived, which the caller copies if it keeps it. */
export function asView(value: unknown, what: string): Uint8Array {
  if (!(value instanceof Uint8Array)) throw wrong(what, value);
  return value;
}

/** A whole number from `low` to the largest safe integer. */
export function asSafe(value: unknown, low: number, what: string): number {
  return asWhole(value, low, Number.MAX_SAFE_INTEGER, what);
}
