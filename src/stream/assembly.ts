import { type Bytes, concatBytes, fromUtf8 } from "../lib/bytes.ts";

/** Shorter chunks are copied together: each for itself would weigh much more than its bytes. */
const KEPT_BYTES_MIN = 4_096;
const BLOCK_BYTES = 65_536;

/** A stream that is put together again, to be delivered as one message. */
export class Assembly {
  #parts: Bytes[] = [];
  #bytes = 0;
  /** Short chunks, `#blockBytes` in all. */
  #block: Bytes | undefined;
  #blockBytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: Bytes): void {
    const { byteLength } = chunk;
    this.#bytes += byteLength;
    if (byteLength >= KEPT_BYTES_MIN || this.#blockBytes + byteLength > BLOCK_BYTES) this.#closeBlock();
    if (byteLength >= KEPT_BYTES_MIN) return void this.#parts.push(chunk);
    (this.#block ??= new Uint8Array(BLOCK_BYTES)).set(chunk, this.#blockBytes);
    this.#blockBytes += byteLength;
  }

  /** All of it, once. Throws a TypeError for a text that is not UTF-8. */
  whole(text: boolean): string | Bytes {
    this.#closeBlock();
    const [only] = this.#parts;
    const whole = this.#parts.length === 1 && only !== undefined ? only : concatBytes(...this.#parts);
    this.#parts = [];
    return text ? fromUtf8(whole) : whole;
  }

  #closeBlock(): void {
    if (this.#block === undefined || this.#blockBytes === 0) return;
    this.#parts.push(this.#block.slice(0, this.#blockBytes));
    this.#blockBytes = 0;
  }
}
