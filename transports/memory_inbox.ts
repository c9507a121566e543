/** The receiving end of a node on a MemoryHub. */
import type { Clock, Timer } from "../src/lib/clock.ts";
import { Heap } from "../src/lib/heap.ts";
import type { TransportSink } from "../src/transport.ts";

interface Arrival {
  readonly dueMs: number;
  readonly order: number;
  readonly deliver: (sink: TransportSink) => void;
}

const before = (a: Arrival, b: Arrival): boolean =>
  a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);

/** What is under way to one node. Everything due is handed over in one turn, by one timer. */
export class Inbox {
  readonly clock: Clock;
  sink: TransportSink | undefined;
  readonly #arrivals = new Heap<Arrival>(before);
  #order = 0;
  #timer: Timer | undefined;
  #timerDueMs = Infinity;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Calls `deliver` at `dueMs` of the clock, never in this turn; after those due earlier or added before. */
  add(dueMs: number, deliver: (sink: TransportSink) => void): void {
    this.#arrivals.push({ dueMs, order: this.#order++, deliver });
    this.#arm();
  }

  close(): void {
    this.sink = undefined;
    this.#arrivals.clear();
    this.#timer?.cancel();
    this.#timerDueMs = Infinity;
  }

  #arm(): void {
    const next = this.#arrivals.peek();
    if (next === undefined || next.dueMs >= this.#timerDueMs) return;
    this.#timer?.cancel();
    this.#timerDueMs = next.dueMs;
    this.#timer = this.clock.timer(next.dueMs - this.clock.now(), () => this.#flush());
  }

  /** What a delivery adds waits for a later turn, as it would on a network. */
  #flush(): void {
    const nowMs = this.clock.now();
    const end = this.#order;
    try {
      for (;;) {
        const next = this.#arrivals.peek();
        if (next === undefined || next.dueMs > nowMs || next.order >= end || this.sink === undefined) break;
        this.#arrivals.pop();
        next.deliver(this.sink);
      }
    } finally {
      this.#timerDueMs = Infinity;
      if (this.sink !== undefined) this.#arm();
    }
  }
}
