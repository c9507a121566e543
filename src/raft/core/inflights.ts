/** The appends sent to one follower and not yet answered: a window in messages and bytes (thesis, 10.2.1). */
import { Deque } from "../../lib/deque.ts";

export class Inflights {
  readonly #messagesMax: number;
  readonly #bytesMax: number;
  readonly #sent = new Deque<{ readonly index: number; readonly bytes: number }>();
  #bytes = 0;

  constructor(messagesMax: number, bytesMax: number) {
    this.#messagesMax = messagesMax;
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#sent.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The last message may go over the byte limit, so that one larger than the window still leaves. */
  get full(): boolean {
    return this.#sent.size >= this.#messagesMax || this.#bytes >= this.#bytesMax;
  }

  /** Counts a message whose last entry is `index`; indexes ascend. */
  add(index: number, bytes: number): void {
    this.#sent.pushBack({ index, bytes });
    this.#bytes += bytes;
  }

  /** Forgets every message that ends at or before `index`. */
  freeTo(index: number): void {
    for (
      let first = this.#sent.front();
      first !== undefined && first.index <= index;
      first = this.#sent.front()
    ) {
      this.#sent.popFront();
      this.#bytes -= first.bytes;
    }
  }

  clear(): void {
    if (this.#sent.size > 0) this.#sent.clear();
    this.#bytes = 0;
  }
}
