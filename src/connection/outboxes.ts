import type { Clock } from "../lib/clock.ts";
import { closeSink, Outbox, OUTBOX_DEFAULTS, type OutboxCounters, type OutboxOptions } from "./outbox.ts";
import type { ConnectionSink } from "./sink.ts";

/** The outboxes of this node's own connections, by connectionId. */
export class Outboxes {
  /** Sums over all outboxes ever opened here. */
  readonly counters: OutboxCounters = { messagesOut: 0, bytesOut: 0, queuedBytes: 0, slowConsumers: 0 };
  readonly #outboxes = new Map<string, Outbox>();
  /** Weak: nobody may ever say that such a socket has closed. */
  readonly #replaced = new WeakMap<ConnectionSink, Outbox>();
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

  /** The outbox over `sink`. It replaces any other of this connection, whose socket the caller closes. */
  open(connectionId: string, sink: ConnectionSink): Outbox {
    const known = this.#outboxes.get(connectionId);
    if (known !== undefined && known.sink === sink) return known;
    const outbox = new Outbox(sink, this.#clock, this.#options, this.counters);
    this.#outboxes.set(connectionId, outbox);
    if (known !== undefined) this.#retire(known);
    return outbox;
  }

  /**
   * Another connection has this id now: closes the socket. What its buffer has may still leave; that is
   * settled by its drain or by `remove` with its sink. False when there was none.
   */
  replace(connectionId: string, code: number, reason: string): boolean {
    const outbox = this.#outboxes.get(connectionId);
    if (outbox === undefined) return false;
    this.#outboxes.delete(connectionId);
    this.#retire(outbox);
    closeSink(outbox.sink, code, reason);
    return true;
  }

  /**
   * The connection's socket has closed: what was not seen to leave ends `closed`. With `sink`: that socket
   * has, which may have been replaced before. True when it was the connection's, which has none now.
   */
  remove(connectionId: string, sink?: ConnectionSink): boolean {
    const outbox = this.#outboxes.get(connectionId);
    if (sink !== undefined && outbox?.sink !== sink) {
      this.#replaced.get(sink)?.closed();
      return false;
    }
    this.#outboxes.delete(connectionId);
    outbox?.closed();
    return outbox !== undefined;
  }

  /** Ids in the order in which they were opened. */
  ids(): IterableIterator<string> {
    return this.#outboxes.keys();
  }

  #retire(outbox: Outbox): void {
    outbox.retire();
    this.#replaced.set(outbox.sink, outbox);
  }
}
