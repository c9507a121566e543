import type { Bytes } from "../lib/bytes.ts";
import type { SendOutcome } from "../connection/outbox.ts";
import type { Unsubscribe } from "../lib/events.ts";
import type { Outcome } from "../router/outcome.ts";
import type { Abortion, Ending } from "./frames.ts";
import { Feed, type Outlet } from "./outlet.ts";
import type { Watch, Watched } from "./stall_watch.ts";

/** A chunk as the owner has it. */
export interface Chunk {
  readonly payload: Bytes;
  /** The same as a message of the application. */
  readonly message: string | Bytes;
  /** The same as a `data` message of an SDK client; made once, however many get it. */
  readonly framed: () => Bytes;
}

/** Who hears of a target. */
export interface TargetHost {
  /** The client has taken more. */
  progressed(): void;
  /** The stream is over for this connection. */
  ended(target: Target, outcome: Outcome, reason: string): void;
}

/** Where a target stands. */
export interface Place {
  /** Among the stream's connections. */
  readonly index: number;
  readonly host: TargetHost;
  readonly outlet: Outlet;
  /** Bytes of the connection's budget that it holds. */
  readonly charged: number;
  readonly stallTimeoutMs: number;
}

/** One connection of a stream, at its owner. What differs between the deliveries is in the three kinds below. */
export abstract class Target implements Watched {
  readonly index: number;
  readonly outlet: Outlet;
  readonly limitMs: number;
  /** Bytes of the connection's budget that it holds. */
  charged: number;
  /** What the client has taken, as far as credit goes. */
  bytes = 0;
  chunks = 0;
  watch: Watch | undefined = undefined;
  protected readonly host: TargetHost;
  protected readonly feed: Feed = new Feed();
  protected ending: Ending | undefined = undefined;
  #ended = false;
  readonly #unsubscribe: Unsubscribe;

  /** The connection must be open. */
  constructor({ index, host, outlet, charged, stallTimeoutMs }: Place) {
    this.index = index;
    this.host = host;
    this.outlet = outlet;
    this.charged = charged;
    this.limitMs = stallTimeoutMs;
    this.#unsubscribe = outlet.outbox.whenClosed(() => this.over("closed", "the connection closed"));
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What has arrived, for the result. */
  get arrived(): { readonly bytes: number; readonly chunks: number } {
    return this;
  }

  abstract data(chunk: Chunk): void;

  end(ending: Ending): void {
    this.ending = ending;
  }

  /** The caller, or its node, is gone. */
  abort(abortion: Abortion): void {
    this.farewell(abortion);
    this.over("closed", abortion.reason);
  }

  mark(): number | undefined {
    return this.feed.idle ? undefined : this.outlet.outbox.leftBytes + this.bytes;
  }

  stalled(): void {
    this.over("timeout", `the client took nothing for ${this.limitMs} ms`);
  }

  /** Ends it, once; what it still had for the client is dropped. */
  over(outcome: Outcome, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unsubscribe();
    this.watch?.stop();
    this.feed.items.clear();
    this.host.ended(this, outcome, reason);
  }

  /** Tells the client that no more will come, where it can be told. */
  protected farewell(_abortion: Abortion): void {}

  protected send(data: string | Bytes, bytes: number, message: boolean, done: () => void): void {
    this.outlet.push(this.feed, {
      data,
      bytes,
      message,
      done: (outcome: SendOutcome) => {
        if (this.#ended) return;
        if (outcome === "delivered") done();
        else this.over(outcome, "the connection closed");
      },
    });
  }
}

/** Each chunk as a message. */
export class ChunksTarget extends Target {
  constructor(place: Place) {
    super(place);
    place.outlet.chunks = this;
  }

  override data({ payload: { byteLength }, message }: Chunk): void {
    this.send(message, byteLength, true, () => {
      this.bytes += byteLength;
      this.chunks++;
      this.host.progressed();
      this.#finish();
    });
  }

  override end(ending: Ending): void {
    super.end(ending);
    this.#finish();
  }

  override over(outcome: Outcome, reason: string): void {
    if (this.outlet.chunks === this) this.outlet.chunks = undefined;
    super.over(outcome, reason);
  }

  #finish(): void {
    if (this.ending !== undefined && this.feed.idle) this.over("delivered", "");
  }
}

/** All of it as one message. Its bytes are gathered by the receiver, once for all such targets. */
export class MessageTarget extends Target {
  #delivered = false;

  override get arrived(): { readonly bytes: number; readonly chunks: number } {
    return this.#delivered ? this : { bytes: 0, chunks: 0 };
  }

  /** Room for it was reserved: it counts as taken. */
  override data({ payload }: Chunk): void {
    this.bytes += payload.byteLength;
    this.chunks++;
  }

  whole(data: string | Bytes): void {
    this.send(data, this.bytes, true, () => {
      this.#delivered = true;
      this.over("delivered", "");
    });
  }
}
