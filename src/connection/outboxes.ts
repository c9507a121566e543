import type { Clock } from "../lib/clock.ts";
import { Outbox, OUTBOX_DEFAULTS, type OutboxCounters, type OutboxOptions } from "./outbox.ts";
import type { ConnectionSink } from "./sink.ts";

/** The outboxes of this node's own connections, by connectionId. */
export class Outboxes {
  /** Sums over all outboxes ever opened here. */
  readonly counters: OutboxCounters = { messagesOut: 0, bytesOut: 0, queuedBytes: 0 };
  readonly #outboxes = new Map<string, Outbox>();
  readonly #clock: Pick<Clock, "now">;
  readonly #options: OutboxOptions;

  constructor(clock: Pick<Clock, "now">, options: Partial<OutboxOptions> = {}) {
    this.#clock = clock;
    this.#options = { ...OUTBOX_DEFAULTS, ...options };
  }

  get size(): number {
    return this.#outboxes.size;
  }

  get(connectionId: string): Outbox | undefined {
    return this.#outboxes.get(connectionId);
  }

  /** The outbox over `sink`, which replaces any other of this connection. That one is let go, not closed. */
  open(connectionId: string, sink: ConnectionSink): Outbox {
    const known = this.#outboxes.get(connectionId);
    if (known !== undefined && known.sink === sink) return known;
    const outbox = new Outbox(sink, this.#clock, this.#options, this.counters);
    this.#outboxes.set(connectionId, outbox);
    known?.closed();
    return outbox;
  }

  /**
   * Lets the connection go (it is unregistered, or its socket has closed): what has not left ends `closed`.
   * With `sink`: only if that is still the one. False when there was nothing to let go.
   */
  remove(connectionId: string, sink?: ConnectionSink): boolean {
    const outbox = this.#outboxes.get(connectionId);
    if (outbox === undefined || (sink !== undefined && outbox.sink !== sink)) return false;
    this.#outboxes.delete(connectionId);
    outbox.closed();
    return true;
  }

  /** Ids in the order in which they were opened. */
  ids(): IterableIterator<string> {
    return this.#outboxes.keys();
  }
}
