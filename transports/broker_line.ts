/**
 * One node's connection to its broker, for ever: opens it, notices when it has fallen silent or takes nothing, opens
 * the next one. What cannot go at once is dropped and counted, since the links send again what was lost.
 */
import { Backoff } from "../src/lib/backoff.ts";
import type { Bytes } from "../src/lib/bytes.ts";
import { type Timer } from "../src/lib/clock.ts";
import { reasonOf } from "../src/lib/errors.ts";
import type { TransportContext } from "../src/transport.ts";
import type { Broker, BrokerConnection, BrokerEvents } from "./broker_contract.ts";
import { Silence } from "./broker_silence.ts";

const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 2_000;
/** An attempt that takes longer has failed. */
const OPEN_MS_MAX = 10_000;
/** A connection that lived so long was worth something: the next attempt is made soon. */
const STABLE_MS = 5_000;
/** What may wait for the broker to take it; bytes, with what each message costs besides. */
const QUEUE_BYTES_MAX = 32 * 1_048_576;
const MESSAGE_COST_BYTES = 256;
/** How long the last messages of a node that stops may take. */
const FLUSH_MS_MAX = 1_000;
/** How long a node that stops waits for what a client library still holds. */
const CLOSE_MS_MAX = 5_000;

/** Why a message did not go. */
export type LineLoss =
  /** There is no connection. */
  | "disconnected"
  /** The broker takes messages more slowly than they come. */
  | "queue-full"
  /** The broker, or the way to it, refused it. */
  | "refused";

export interface LineOptions {
  readonly broker: Broker;
  readonly channels: readonly string[];
  readonly context: TransportContext;
  /** What a node sends to itself to see whether it is heard. */
  readonly echo: Bytes;
  /** All channels are heard, for the first time or again. */
  opened(): void;
  /** As in `BrokerEvents`; echoes too. */
  message(channel: string, message: Uint8Array): void;
  unheard(channel: string): void;
  lost(why: LineLoss): void;
}

/** One attempt to have a connection, and what became of it. */
interface Life {
  connection: BrokerConnection | undefined;
  over: boolean;
  readonly abort: AbortController;
  readonly silence: Silence;
  openedAt: number;
  /** Messages that the broker has not taken yet: how many, their bytes with their cost, and by channel. */
  pending: number;
  pendingBytes: number;
  readonly channelBytes: Map<string, number>;
  /** When something was last taken while others waited. */
  progressAt: number;
}

export class BrokerLine {
  readonly #options: LineOptions;
  readonly #backoff: Backoff;
  /** Connections and attempts that still hold something. */
  readonly #closing = new Set<Promise<void>>();
  #life: Life | undefined;
  #timer: Timer | undefined;
  /** Something was complained of since all was well. */
  #complained = false;
  #lastRefusal: string | undefined;
  #onIdle: () => void = () => {};
  #stopped = false;

  constructor(options: LineOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.context.random, BACKOFF_MS_MIN, BACKOFF_MS_MAX);
  }

  /** Begins in a later turn. */
  start(): void {
    this.#attemptIn(0);
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#timer?.cancel();
    const life = this.#life;
    if (life?.connection !== undefined && life.pending > 0) await this.#flushed();
    if (life !== undefined) this.#end(life);
    await this.#closed();
  }

  publish(channel: string, message: Bytes): void {
    const { context, lost } = this.#options;
    const life = this.#life;
    if (this.#stopped || life?.connection === undefined) return lost("disconnected");
    const cost = message.byteLength + MESSAGE_COST_BYTES;
    if (life.pendingBytes + cost > QUEUE_BYTES_MAX) return lost("queue-full");
    if (life.pending++ === 0) life.progressAt = context.clock.now();
    life.pendingBytes += cost;
    const { byteLength } = message;
    life.channelBytes.set(channel, (life.channelBytes.get(channel) ?? 0) + byteLength);
    const settle = (): void => {
      life.progressAt = context.clock.now();
      life.pendingBytes -= cost;
      const left = (life.channelBytes.get(channel) ?? 0) - byteLength;
      if (left > 0) life.channelBytes.set(channel, left);
      else life.channelBytes.delete(channel);
      if (--life.pending === 0) this.#onIdle();
    };
    life.connection.publish(channel, message).then(settle, (thrown) => {
      settle();
      if (life.over) return;
      lost("refused");
      this.#lastRefusal = reasonOf(thrown);
    });
  }

  /** Bytes handed over for `channel` that the broker has not taken. */
  queuedBytes(channel: string): number {
    return this.#life?.channelBytes.get(channel) ?? 0;
  }

  #closed(): Promise<void> {
    const { broker, context: { clock, logger } } = this.#options;
    return new Promise((resolve) => {
      const timer = clock.timer(CLOSE_MS_MAX, () => {
        logger.warn("a connection to the broker does not close", { broker: broker.address });
        resolve();
      });
      void Promise.all(this.#closing).finally(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #flushed(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.context.clock.timer(FLUSH_MS_MAX, resolve);
      this.#onIdle = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #attemptIn(delayMs: number): void {
    this.#timer = this.#options.context.clock.timer(delayMs, () => this.#attempt());
  }

  #attempt(): void {
    const { broker, channels, context: { clock, random } } = this.#options;
    const life: Life = {
      connection: undefined,
      over: false,
      abort: new AbortController(),
      silence: new Silence(channels, broker, { clock, random }),
      openedAt: Infinity,
      pending: 0,
      pendingBytes: 0,
      channelBytes: new Map(),
      progressAt: 0,
    };
    this.#life = life;
    this.#timer = clock.timer(OPEN_MS_MAX, () => this.#fail(life, `no answer within ${OPEN_MS_MAX} ms`));
    const attempt = broker.open(channels, this.#eventsFor(life), life.abort.signal).then(
      async (connection) => {
        if (life.over) return await connection.close();
        life.connection = connection;
        this.#opened(life);
      },
      (thrown) => this.#fail(life, reasonOf(thrown)),
    );
    this.#hold(attempt);
  }

  #eventsFor(life: Life): BrokerEvents {
    const { message, unheard } = this.#options;
    return {
      message: (channel, bytes) => {
        if (life.over) return;
        life.silence.heard(channel);
        if (life.silence.all && life.connection !== undefined) this.#proven();
        if (!this.#stopped) message(channel, bytes);
      },
      unheard: (channel) => {
        if (!life.over && !this.#stopped) unheard(channel);
      },
      lost: (reason) => this.#fail(life, reason),
    };
  }

  #opened(life: Life): void {
    const { clock } = this.#options.context;
    life.openedAt = life.progressAt = clock.now();
    this.#timer?.cancel();
    this.#lastRefusal = undefined;
    life.silence.begin(
      (channel) => this.publish(channel, this.#options.echo),
      (now) => this.#watch(life, now),
    );
    this.#options.opened();
  }

  #watch(life: Life, now: number): void {
    const { answerMs } = this.#options.broker;
    const silent = life.silence.silentMs(now);
    if (silent !== undefined) this.#fail(life, `heard nothing for ${Math.round(silent)} ms`);
    else if (life.pending > 0 && now - life.progressAt >= answerMs) {
      this.#fail(life, `it took nothing for ${Math.round(now - life.progressAt)} ms`);
    }
  }

  /** The node hears itself: all is well. */
  #proven(): void {
    const { broker, context } = this.#options;
    if (this.#complained) context.logger.info("the broker is reached again", { broker: broker.address });
    this.#complained = false;
  }

  #fail(life: Life, reason: string): void {
    if (life.over) return;
    const { broker, context: { clock, logger } } = this.#options;
    const lived = clock.now() - life.openedAt;
    this.#end(life);
    if (this.#stopped) return;
    const why = this.#lastRefusal === undefined ? reason : `${reason}; ${this.#lastRefusal}`;
    if (!this.#complained) {
      const what = life.connection === undefined ? "the broker is not reached" : "the broker was lost";
      logger.warn(`${what}; trying until it is there`, { broker: broker.address, reason: why });
    }
    this.#complained = true;
    if (lived > STABLE_MS) this.#backoff.reset();
    this.#attemptIn(this.#backoff.next());
  }

  #end(life: Life): void {
    life.over = true;
    this.#timer?.cancel();
    life.silence.end();
    if (this.#life === life) this.#life = undefined;
    life.abort.abort();
    if (life.connection !== undefined) this.#hold(life.connection.close());
  }

  #hold(held: Promise<void>): void {
    this.#closing.add(held);
    void held.finally(() => this.#closing.delete(held));
  }
}
