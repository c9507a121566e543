import type { Bytes } from "../lib/bytes.ts";
import { FlotillaError } from "../lib/errors.ts";
import { type Fragment, FRAGMENT_BYTES_MAX, weightOf } from "./packet.ts";

/**
 * The receiving half of a lane: puts fragments in order, drops repeats, joins them to frames and delivers each
 * frame once. Holds at most one window of early fragments and one unfinished frame.
 */
export class LaneReceiver {
  /** The most the sender was ever allowed to have outstanding, bytes. */
  windowBytes: number;
  readonly #frameBytesMax: number;
  readonly #deliver: (port: number, frame: Bytes) => void;
  #next = 0;
  readonly #early = new Map<number, Fragment>();
  #earlyBytes = 0;
  #unfinished: { readonly port: number; readonly frame: Bytes; filled: number } | undefined;

  constructor(windowBytes: number, frameBytesMax: number, deliver: (port: number, frame: Bytes) => void) {
    this.windowBytes = windowBytes;
    this.#frameBytesMax = frameBytesMax;
    this.#deliver = deliver;
  }

  /** The sequence of the first fragment not received in order. */
  get next(): number {
    return this.#next;
  }

  /** Throws `malformed` for what no correct sender sends. */
  accept(fragment: Fragment): void {
    if (fragment.sequence < this.#next || this.#early.has(fragment.sequence)) return;
    if (fragment.sequence > this.#next) {
      this.#keepEarly(fragment);
      return;
    }
    this.#take(fragment);
    for (let held = this.#early.get(this.#next); held !== undefined; held = this.#early.get(this.#next)) {
      this.#early.delete(held.sequence);
      this.#earlyBytes -= weightOf(held.payload.byteLength);
      this.#take(held);
    }
  }

  #keepEarly(fragment: Fragment): void {
    this.#earlyBytes += weightOf(fragment.payload.byteLength);
    // A sender may always have one fragment outstanding, however small its window.
    if (this.#earlyBytes > this.windowBytes + FRAGMENT_BYTES_MAX) {
      throw new FlotillaError("malformed", `the peer sent ${this.#earlyBytes} bytes ahead of a gap`);
    }
    // A copy, so that a small fragment does not hold the whole packet it came in.
    this.#early.set(fragment.sequence, { ...fragment, payload: fragment.payload.slice() });
  }

  #take(fragment: Fragment): void {
    this.#next++;
    const { first, last, payload, total, port } = fragment;
    if (first !== (this.#unfinished === undefined)) {
      throw new FlotillaError("malformed", `fragment ${fragment.sequence} does not follow the one before it`);
    }
    if (first && last) {
      this.#deliver(port, payload);
      return;
    }
    if (first && total > this.#frameBytesMax) {
      throw new FlotillaError("malformed", `a frame of ${total} bytes exceeds ${this.#frameBytesMax}`);
    }
    const unfinished = this.#unfinished ??= { port, frame: new Uint8Array(total), filled: 0 };
    if (unfinished.filled + payload.byteLength > unfinished.frame.byteLength) {
      throw new FlotillaError(
        "malformed",
        `a frame is longer than the ${unfinished.frame.byteLength} bytes announced`,
      );
    }
    unfinished.frame.set(payload, unfinished.filled);
    unfinished.filled += payload.byteLength;
    if (!last) return;
    if (unfinished.filled !== unfinished.frame.byteLength) {
      throw new FlotillaError(
        "malformed",
        `a frame ends ${unfinished.filled} bytes into ${unfinished.frame.byteLength}`,
      );
    }
    this.#unfinished = undefined;
    this.#deliver(unfinished.port, unfinished.frame);
  }
}
