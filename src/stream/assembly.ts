import { type Bytes, concatBytes, fromUtf8 } from "../lib/bytes.ts";

/** A stream that is put together again, to be delivered as one message. */
export class Assembly {
  #parts: Bytes[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: Bytes): void {
    this.#parts.push(chunk);
    this.#bytes += chunk.byteLength;
  }

  /** All of it, once. Throws a TypeError for a text that is not UTF-8. */
  whole(text: boolean): string | Bytes {
    const [only] = this.#parts;
    const whole = this.#parts.length === 1 && only !== undefined ? only : concatBytes(...this.#parts);
    this.#parts = [];
    return text ? fromUtf8(whole) : whole;
  }
}
