import { utf8Length } from "../lib/utf8_length.ts";

/** Charged for each message besides its bytes. */
const MESSAGE_OVERHEAD_BYTES = 64;

/** Messages that were sent while there was no connection, in order, bounded in bytes. */
export class WaitingRoom {
  readonly #bytesMax: number;
  #messages: (string | Uint8Array)[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** False, and nothing waits, where there is no room. Bytes are copied. */
  add(data: string | Uint8Array): boolean {
    const bytes = (typeof data === "string" ? utf8Length(data) : data.byteLength) + MESSAGE_OVERHEAD_BYTES;
    if (this.#bytes + bytes > this.#bytesMax) return false;
    this.#bytes += bytes;
    this.#messages.push(typeof data === "string" ? data : new Uint8Array(data));
    return true;
  }

  /** Hands all of them over, in order; what is not taken, and all behind it, goes on waiting. */
  empty(take: (data: string | Uint8Array) => boolean): void {
    const messages = this.#messages;
    this.#messages = [];
    this.#bytes = 0;
    const refused = messages.findIndex((data) => !take(data));
    for (const data of refused < 0 ? [] : messages.slice(refused)) this.add(data);
  }

  clear(): void {
    this.empty(() => true);
  }
}
