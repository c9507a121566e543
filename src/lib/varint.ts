/**
 * Compact numbers and short texts in bytes: unsigned LEB128 for whole numbers below 2^53, UTF-8 with its
 * length before it for texts. The reader takes bytes of anybody and throws `malformed` for whatever does
 * not fit.
 */
import { type Bytes, fromUtf8 } from "./bytes.ts";
import { FlotillaError } from "./errors.ts";

const encoder = new TextEncoder();

/** Appends to a buffer that grows and is used again after `take`. */
export class ByteWriter {
  #bytes: Bytes = new Uint8Array(1_024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** A whole number in [0, 2^53). */
  varint(value: number): void {
    this.#reserve(8);
    while (value >= 0x80) {
      this.#bytes[this.#length++] = (value & 0x7f) | 0x80;
      value = value < 0x80000000 ? value >>> 7 : Math.floor(value / 0x80);
    }
    this.#bytes[this.#length++] = value;
  }

  uint32(value: number): void {
    for (let shift = 24; shift >= 0; shift -= 8) this.byte((value >>> shift) & 0xff);
  }

  text(value: string): void {
    this.#reserve(2 + value.length);
    const start = this.#length;
    this.varint(value.length);
    for (let at = 0; at < value.length; at++) {
      const code = value.charCodeAt(at);
      if (code > 0x7f) {
        this.#length = start;
        return this.bytes(encoder.encode(value));
      }
      this.#bytes[this.#length++] = code;
    }
  }

  /** `value` with its length before it. */
  bytes(value: Uint8Array): void {
    this.varint(value.byteLength);
    this.#reserve(value.byteLength);
    this.#bytes.set(value, this.#length);
    this.#length += value.byteLength;
  }

  /** What was written, in bytes of its own; the writer is empty again. */
  take(): Bytes {
    const taken = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return taken;
  }

  /** Room for `extra` bytes, and for the length that may stand before them. */
  #reserve(extra: number): void {
    const needed = this.#length + extra + 8;
    if (needed <= this.#bytes.byteLength) return;
    const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.byteLength));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/** Reads from the front of `bytes`; `what` names them in error messages. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.byteLength;
  }

  byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw this.malformed("ends too early");
    this.#at++;
    return value;
  }

  varint(): number {
    let value = 0;
    let unit = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * unit;
      if (value > Number.MAX_SAFE_INTEGER) throw this.malformed("has a number above 2^53");
      if (byte < 0x80) return value;
      unit *= 0x80;
      if (unit > Number.MAX_SAFE_INTEGER) throw this.malformed("has a number of too many bytes");
    }
  }

  uint32(): number {
    return this.byte() * 0x1000000 + this.byte() * 0x10000 + this.byte() * 0x100 + this.byte();
  }

  /** A text of `bytesMin` to `bytesMax` bytes, as a string of its own: no view that would keep the frame alive. */
  text(bytesMax: number, bytesMin: number = 1): string {
    const length = this.varint();
    if (length < bytesMin || length > bytesMax) throw this.malformed(`has a text of ${length} bytes`);
    const end = this.#at + length;
    if (end > this.#bytes.byteLength) throw this.malformed("ends too early");
    // For short ASCII this is faster than a TextDecoder on two of three runtimes.
    const codes = new Array<number>(length);
    for (let at = 0; at < length; at++) {
      const code = this.#bytes[this.#at + at] as number;
      if (code > 0x7f) return this.#utf8(end);
      codes[at] = code;
    }
    this.#at = end;
    return String.fromCharCode.apply(null, codes);
  }

  /** A view of at most `bytesMax` bytes. */
  bytes(bytesMax: number): Uint8Array {
    const length = this.varint();
    const end = this.#at + length;
    if (length > bytesMax || end > this.#bytes.byteLength) {
      throw this.malformed(`has a byte string of ${length} bytes`);
    }
    const view = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return view;
  }

  /** A view of all that has not been read. */
  rest(): Uint8Array {
    const view = this.#bytes.subarray(this.#at);
    this.#at = this.#bytes.byteLength;
    return view;
  }

  /** Throws unless everything has been read. */
  end(): void {
    if (!this.done) throw this.malformed(`has ${this.#bytes.byteLength - this.#at} bytes too many`);
  }

  malformed(problem: string): FlotillaError {
    return new FlotillaError("malformed", `read ${this.#what}: it ${problem}`);
  }

  #utf8(end: number): string {
    try {
      const text = fromUtf8(this.#bytes.subarray(this.#at, end));
      this.#at = end;
      return text;
    } catch (cause) {
      throw new FlotillaError("malformed", `read ${this.#what}: it has a text that is not UTF-8`, { cause });
    }
  }
}
