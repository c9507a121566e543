/** One direction between two nodes of a MemoryHub: what its faults make of each packet. */
import { FlotillaError } from "../src/lib/errors.ts";
import { Deque } from "../src/lib/deque.ts";
import type { Bytes } from "../src/lib/bytes.ts";
import type { Random } from "../src/lib/random.ts";

/** What may happen to packets on their way from one node to another. */
export interface FaultPlan {
  /** 0–1: the packet is lost. */
  readonly lossProbability: number;
  /** 0–1: the packet arrives twice, each copy with a delay of its own. */
  readonly duplicationProbability: number;
  /** 0–1: the packet is delayed by up to `reorderMs` more than the ones around it. */
  readonly reorderProbability: number;
  readonly reorderMs: number;
  /** One-way delay, and the uniform random part on top of it. */
  readonly latencyMs: number;
  readonly jitterMs: number;
  /**
   * Packets leave one behind the other at this rate; the rest waits at the sender. Infinity: all leave at
   * once.
   */
  readonly bytesPerSecond: number;
  /** What may wait at the sender; above it a lossy hub loses the newest, as a router does. */
  readonly queueBytesMax: number;
}

/** Nothing happens: packets arrive in the next turn. */
export const NO_FAULTS: FaultPlan = {
  lossProbability: 0,
  duplicationProbability: 0,
  reorderProbability: 0,
  reorderMs: 20,
  latencyMs: 0,
  jitterMs: 0,
  bytesPerSecond: Infinity,
  queueBytesMax: 1_048_576,
};

/**
 * NO_FAULTS with `changes`; throws `invalid-option` for what a hub cannot do or, being lossless, must not.
 */
export function faultPlan(changes: Partial<FaultPlan>, lossless: boolean): FaultPlan {
  const plan = { ...NO_FAULTS, ...changes };
  for (const [name, value] of Object.entries(plan)) {
    const max = name.endsWith("Probability") ? (lossless ? 0 : 1) : Infinity;
    const min = name === "bytesPerSecond" ? 1 : 0;
    if (value >= min && value <= max) continue;
    const hub = lossless ? "a lossless hub" : "a hub";
    throw new FlotillaError(
      "invalid-option",
      `fault plan of ${hub}: ${name} is ${value}, not ${min} to ${max}`,
    );
  }
  return plan;
}

export class Wire {
  readonly from: string;
  readonly to: string;
  /** A plan of its own in place of the hub's. */
  plan: FaultPlan | undefined;
  blocked = false;
  cut = false;
  /** Counts the cuts: what was under way before one never arrives. */
  epoch = 0;
  /** What a lossless hub keeps while the wire is blocked, as TCP retransmits until the way is back. */
  held: Bytes[] = [];
  #heldBytes = 0;
  #freeAtMs = 0;
  #lastArrivalMs = 0;
  readonly #leaving = new Deque<{ atMs: number; bytes: number }>();
  #leavingBytes = 0;

  constructor(from: string, to: string) {
    this.from = from;
    this.to = to;
  }

  hold(packet: Bytes): void {
    this.held.push(packet);
    this.#heldBytes += packet.byteLength;
  }

  /** The packets held, which are the caller's now. */
  release(): Bytes[] {
    const held = this.held;
    this.held = [];
    this.#heldBytes = 0;
    return held;
  }

  /** The path is lost, with everything on it. */
  cutNow(): void {
    this.cut = true;
    this.epoch++;
    this.release();
    this.#leaving.clear();
    this.#leavingBytes = 0;
    this.#freeAtMs = 0;
  }

  /** Bytes that have not left the sender at `nowMs`. */
  queuedBytes(nowMs: number): number {
    for (let next = this.#leaving.front(); next !== undefined && next.atMs <= nowMs;) {
      this.#leavingBytes -= next.bytes;
      this.#leaving.popFront();
      next = this.#leaving.front();
    }
    return this.#leavingBytes + this.#heldBytes;
  }

  /** When the copies of a packet of `bytes` sent at `nowMs` arrive, in ms of the clock; none: it is lost. */
  arrivals(bytes: number, nowMs: number, plan: FaultPlan, lossless: boolean, random: Random): number[] {
    let departsMs = nowMs;
    if (plan.bytesPerSecond !== Infinity) {
      if (!lossless && this.queuedBytes(nowMs) + bytes > plan.queueBytesMax) return [];
      departsMs = Math.max(nowMs, this.#freeAtMs) + (bytes * 1_000) / plan.bytesPerSecond;
      this.#freeAtMs = departsMs;
      this.#leaving.pushBack({ atMs: departsMs, bytes });
      this.#leavingBytes += bytes;
    }
    const happens = (probability: number): boolean => probability > 0 && random.float() < probability;
    const arrival = (): number => {
      let atMs = departsMs + plan.latencyMs;
      if (plan.jitterMs > 0) atMs += random.float() * plan.jitterMs;
      if (happens(plan.reorderProbability)) atMs += random.float() * plan.reorderMs;
      if (!lossless) return atMs;
      this.#lastArrivalMs = Math.max(atMs, this.#lastArrivalMs);
      return this.#lastArrivalMs;
    };
    if (happens(plan.lossProbability)) return [];
    return happens(plan.duplicationProbability) ? [arrival(), arrival()] : [arrival()];
  }
}
