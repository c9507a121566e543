import { type Bytes, fromUtf8, joinBytes } from "../lib/bytes.ts";

/** Shorter chunks are copied together: each for itself would weigh much more than its bytes. */
const KEPT_BYTES_MIN = 4_096;
const BLOCK_BYTES = 65_536;

/** A stream that is put together again, to be delivered as one message. */
export class Assembly {
  /** All of it, where its length was announced: chunks need not be held besides. */
  #whole: Bytes | undefined;
  readonly #totalBytes: number | null;
  #parts: Bytes[] = [];
  #bytes = 0;
  /** Short chunks, `#blockBytes` in all. */
  #block: Bytes | undefined;
  #blockBytes = 0;

  /** `totalBytes`: what was announced, null for nothing; room for it must have been reserved. */
  constructor(totalBytes: number | null) {
    this.#totalBytes = totalBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: Bytes): void {
    const at = this.#bytes;
    this.#bytes += chunk.byteLength;
    if (this.#totalBytes === null) return this.#keep(chunk);
    // What is longer than announced is refused by its length.
    if (this.#bytes > this.#totalBytes) return;
    if (at === 0 && chunk.byteLength === this.#totalBytes) this.#whole = chunk;
    else (this.#whole ??= new Uint8Array(this.#totalBytes)).set(chunk, at);
  }

  /** All of it, once. Throws a TypeError for a text that is not UTF-8. */
  whole(text: boolean): string | Bytes {
    this.#closeBlock();
    const whole = this.#whole?.subarray(0, this.#bytes) ?? joined(this.#parts);
    this.#parts = [];
    this.#whole = undefined;
    return text ? fromUtf8(whole) : whole;
  }

  #keep(chunk: Bytes): void {
    const { byteLength } = chunk;
    if (byteLength >= KEPT_BYTES_MIN || this.#blockBytes + byteLength > BLOCK_BYTES) this.#closeBlock();
    if (byteLength >= KEPT_BYTES_MIN) return void this.#parts.push(chunk);
    (this.#block ??= new Uint8Array(BLOCK_BYTES)).set(chunk, this.#blockBytes);
    this.#blockBytes += byteLength;
  }

  #closeBlock(): void {
    if (this.#block === undefined || this.#blockBytes === 0) return;
    this.#parts.push(this.#block.slice(0, this.#blockBytes));
    this.#blockBytes = 0;
  }
}

function joined(parts: readonly Bytes[]): Bytes {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : joinBytes(parts);
}
