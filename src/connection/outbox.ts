import type { Bytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { CLOSE } from "../lib/close_codes.ts";
import { Deque } from "../lib/deque.ts";
import type { Unsubscribe } from "../lib/events.ts";
import type { ConnectionSink } from "./sink.ts";

/** What one `send` came to. A subset of the router's outcomes, by the same names. */
export type SendOutcome =
  /** The bytes are in the kernel. */
  | "delivered"
  /** The socket closed, or was closing, before they were. */
  | "closed"
  /** Not taken: the queue is full. */
  | "backpressure"
  /** Its time ran out while it was queued; it was never handed to the socket. */
  | "timeout";

/**
 * What happens when a client reads more slowly than messages come and its queue is full:
 * - `close`: the socket is closed with 4008, and what is queued ends `closed`.
 * - `drop`: the newest message is refused (`backpressure`); nothing that was accepted is lost.
 * - `wait`: refused likewise, and `whenWritable` tells when to try again.
 */
export type SlowConsumerPolicy = "close" | "drop" | "wait";

export interface OutboxOptions {
  /**
   * With so many bytes queued for one socket, its own buffer included, no further message is taken. Default 1
   * MiB.
   */
  readonly outboxBytesMax: number;
  /**
   * Bytes kept in the socket's own buffer; the rest waits here, where it can still be given up. Default 256
   * KiB.
   */
  readonly sinkBytesMax: number;
  /** Default `close`. */
  readonly slowConsumer: SlowConsumerPolicy;
}

export const OUTBOX_DEFAULTS: OutboxOptions = {
  outboxBytesMax: 1_048_576,
  sinkBytesMax: 262_144,
  slowConsumer: "close",
};

/** Charged for each queued message besides its bytes, so that empty messages are bounded too. */
const MESSAGE_OVERHEAD_BYTES = 64;

/** Sums over all outboxes that share the object. */
export interface OutboxCounters {
  /** Messages and bytes handed to sockets; monotonic. */
  messagesOut: number;
  bytesOut: number;
  /** Bytes accepted and not yet in the kernel. */
  queuedBytes: number;
  /** Sockets closed with 4008; monotonic. */
  slowConsumers: number;
}

interface Entry {
  readonly data: string | Bytes;
  readonly bytes: number;
  readonly done: (outcome: SendOutcome) => void;
  /** In `Clock.now()`; matters while it is queued here. */
  expiresAt: number;
  /** The count of handed bytes at which this message is out. */
  end: number;
}

/**
 * The one way to a local socket: a queue in order, bounded in bytes, that knows what became of each message.
 * A message is `delivered` when the socket's buffer shows that its last byte has left: with every byte ever
 * handed over counted, those are the ones beyond `bufferedBytes`. A socket that counts framing too only makes
 * that later, never earlier.
 */
export class Outbox {
  readonly options: OutboxOptions;
  readonly sink: ConnectionSink;
  readonly #clock: Pick<Clock, "now">;
  readonly #counters: OutboxCounters;
  /** In the socket's buffer, oldest first. */
  readonly #handed = new Deque<Entry>();
  /** Not yet in the socket's buffer, oldest first. */
  readonly #queue = new Deque<Entry>();
  #handedBytes = 0;
  #queuedBytes = 0;
  /** The oldest of both that is longer than the whole queue may be. */
  #long: Entry | undefined = undefined;
  #writable: (() => void)[] | undefined = undefined;
  #leaving: Set<() => void> | undefined = undefined;
  #state: "open" | "closing" | "closed" = "open";

  constructor(
    sink: ConnectionSink,
    clock: Pick<Clock, "now">,
    options: OutboxOptions,
    counters: OutboxCounters,
  ) {
    this.sink = sink;
    this.options = options;
    this.#clock = clock;
    this.#counters = counters;
    sink.onDrain = () => this.#drained();
  }

  /** Bytes accepted and not yet in the kernel. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Bytes that were seen to leave for the kernel; only grows. */
  get leftBytes(): number {
    return this.#handedBytes - Math.min(this.#bufferedBytes, this.#handedBytes);
  }

  /** False from `close()` or `closed()` on. */
  get open(): boolean {
    return this.#state === "open";
  }

  /**
   * Looks at what is queued, not at what comes: several runtimes show a message as buffered until the next
   * turn, and a client is not slow because a long one follows a short one. Nor because it gets one that is
   * longer than the whole queue: as long as that is here, only what else waits counts.
   */
  get full(): boolean {
    const messages = this.#handed.size + this.#queue.size;
    const waitingBytes = this.#queuedBytes - (this.#long?.bytes ?? 0);
    return waitingBytes + messages * MESSAGE_OVERHEAD_BYTES >= this.options.outboxBytesMax;
  }

  /**
   * Sends `data` of `bytes` bytes (of UTF-8, for a string) and calls `done` exactly once: before this returns
   * when the kernel took everything at once, or when the message is refused. The bytes must not be changed
   * before that. A message that is still queued here after `remainingMs` is given up as `timeout`.
   */
  send(
    data: string | Bytes,
    bytes: number,
    done: (outcome: SendOutcome) => void,
    remainingMs: number = Infinity,
  ): void {
    if (this.#state !== "open") return done("closed");
    if (this.full) return this.#refuse(done);
    const entry: Entry = { data, bytes, done, expiresAt: Infinity, end: 0 };
    this.#queuedBytes += bytes;
    this.#counters.queuedBytes += bytes;
    if (this.#isLong(entry)) this.#long ??= entry;
    // With nothing of ours in the socket's buffer there is room: asking costs a tenth of a delivery on Deno.
    const room = this.#handed.size === 0 || this.#bufferedBytes < this.options.sinkBytesMax;
    if (room && this.#queue.size === 0) return this.#hand(entry);
    entry.expiresAt = this.#clock.now() + remainingMs;
    this.#queue.pushBack(entry);
  }

  /** Sends an application's message: in its envelope, to a client that also gets frames of ours. */
  sendMessage(
    data: string | Bytes,
    bytes: number,
    done: (outcome: SendOutcome) => void,
    remainingMs?: number,
  ): void {
    const { envelope } = this.sink;
    if (envelope === undefined || typeof data === "string") return this.send(data, bytes, done, remainingMs);
    const enveloped = envelope(data);
    this.send(enveloped, enveloped.byteLength, done, remainingMs);
  }

  /** Calls `listener` once: when the queue is half empty, or takes nothing any more. */
  whenWritable(listener: () => void): void {
    if (this.#state !== "open") return listener();
    (this.#writable ??= []).push(listener);
  }

  /** Calls `listener` once, when new messages end `closed`; at once if they do already. */
  whenClosed(listener: () => void): Unsubscribe {
    if (this.#state !== "open") {
      listener();
      return () => {};
    }
    const leaving = this.#leaving ??= new Set();
    leaving.add(listener);
    return () => void leaving.delete(listener);
  }

  /** Hands over what is queued, then starts the closing handshake; new messages end `closed`. Idempotent. */
  close(code: number, reason: string): void {
    if (this.#state !== "open") return;
    this.finish();
    closeSink(this.sink, code, reason);
  }

  /** Hands over what is queued; new messages end `closed`. The socket stays open for the other side to close. */
  finish(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#pump(Infinity);
    this.#tellLeaving();
  }

  /**
   * Another socket takes over: what this one's buffer does not have yet ends `closed`, as do new messages.
   */
  retire(): void {
    if (this.#state !== "open") return;
    // What the buffer has may still leave: its drain or its end decides.
    this.#state = "closing";
    this.#lose(this.#queue);
    this.#tellLeaving();
  }

  /** The socket is gone: what was not seen to leave ends `closed`. Idempotent. */
  closed(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.sink.onDrain = undefined;
    this.#lose(this.#handed);
    this.#lose(this.#queue);
    this.#tellLeaving();
  }

  #refuse(done: (outcome: SendOutcome) => void): void {
    if (this.options.slowConsumer !== "close") return done("backpressure");
    this.retire();
    this.#counters.slowConsumers++;
    closeSink(this.sink, CLOSE.slowConsumer, "the client reads too slowly");
    done("closed");
  }

  #hand(entry: Entry): void {
    if (!this.#trySend(entry.data)) {
      this.#handed.pushBack(entry);
      return this.closed();
    }
    this.#counters.messagesOut++;
    this.#counters.bytesOut += entry.bytes;
    this.#handedBytes += entry.bytes;
    entry.end = this.#handedBytes;
    const bufferedBytes = this.#bufferedBytes;
    if (this.#handed.size === 0 && bufferedBytes === 0) return this.#settle(entry, "delivered");
    this.#handed.pushBack(entry);
    this.#collect(bufferedBytes);
  }

  // A sink of the application's that throws must not harm the node that sent the message.

  #trySend(data: string | Bytes): boolean {
    return guarded(() => this.sink.send(data), false);
  }

  get #bufferedBytes(): number {
    return guarded(() => this.sink.bufferedBytes, Infinity);
  }

  /** Settles what has left the socket's buffer. */
  #collect(bufferedBytes: number): void {
    const left = this.#handedBytes - bufferedBytes;
    for (
      let first = this.#handed.front();
      first !== undefined && first.end <= left;
      first = this.#handed.front()
    ) {
      this.#handed.popFront();
      this.#settle(first, "delivered");
    }
  }

  #drained(): void {
    this.#collect(this.#bufferedBytes);
    this.#pump(this.options.sinkBytesMax);
    if (this.#queuedBytes * 2 <= this.options.outboxBytesMax) this.#tellWritable();
  }

  /** Feeds the socket from the queue up to `sinkBytesMax` in its buffer. */
  #pump(sinkBytesMax: number): void {
    while (this.#queue.size > 0 && this.#bufferedBytes < sinkBytesMax) {
      const entry = this.#queue.popFront() as Entry;
      if (entry.expiresAt <= this.#clock.now()) this.#settle(entry, "timeout");
      else this.#hand(entry);
    }
  }

  #lose(entries: Deque<Entry>): void {
    for (let entry = entries.popFront(); entry !== undefined; entry = entries.popFront()) {
      this.#settle(entry, "closed");
    }
  }

  #settle(entry: Entry, outcome: SendOutcome): void {
    this.#queuedBytes -= entry.bytes;
    this.#counters.queuedBytes -= entry.bytes;
    if (entry === this.#long) this.#long = this.#oldestLong();
    entry.done(outcome);
  }

  #isLong({ bytes }: Entry): boolean {
    return bytes > this.options.outboxBytesMax;
  }

  #oldestLong(): Entry | undefined {
    for (const entries of [this.#handed, this.#queue]) {
      for (const entry of entries) if (this.#isLong(entry)) return entry;
    }
    return undefined;
  }

  #tellLeaving(): void {
    this.#tellWritable();
    const listeners = this.#leaving;
    this.#leaving = undefined;
    for (const listener of listeners ?? []) listener();
  }

  #tellWritable(): void {
    const listeners = this.#writable;
    if (listeners === undefined) return;
    this.#writable = undefined;
    for (const listener of listeners) listener();
  }
}

/** Closes a sink, whatever it makes of that. */
export function closeSink(sink: ConnectionSink, code: number, reason: string): void {
  guarded(() => sink.close(code, reason), undefined);
}

/** What `call` returns, or `otherwise` if it throws. */
function guarded<Value>(call: () => Value, otherwise: Value): Value {
  try {
    return call();
  } catch {
    return otherwise;
  }
}
