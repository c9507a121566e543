import { type Bytes, concatBytes, fromUtf8 } from "../lib/bytes.ts";

/** A stream that is put together again, to be delivered as one message. */
export class Assembly {
  /** All of it, where its length was announced: chunks need not be held besides. */
  #whole: Bytes | undefined;
  readonly #totalBytes: number | null;
  #parts: Bytes[] = [];
  #bytes = 0;

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
    if (this.#totalBytes === null) return void this.#parts.push(chunk);
    // What is longer than announced is refused by its length.
    if (this.#bytes > this.#totalBytes) return;
    if (at === 0 && chunk.byteLength === this.#totalBytes) this.#whole = chunk;
    else (this.#whole ??= new Uint8Array(this.#totalBytes)).set(chunk, at);
  }

  /** All of it, once. Throws a TypeError for a text that is not UTF-8. */
  whole(text: boolean): string | Bytes {
    const whole = this.#whole?.subarray(0, this.#bytes) ?? joined(this.#parts);
    this.#parts = [];
    this.#whole = undefined;
    return text ? fromUtf8(whole) : whole;
  }
}

function joined(parts: readonly Bytes[]): Bytes {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : concatBytes(...parts);
}
