import type { Clock, Timer } from "./clock.ts";
import { Heap } from "./heap.ts";
import { TIMER_MS_MAX } from "./limits.ts";

/** Deadlines due within one such period fire together, at its end. */
const SLACK_MS = 4;
/** Fewer cancelled entries than this are not worth clearing out. */
const CANCELLED_MIN = 1_024;

/** One entry of `Deadlines`; hand it back to `cancel`. */
export interface Deadline<Item> {
  /** In `Clock.now()` milliseconds. */
  readonly at: number;
  /** Undefined once it has fired or was cancelled. */
  item: Item | undefined;
}

/**
 * Many waits on one timer: `expire` is called for each item once its time has come, never early and at most a
 * few milliseconds late. Adding costs O(1) when deadlines come in order (equal timeouts do) and O(log n) at
 * worst; cancelling only marks the entry, and marked entries are cleared out when they are the majority.
 * The timer is not moved when entries are cancelled: after the last one it fires once, for nothing.
 */
export class Deadlines<Item> {
  readonly #clock: Clock;
  readonly #expire: (item: Item) => void;
  readonly #heap = new Heap<Deadline<Item>>((a, b) => a.at < b.at);
  #cancelled = 0;
  #timer: Timer | undefined;
  #timerAt = Infinity;

  constructor(clock: Clock, expire: (item: Item) => void) {
    this.#clock = clock;
    this.#expire = expire;
  }

  /** Entries that still wait. */
  get size(): number {
    return this.#heap.size - this.#cancelled;
  }

  /** `expire(item)` will be called, in a later turn, once `clock.now()` has reached `at`. */
  add(item: Item, at: number): Deadline<Item> {
    const deadline: Deadline<Item> = { at, item };
    this.#heap.push(deadline);
    if (at < this.#timerAt) this.#arm(at);
    return deadline;
  }

  /** Idempotent; also after it has fired. */
  cancel(deadline: Deadline<Item>): void {
    if (deadline.item === undefined) return;
    deadline.item = undefined;
    this.#cancelled++;
    if (this.#cancelled < CANCELLED_MIN || this.#cancelled * 2 < this.#heap.size) return;
    this.#heap.keep((entry) => entry.item !== undefined);
    this.#cancelled = 0;
  }

  /** Cancels everything and the timer; returns what was still waiting, in order. */
  stop(): Item[] {
    const items: Item[] = [];
    for (let next = this.#heap.pop(); next !== undefined; next = this.#heap.pop()) {
      if (next.item !== undefined) items.push(next.item);
      next.item = undefined;
    }
    this.#cancelled = 0;
    this.#disarm();
    return items;
  }

  #arm(at: number): void {
    this.#disarm();
    this.#timerAt = at;
    const fireAt = Math.ceil(at / SLACK_MS) * SLACK_MS;
    const delayMs = Math.min(Math.max(Math.ceil(fireAt - this.#clock.now()), 0), TIMER_MS_MAX);
    this.#timer = this.#clock.timer(delayMs, () => this.#fire());
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAt = Infinity;
  }

  #fire(): void {
    // Counts as armed until the loop has ended: what `expire` adds need not arm another timer.
    this.#timerAt = -Infinity;
    const now = this.#clock.now();
    let next = this.#heap.peek();
    while (next !== undefined && (next.item === undefined || next.at <= now)) {
      this.#heap.pop();
      const { item } = next;
      next.item = undefined;
      if (item === undefined) this.#cancelled--;
      else this.#expire(item);
      next = this.#heap.peek();
    }
    if (next === undefined) this.#disarm();
    else this.#arm(next.at);
  }
}
