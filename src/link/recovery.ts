import { Deque } from "../lib/deque.ts";
import type { CongestionWindow } from "./congestion.ts";
import type { OutboundFragment } from "./lane_sender.ts";
import type { NumberRange } from "./ranges.ts";
import type { RttEstimator } from "./rtt.ts";

/** A packet that the other side must acknowledge. */
export interface SentPacket {
  readonly number: number;
  readonly sentAt: number;
  readonly bytes: number;
  readonly fragments: readonly OutboundFragment[];
  /** Called once with the round trip in ms when it is acknowledged. */
  readonly onAcknowledged: ((rttMs: number) => void) | undefined;
}

export interface RecoveryHandler {
  acknowledged(packet: SentPacket): void;
  lost(packet: SentPacket): void;
  /** Nothing was acknowledged for a probe timeout: send something that elicits an acknowledgement. */
  probe(): void;
}

/** 6.1.1: later packets acknowledged before an earlier one is lost. */
const PACKET_THRESHOLD = 3;
/** 7.6.1: so many probe timeouts in a row collapse the window. */
const PERSISTENT_PROBES = 3;
const PROBE_BACKOFF_MAX = 6;

/**
 * What became of the packets of one packet space: acknowledged or lost, after RFC 9002, section 6. Over a lossless
 * transport (`congestion` undefined) nothing is ever declared lost and no timer is needed.
 */
export class Recovery {
  readonly #rtt: RttEstimator;
  readonly #congestion: CongestionWindow | undefined;
  readonly #handler: RecoveryHandler;
  /** In order of number; undefined where the packet is settled or elicits nothing. */
  readonly #sent = new Deque<SentPacket | undefined>();
  /** The number of the front of `#sent`. */
  #base = 0;
  #largestAcked = -1;
  #eliciting = 0;
  #lastElicitingAt = 0;
  /** When the next packet is to be declared lost by time. */
  #lossAt: number | undefined;
  #probes = 0;

  constructor(rtt: RttEstimator, congestion: CongestionWindow | undefined, handler: RecoveryHandler) {
    this.#rtt = rtt;
    this.#congestion = congestion;
    this.#handler = handler;
  }

  /** Whether bulk may be sent. */
  hasRoom(): boolean {
    return this.#congestion === undefined || this.#congestion.hasRoom();
  }

  /** Packets that wait for their acknowledgement. */
  get inFlight(): number {
    return this.#eliciting;
  }

  /** Every packet of the space passes here in order of number; undefined for one that elicits nothing. */
  sent(packet: SentPacket | undefined): void {
    this.#sent.pushBack(packet);
    if (packet === undefined) {
      this.#trim();
      return;
    }
    this.#eliciting++;
    this.#lastElicitingAt = packet.sentAt;
    this.#congestion?.sent(packet.bytes);
  }

  /** Returns false when the peer acknowledges what was never sent. */
  acknowledge(ranges: readonly NumberRange[], now: number): boolean {
    const largest = (ranges[0] as NumberRange).high;
    if (largest >= this.#base + this.#sent.size) return false;
    let newest: SentPacket | undefined;
    for (const range of ranges) {
      for (let number = range.high; number >= Math.max(range.low, this.#base); number--) {
        const packet = this.#sent.at(number - this.#base);
        if (packet === undefined) continue;
        newest ??= packet;
        this.#settle(packet);
        this.#congestion?.acknowledged(packet.bytes, packet.sentAt);
        if (packet.number === largest) this.#rtt.sample(now - packet.sentAt);
        packet.onAcknowledged?.(now - packet.sentAt);
        this.#handler.acknowledged(packet);
      }
    }
    this.#largestAcked = Math.max(this.#largestAcked, largest);
    if (newest !== undefined) this.#probes = 0;
    if (this.#congestion !== undefined) this.#detectLost(now);
    this.#trim();
    return true;
  }

  /** When `expire` is to be called; undefined for never. */
  nextTimerAt(): number | undefined {
    if (this.#congestion === undefined || this.#eliciting === 0) return undefined;
    if (this.#lossAt !== undefined) return this.#lossAt;
    return this.#lastElicitingAt + this.#rtt.probeTimeoutMs * 2 ** Math.min(this.#probes, PROBE_BACKOFF_MAX);
  }

  expire(now: number): void {
    const due = this.nextTimerAt();
    if (due === undefined || now < due) return;
    if (this.#lossAt !== undefined) {
      this.#detectLost(now);
      this.#trim();
      return;
    }
    this.#probes++;
    if (this.#probes === PERSISTENT_PROBES) this.#congestion?.collapsed();
    this.#handler.probe();
  }

  #detectLost(now: number): void {
    this.#lossAt = undefined;
    const { lossDelayMs } = this.#rtt;
    const end = Math.min(this.#largestAcked - this.#base, this.#sent.size);
    for (let index = 0; index < end; index++) {
      const packet = this.#sent.at(index);
      if (packet === undefined) continue;
      const lossAt = packet.sentAt + lossDelayMs;
      if (lossAt <= now || this.#largestAcked - packet.number >= PACKET_THRESHOLD) {
        this.#settle(packet);
        this.#congestion?.lost(packet.bytes, packet.sentAt, now);
        this.#handler.lost(packet);
      } else {
        this.#lossAt = lossAt;
        break;
      }
    }
  }

  #settle(packet: SentPacket): void {
    this.#sent.set(packet.number - this.#base, undefined);
    this.#eliciting--;
  }

  #trim(): void {
    while (this.#sent.size > 0 && this.#sent.front() === undefined) {
      this.#sent.popFront();
      this.#base++;
    }
  }
}
