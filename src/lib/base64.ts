import type { Bytes } from "./bytes.ts";

/** What a newer runtime does by itself, much faster. */
interface WithBase64 {
  toBase64?(): string;
}
interface FromBase64 {
  fromBase64?(text: string): Bytes;
}

/** Arguments of one call: engines take some ten thousand. */
const PIECE_BYTES = 8_192;

/** Standard base64 (RFC 4648, 4), with padding. */
export function toBase64(bytes: Bytes): string {
  const native: Bytes & WithBase64 = bytes;
  if (native.toBase64 !== undefined) return native.toBase64();
  let binary = "";
  for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES) {
    binary += String.fromCharCode(...bytes.subarray(at, at + PIECE_BYTES));
  }
  return btoa(binary);
}

/** The bytes that `toBase64` wrote; undefined for anything that is not base64. */
export function fromBase64(text: string): Bytes | undefined {
  const native: typeof Uint8Array & FromBase64 = Uint8Array;
  try {
    if (native.fromBase64 !== undefined) return native.fromBase64(text);
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let index = 0; index < bytes.length; index++) bytes[index] = binary.charCodeAt(index);
    return bytes;
  } catch {
    return undefined;
  }
}
