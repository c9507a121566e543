/** Bytes as the library passes them on: never shared memory. */
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(text: string): Bytes {
  return encoder.encode(text);
}

/** The text of valid UTF-8; throws a TypeError on anything else. */
export function fromUtf8(bytes: Uint8Array): string {
  return strictDecoder.decode(bytes);
}

export function concatBytes(...parts: readonly Uint8Array[]): Bytes {
  return joinBytes(parts);
}

/** The same of any number of parts: engines take some ten thousand arguments. */
export function joinBytes(parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.byteLength;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}

/** Shorter bytes are copied: Bun makes the `buffer` of a small array only when asked, at more than a copy costs. */
const COPIED_BYTES_MAX = 4_096;

/** A plain Uint8Array over memory that nobody else has: `bytes` itself where it is all of its buffer, else a copy. */
export function ownBytes(bytes: Uint8Array<ArrayBuffer>): Bytes {
  const isWhole = bytes.byteLength > COPIED_BYTES_MAX && bytes.byteLength === bytes.buffer.byteLength;
  return isWhole ? new Uint8Array(bytes.buffer) : new Uint8Array(bytes);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  let out = "";
  for (const byte of bytes) out += byte.toString(16).padStart(2, "0");
  return out;
}

/** True for equal contents; takes the same time wherever they differ. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  let difference = 0;
  for (let index = 0; index < a.byteLength; index++) {
    difference |= (a[index] as number) ^ (b[index] as number);
  }
  return difference === 0;
}

/** Writes a whole number below 2^48, big-endian. */
export function setUint48(view: DataView, at: number, value: number): void {
  view.setUint16(at, Math.floor(value / 4_294_967_296));
  view.setUint32(at + 2, value >>> 0);
}

export function getUint48(view: DataView, at: number): number {
  return view.getUint16(at) * 4_294_967_296 + view.getUint32(at + 2);
}

/** The bytes that `hex` wrote. */
export function unhex(text: string): Bytes {
  const bytes = new Uint8Array(text.length >> 1);
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = parseInt(text.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}
