import { type Bytes, concatBytes, utf8 } from "../lib/bytes.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { CHUNK_BYTES_MAX, STREAM_DEFAULTS, TEXT_CHUNK_BYTES_MIN } from "./contract.ts";

const NOTHING: Bytes = new Uint8Array(0);

/** What a source may yield: bytes, or text, which travels as UTF-8. */
export type StreamData = Uint8Array | string;

/**
 * Cuts data of any sizes into chunks of exactly `chunkSize` bytes, the last one excepted. Chunks are views of what
 * came in, without a copy, except where one is joined of several pieces. Text is cut before the character that
 * does not fit, so its chunks may be up to three bytes shorter.
 */
export class Cutter {
  readonly #chunkSize: number;
  readonly #text: boolean;
  readonly #decoder: TextDecoder | undefined;
  #takenBytes = 0;
  /** What is too short to be a chunk yet, `#pendingBytes` of it. */
  #pending: Bytes = NOTHING;
  #pendingBytes = 0;
  /** The first half of a pair of surrogates: the other one may begin the next text. */
  #half = "";

  /** @throws FlotillaError `invalid-option` for a chunk size that cannot be. */
  constructor(chunkSize: number = STREAM_DEFAULTS.chunkSize, text: boolean = false) {
    const bytesMin = text ? TEXT_CHUNK_BYTES_MIN : 1;
    if (!Number.isInteger(chunkSize) || chunkSize < bytesMin || chunkSize > CHUNK_BYTES_MAX) {
      const rule = `a whole number of bytes from ${bytesMin} to ${CHUNK_BYTES_MAX}`;
      throw new FlotillaError(
        "invalid-option",
        `cut a stream: chunkSize must be ${rule}, not ${shown(chunkSize)}`,
      );
    }
    this.#chunkSize = chunkSize;
    this.#text = text;
    this.#decoder = text ? new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }) : undefined;
  }

  /** Bytes pushed so far. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  /**
   * The chunks that are whole now. The bytes must not be changed afterwards.
   *
   * @throws FlotillaError `malformed` for what is neither bytes nor text, and for bytes of a text that are not UTF-8.
   */
  push(data: unknown): Bytes[] {
    const bytes = this.#bytesOf(data);
    this.#takenBytes += bytes.byteLength;
    const chunks: Bytes[] = [];
    let at = 0;
    while (this.#pendingBytes > 0 && this.#pendingBytes + bytes.byteLength - at >= this.#chunkSize) {
      const taken = this.#chunkSize - this.#pendingBytes;
      this.#keep(bytes.subarray(at, at + taken));
      at += taken;
      const whole = this.#takePending();
      const end = this.#endOf(whole, 0);
      chunks.push(end === whole.byteLength ? whole : whole.subarray(0, end));
      const left = whole.byteLength - end;
      if (left <= taken) at -= left;
      else this.#keep(whole.subarray(end));
    }
    if (this.#pendingBytes === 0) {
      while (bytes.byteLength - at >= this.#chunkSize) {
        const end = this.#endOf(bytes, at);
        chunks.push(at === 0 && end === bytes.byteLength ? bytes : bytes.subarray(at, end));
        at = end;
      }
    }
    if (at < bytes.byteLength) this.#keep(bytes.subarray(at));
    return chunks;
  }

  /**
   * The last chunks, if anything is left.
   *
   * @throws FlotillaError `malformed` for a text that ends within a character.
   */
  finish(): Bytes[] {
    this.#endCharacter();
    const chunks = this.push(NOTHING);
    return this.#pendingBytes === 0 ? chunks : [...chunks, this.#takePending()];
  }

  #bytesOf(data: unknown): Bytes {
    if (typeof data === "string") return this.#encoded(data);
    if (!(data instanceof Uint8Array)) {
      throw new FlotillaError("malformed", `cut a stream: it yields ${shown(data)}, neither bytes nor text`);
    }
    const bytes = data.buffer instanceof ArrayBuffer ? data as Bytes : new Uint8Array(data);
    this.#check(bytes);
    if (this.#half === "") return bytes;
    const half = utf8(this.#half);
    this.#half = "";
    return concatBytes(half, bytes);
  }

  #encoded(data: string): Bytes {
    if (data === "") return NOTHING;
    this.#endCharacter();
    const text = this.#half + data;
    const end = text.length - (isFirstHalf(text.charCodeAt(text.length - 1)) ? 1 : 0);
    this.#half = text.slice(end);
    return utf8(text.slice(0, end));
  }

  #check(bytes: Bytes): void {
    try {
      this.#decoder?.decode(bytes, { stream: true });
    } catch (cause) {
      throw new FlotillaError(
        "malformed",
        `cut a stream: ${bytes.byteLength} bytes of a text are not UTF-8`,
        {
          cause,
        },
      );
    }
  }

  #endCharacter(): void {
    try {
      this.#decoder?.decode();
    } catch (cause) {
      throw new FlotillaError("malformed", "cut a stream: its text ends within a character", { cause });
    }
  }

  #keep(bytes: Bytes): void {
    const needed = this.#pendingBytes + bytes.byteLength;
    if (needed > this.#pending.byteLength) {
      const larger = new Uint8Array(
        Math.min(this.#chunkSize, Math.max(needed, 2 * this.#pending.byteLength)),
      );
      larger.set(this.#pending.subarray(0, this.#pendingBytes));
      this.#pending = larger;
    }
    this.#pending.set(bytes, this.#pendingBytes);
    this.#pendingBytes = needed;
  }

  #takePending(): Bytes {
    const taken = this.#pending.subarray(0, this.#pendingBytes);
    this.#pending = NOTHING;
    this.#pendingBytes = 0;
    return taken;
  }

  /** Where the chunk that begins at `at` ends; `bytes` has enough for one. */
  #endOf(bytes: Bytes, at: number): number {
    const end = at + this.#chunkSize;
    if (!this.#text) return end;
    // Within UTF-8 a byte 10xxxxxx continues a character. At the very end nobody knows yet: it is cut there too,
    // unless the character is whole.
    let start = end;
    do start--; while (start > at && ((bytes[start] as number) & 0xc0) === 0x80);
    return start + characterBytes(bytes[start] as number) <= end ? end : start;
  }
}

/** A `TransformStream` from data of any sizes to chunks of `chunkSize` bytes; see `Cutter`. */
export function chunker(
  chunkSize?: number,
  options: { readonly text?: boolean } = {},
): TransformStream<StreamData, Bytes> {
  const cutter = new Cutter(chunkSize, options.text);
  return new TransformStream({
    transform(data, controller) {
      for (const chunk of cutter.push(data)) controller.enqueue(chunk);
    },
    flush(controller) {
      for (const chunk of cutter.finish()) controller.enqueue(chunk);
    },
  });
}

function isFirstHalf(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function characterBytes(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}
