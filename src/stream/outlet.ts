import type { Outbox, SendOutcome } from "../connection/outbox.ts";
import type { Bytes } from "../lib/bytes.ts";
import { Deque } from "../lib/deque.ts";
import type { Unsubscribe } from "../lib/events.ts";
import { ByteBudget } from "../router/byte_budget.ts";
import { weightOf } from "./contract.ts";

/** What the streams may weigh in one outbox: a message to the same client waits behind no more. */
const OUTLET_BYTES = 131_072;

/** One message of a stream to its client. */
export interface Item {
  readonly data: string | Bytes;
  readonly bytes: number;
  /** The application's, so that an SDK client gets it in an envelope. */
  readonly message: boolean;
  readonly done: (outcome: SendOutcome) => void;
}

/** A stream that its SDK client says something about. */
export interface ClientStream {
  credited(bytes: number, chunks: number): void;
  cancelled(reason: string): void;
  finished(): void;
}

/** What one stream has for the client. */
export class Feed {
  readonly items: Deque<Item> = new Deque();
  /** Items that the outbox has. */
  underWay = 0;

  get idle(): boolean {
    return this.items.size === 0 && this.underWay === 0;
  }
}

/**
 * All streams to one connection: feeds its outbox from them in turns, and never so much that messages have to wait
 * long, or that the client would pass for a slow consumer.
 */
export class Outlet {
  readonly outbox: Outbox;
  /** What the connection's streams may hold here. */
  readonly budget: ByteBudget;
  /** The one stream in chunks, which may have no other beside it. */
  chunks: object | undefined = undefined;
  /** Streams of an SDK client, by the numbers it knows them by. */
  readonly framed: Map<number, ClientStream> = new Map();
  readonly #ring = new Deque<Feed>();
  readonly #over: () => void;
  readonly #unsubscribe: Unsubscribe;
  #streams = 0;
  #underWayBytes = 0;
  #pumping = false;
  #waiting = false;

  /**
   * The connection must be open. Calls `over` when it closes, or when there is no stream left and nothing in the
   * outbox of those that were: until then, new streams must come here.
   */
  constructor(outbox: Outbox, bytesMax: number, over: () => void) {
    this.outbox = outbox;
    this.budget = new ByteBudget(bytesMax);
    this.#over = over;
    this.#unsubscribe = outbox.whenClosed(over);
  }

  /** A stream more. */
  enter(): void {
    this.#streams++;
  }

  /** A stream less. */
  leave(): void {
    this.#streams--;
    this.#endIfIdle();
  }

  push(feed: Feed, item: Item): void {
    feed.items.pushBack(item);
    if (feed.items.size === 1) this.#ring.pushBack(feed);
    this.#pump();
  }

  #pump(): void {
    // What is done at once calls back from within.
    if (this.#pumping || this.#waiting) return;
    this.#pumping = true;
    while (this.#underWayBytes < OUTLET_BYTES && this.#ring.size > 0 && this.#hasRoom()) {
      const feed = this.#ring.popFront() as Feed;
      const item = feed.items.popFront();
      if (item === undefined) continue;
      if (feed.items.size > 0) this.#ring.pushBack(feed);
      this.#send(feed, item);
    }
    this.#pumping = false;
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (this.#pumping || this.#streams > 0 || this.#underWayBytes > 0 || this.#ring.size > 0) return;
    this.#unsubscribe();
    this.#over();
  }

  #hasRoom(): boolean {
    // One that has closed takes everything, and says so of each.
    if (!this.outbox.full || !this.outbox.open) return true;
    this.#waiting = true;
    this.outbox.whenWritable(() => {
      this.#waiting = false;
      this.#pump();
    });
    return false;
  }

  #send(feed: Feed, { data, bytes, message, done }: Item): void {
    const weight = weightOf(bytes, 1);
    this.#underWayBytes += weight;
    feed.underWay++;
    const sent = (outcome: SendOutcome): void => {
      this.#underWayBytes -= weight;
      feed.underWay--;
      done(outcome);
      this.#pump();
    };
    if (message) this.outbox.sendMessage(data, bytes, sent);
    else this.outbox.send(data as Bytes, bytes, sent);
  }
}
