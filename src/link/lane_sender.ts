import type { Bytes } from "../lib/bytes.ts";
import { Deque } from "../lib/deque.ts";
import type { Lane } from "./contract.ts";
import { type Fragment, FRAGMENT_BYTES_MAX, weightOf } from "./packet.ts";

/** A fragment with what its sender knows of it. */
export interface OutboundFragment extends Fragment {
  /** Weight of the lane up to and including this fragment, bytes. */
  readonly endOffset: number;
  acknowledged: boolean;
  /** The packet it last travelled in, or -1 while it waits. */
  packet: number;
}

/**
 * The sending half of a lane: cuts frames into numbered fragments, holds them until they are acknowledged, and
 * keeps the span from the oldest unacknowledged to the newest sent byte within the peer's window.
 */
export class LaneSender {
  readonly #lane: Lane;
  readonly #fragmentBytesMax: number;
  /** What the peer is ready to hold, bytes. */
  windowBytes: number;
  /** Never sent yet. */
  readonly #queue = new Deque<OutboundFragment>();
  /** Sent, not acknowledged, in order of sequence; acknowledged ones leave when they reach the front. */
  readonly #sent = new Deque<OutboundFragment>();
  /** To be sent again. */
  readonly #lost = new Deque<OutboundFragment>();
  #nextSequence = 0;
  /** Bytes cut so far, bytes sent so far, and bytes up to the oldest unacknowledged one. */
  #cutOffset = 0;
  #sentOffset = 0;
  #ackedOffset = 0;

  constructor(lane: Lane, windowBytes: number, fragmentBytesMax: number = FRAGMENT_BYTES_MAX) {
    this.#lane = lane;
    this.windowBytes = windowBytes;
    this.#fragmentBytesMax = fragmentBytesMax;
  }

  /** Bytes handed over and never sent. */
  get queuedBytes(): number {
    return this.#cutOffset - this.#sentOffset;
  }

  /** Bytes handed over and not acknowledged. */
  get pendingBytes(): number {
    return this.#cutOffset - this.#ackedOffset;
  }

  get hasLost(): boolean {
    return this.#lost.size > 0;
  }

  /** `head` stands before the frame. */
  push(port: number, frame: Bytes, head?: Bytes): void {
    const headBytes = head === undefined ? 0 : head.byteLength;
    const length = frame.byteLength;
    let at = 0;
    do {
      const before = at === 0 ? headBytes : 0;
      const end = Math.min(length, at + this.#fragmentBytesMax - before);
      const payload = at === 0 && end === length ? frame : frame.subarray(at, end);
      this.#cutOffset += weightOf(before + payload.byteLength);
      this.#queue.pushBack({
        lane: this.#lane,
        sequence: this.#nextSequence++,
        port,
        total: headBytes + length,
        first: at === 0,
        last: end === length,
        head: at === 0 ? head : undefined,
        payload,
        endOffset: this.#cutOffset,
        acknowledged: false,
        packet: -1,
      });
      at = end;
    } while (at < length);
  }

  /** What to send next: lost fragments first, then new ones while the window allows. Does not take it. */
  peek(): OutboundFragment | undefined {
    for (let lost = this.#lost.front(); lost !== undefined; lost = this.#lost.front()) {
      if (!lost.acknowledged) return lost;
      this.#lost.popFront();
    }
    const next = this.#queue.front();
    if (next === undefined) return undefined;
    const fits = next.endOffset - this.#ackedOffset <= this.windowBytes;
    return fits || this.#sent.size === 0 ? next : undefined;
  }

  /** Takes what `peek` returned, to travel in packet `number`. */
  take(fragment: OutboundFragment, number: number): void {
    fragment.packet = number;
    if (this.#lost.front() === fragment) {
      this.#lost.popFront();
      return;
    }
    this.#queue.popFront();
    this.#sentOffset = fragment.endOffset;
    this.#sent.pushBack(fragment);
  }

  acknowledge(fragment: OutboundFragment): void {
    fragment.acknowledged = true;
    for (let oldest = this.#sent.front(); oldest?.acknowledged === true; oldest = this.#sent.front()) {
      this.#ackedOffset = oldest.endOffset;
      this.#sent.popFront();
    }
  }

  /** Packet `number`, which carried `fragment`, is lost; true when it now waits to be sent again. */
  lose(fragment: OutboundFragment, number: number): boolean {
    if (fragment.acknowledged || fragment.packet !== number) return false;
    fragment.packet = -1;
    this.#lost.pushBack(fragment);
    return true;
  }

  /** The oldest unacknowledged fragments in flight, at most `count`, are to be sent again (a probe, RFC 9002, 6.2.4). */
  probe(count: number): number {
    let probed = 0;
    for (const fragment of this.#sent) {
      if (probed === count) break;
      if (fragment.acknowledged || fragment.packet === -1) continue;
      fragment.packet = -1;
      this.#lost.pushBack(fragment);
      probed++;
    }
    return probed;
  }

  /**
   * The session goes on in a new packet space and the peer has everything below `peerNext`: all else that was
   * sent is to be sent again. Returns how many fragments, or undefined if the peer claims what was never sent.
   */
  resume(peerNext: number): number | undefined {
    const unsent = this.#queue.front();
    if (peerNext > (unsent === undefined ? this.#nextSequence : unsent.sequence)) return undefined;
    this.#lost.clear();
    let again = 0;
    for (const fragment of [...this.#sent]) {
      if (fragment.sequence < peerNext || fragment.acknowledged) {
        this.acknowledge(fragment);
      } else {
        fragment.packet = -1;
        this.#lost.pushBack(fragment);
        again++;
      }
    }
    return again;
  }
}
