import { encodeData, stampData, type StreamHead } from "../client_protocol.ts";
import { type Bytes, fromUtf8 } from "../lib/bytes.ts";
import { FlotillaError } from "../lib/errors.ts";
import { type Digest, newDigest } from "../lib/xxhash.ts";
import type { Outcome } from "../router/outcome.ts";
import { Assembly } from "./assembly.ts";
import { type StreamDelivery, weightOf, WINDOW_BYTES_FIRST } from "./contract.ts";
import { FramedTarget } from "./framed_target.ts";
import type { Abortion, Credit, Ending, Opening, Settlement } from "./frames.ts";
import type { Owner } from "./owner.ts";
import {
  type Chunk,
  ChunksTarget,
  MessageTarget,
  type Place,
  type Target,
  type TargetHost,
} from "./target.ts";

/** Credit is given when so much of the window was taken since the last. */
const CREDIT_SHARE = 8;

/** Where the caller hears of its stream. */
export interface Upstream {
  credit(credit: Credit): void;
  settled(settlement: Settlement): void;
  /** Every connection has its outcome; the receiver is no more. */
  closed(stream: number): void;
}

/** A stream at the node that owns its connections: takes what the caller sends and gives credit for it. */
export class Receiver implements TargetHost {
  readonly #number: number;
  readonly #opening: Opening;
  readonly #owner: Owner;
  readonly #upstream: Upstream;
  readonly #targets: Target[] = [];
  #open = 0;
  #assembly: Assembly | undefined;
  /** Some get each chunk as a message. */
  #inChunks = false;
  /** Undefined where only SDK clients get the stream: they check it themselves. */
  #digest: Digest | undefined;
  /** In what SDK clients are told. */
  #clientStream = -1;
  #windowBytes = WINDOW_BYTES_FIRST;
  #reservedBytes = 0;
  #bytes = 0;
  #chunks = 0;
  #creditedBytes = 0;
  #creditedChunks = 0;
  #leastBytes = 0;
  #passed = 0;
  #ended = false;
  #opened = false;

  constructor(number: number, opening: Opening, owner: Owner, upstream: Upstream) {
    this.#number = number;
    this.#opening = opening;
    this.#owner = owner;
    this.#upstream = upstream;
  }

  /** Finds the connections, reserves what the stream needs and gives the first credit. */
  open(): void {
    this.#opening.handles.forEach((handle, index) => this.#openTarget(handle, index));
    const gathers = this.#targets.some((target) => target instanceof MessageTarget && !target.ended);
    const streams = this.#targets.some((target) => !(target instanceof MessageTarget) && !target.ended);
    const needed = (gathers ? this.#messageBytes : 0) + (streams ? this.#windowBytes : 0);
    if (this.#open > 0 && !this.#owner.budget.take(needed)) {
      for (const target of this.#targets) {
        target.over("backpressure", "the node's streams hold too much already");
      }
    } else if (this.#open > 0) {
      this.#reservedBytes = needed;
      // Room for all of it is there: nothing is won by a slow start.
      if (!streams) this.#windowBytes = this.#wholeWindowBytes;
      if (gathers) this.#assembly = new Assembly(this.#opening.totalBytes);
      this.#inChunks = this.#targets.some((target) => target instanceof ChunksTarget);
      if (gathers || this.#inChunks) this.#digest = newDigest();
    }
    this.#opened = true;
    if (this.#open === 0) return this.#close();
    this.#credit();
  }

  /** @throws FlotillaError `malformed` for more than the credit allows. `frame` has the payload behind its header. */
  data(payload: Bytes, frame?: Bytes): void {
    if (this.#ended) throw this.#broken("data after its end");
    const underWay = weightOf(this.#bytes - this.#creditedBytes, this.#chunks - this.#creditedChunks);
    if (underWay > 0 && underWay + weightOf(payload.byteLength, 1) > this.#windowBytes) {
      throw this.#broken(`${payload.byteLength} bytes beyond its credit`);
    }
    this.#bytes += payload.byteLength;
    this.#chunks++;
    this.#digest?.update(payload);
    if (this.#assembly !== undefined) this.#gather(this.#assembly, payload);
    let message: string | Bytes = payload;
    try {
      if (this.#opening.text && this.#inChunks) message = fromUtf8(payload);
    } catch {
      return this.#spoilt("text that is not UTF-8");
    }
    let framed: Bytes | undefined;
    const chunk: Chunk = {
      payload,
      message,
      framed: () => {
        const stream = this.#clientStream;
        return framed ??= frame === undefined ? encodeData(stream, payload) : stampData(frame, stream);
      },
    };
    for (const target of this.#targets) if (!target.ended) target.data(chunk);
    this.progressed();
  }

  /** @throws FlotillaError `malformed` when it is not of so much as came. */
  end(ending: Ending): void {
    const { bytes, chunks, digest } = ending;
    if (this.#ended) throw this.#broken("two ends");
    if (bytes !== this.#bytes || chunks !== this.#chunks) {
      throw this.#broken(`${this.#bytes} bytes in ${this.#chunks} chunks, not ${bytes} in ${chunks}`);
    }
    this.#ended = true;
    if (this.#digest !== undefined && this.#digest.value() !== digest) {
      return this.#spoilt("another digest than what was sent");
    }
    if (this.#assembly !== undefined) this.#deliverWhole(this.#assembly);
    for (const target of this.#targets) if (!target.ended) target.end(ending);
  }

  /** The caller gave up, or its session ended. */
  abort(abortion: Abortion): void {
    for (const target of this.#targets) if (!target.ended) target.abort(abortion);
  }

  // --- TargetHost ---

  progressed(): void {
    const least = this.#slowest();
    if (least !== undefined && this.#isDue(least)) this.#credit();
  }

  ended(target: Target, outcome: Outcome, reason: string): void {
    target.outlet.budget.give(target.charged);
    target.outlet.leave();
    this.#tell(target.index, outcome, target.arrived, reason);
    this.#open--;
    if (!this.#opened) return;
    if (this.#open === 0) this.#close();
    // The slowest may be gone.
    else this.progressed();
  }

  // --- ---

  get #messageBytes(): number {
    return this.#opening.totalBytes ?? this.#owner.options.messageBytesMax;
  }

  get #wholeWindowBytes(): number {
    const { streamWindowBytes } = this.#owner.options;
    return Math.max(this.#windowBytes, Math.min(streamWindowBytes, this.#messageBytes));
  }

  #openTarget(handle: number, index: number): void {
    const outbox = this.#owner.outbox(handle);
    if (outbox === undefined) return this.#refuse(index, "not-found", "");
    if (!outbox.open) return this.#refuse(index, "closed", "the connection is closing");
    const isFramed = outbox.sink.envelope !== undefined;
    const delivery = this.#opening.delivery ?? (isFramed ? "framed" : "message");
    if (delivery === "framed" && !isFramed) {
      return this.#refuse(index, "unauthorized", "only SDK clients can be given framed streams");
    }
    if (delivery === "message" && (this.#opening.totalBytes ?? 0) > this.#owner.options.messageBytesMax) {
      return this.#refuse(index, "too-large", this.#tooLarge());
    }
    const { stallTimeoutMs } = this.#opening;
    const outlet = this.#owner.outlet(outbox);
    outlet.enter();
    const charged = delivery === "message" ? this.#messageBytes : this.#windowBytes;
    const refusal = delivery === "chunks" && outlet.chunks !== undefined
      ? "another stream in chunks is under way to this connection"
      : outlet.budget.take(charged)
      ? undefined
      : "the connection's streams hold too much already";
    if (refusal !== undefined) {
      outlet.leave();
      return this.#refuse(index, "backpressure", refusal);
    }
    this.#open++;
    const target = this.#target(delivery, { index, host: this, outlet, charged, stallTimeoutMs });
    this.#targets.push(target);
    if (!target.ended) target.watch = this.#owner.watch.watch(target);
  }

  #target(delivery: StreamDelivery, place: Place): Target {
    switch (delivery) {
      case "message":
        return new MessageTarget(place);
      case "chunks":
        return new ChunksTarget(place);
      case "framed":
        if (this.#clientStream < 0) this.#clientStream = this.#owner.nextClientStream();
        return new FramedTarget(place, this.#clientStream, this.#head);
    }
  }

  get #head(): StreamHead {
    const { text, totalBytes, metadata } = this.#opening;
    return { text, totalBytes, metadata };
  }

  #gather(assembly: Assembly, payload: Bytes): void {
    assembly.add(payload);
    if (assembly.bytes <= this.#messageBytes) return;
    this.#assembly = undefined;
    for (const target of this.#targets) {
      if (target instanceof MessageTarget) target.over("too-large", this.#tooLarge());
    }
  }

  #tooLarge(): string {
    const { messageBytesMax } = this.#owner.options;
    return `longer than ${messageBytesMax} bytes cannot be one message: use delivery: "chunks"`;
  }

  #deliverWhole(assembly: Assembly): void {
    this.#assembly = undefined;
    let whole: string | Bytes;
    try {
      whole = assembly.whole(this.#opening.text);
    } catch {
      return this.#spoilt("text that is not UTF-8");
    }
    for (const target of this.#targets) {
      if (target instanceof MessageTarget && !target.ended) target.whole(whole);
    }
  }

  /**
   * The slowest connection that is still in. Nobody is behind `#leastBytes`, and the first `#passed` are beyond it: so
   * all of them together cost one look at each for each step of the slowest.
   */
  #slowest(): Target | undefined {
    for (; this.#passed < this.#targets.length; this.#passed++) {
      const target = this.#targets[this.#passed] as Target;
      if (!target.ended && target.bytes === this.#leastBytes) return target;
    }
    let slowest: Target | undefined;
    for (const [index, target] of this.#targets.entries()) {
      if (target.ended || (slowest !== undefined && target.bytes >= slowest.bytes)) continue;
      slowest = target;
      this.#leastBytes = target.bytes;
      this.#passed = index;
    }
    return slowest;
  }

  #isDue(least: { readonly bytes: number; readonly chunks: number }): boolean {
    const taken = weightOf(least.bytes - this.#creditedBytes, least.chunks - this.#creditedChunks);
    if (taken === 0) return false;
    return taken * CREDIT_SHARE >= this.#windowBytes || least.bytes === this.#bytes;
  }

  #credit(): void {
    const least = this.#slowest();
    if (least === undefined) return;
    // The caller sends as fast as it may: it could use a larger window.
    const underWay = weightOf(this.#bytes - this.#creditedBytes, this.#chunks - this.#creditedChunks);
    if (underWay * 2 > this.#windowBytes) this.#grow();
    this.#creditedBytes = least.bytes;
    // What SDK clients say of chunks need not fit their bytes.
    this.#creditedChunks = Math.max(this.#creditedChunks, least.chunks);
    this.#upstream.credit({
      stream: this.#number,
      windowBytes: this.#windowBytes,
      bytes: least.bytes,
      chunks: this.#creditedChunks,
    });
  }

  /** Doubles the window where the budgets of node and connections allow. */
  #grow(): void {
    const extra = Math.min(this.#windowBytes, this.#owner.options.streamWindowBytes - this.#windowBytes);
    const holders = this.#targets.filter((target) => !target.ended && !(target instanceof MessageTarget));
    if (extra <= 0) return;
    const charged = holders.filter(({ outlet }) => outlet.budget.take(extra));
    if (charged.length < holders.length || (holders.length > 0 && !this.#owner.budget.take(extra))) {
      for (const { outlet } of charged) outlet.budget.give(extra);
      return;
    }
    for (const target of holders) target.charged += extra;
    if (holders.length > 0) this.#reservedBytes += extra;
    this.#windowBytes += extra;
  }

  #refuse(index: number, outcome: Outcome, reason: string): void {
    this.#tell(index, outcome, { bytes: 0, chunks: 0 }, reason);
  }

  #tell(
    index: number,
    outcome: Outcome,
    { bytes, chunks }: { readonly bytes: number; readonly chunks: number },
    reason: string,
  ): void {
    this.#upstream.settled({ stream: this.#number, target: index, outcome, bytes, chunks, reason });
  }

  #close(): void {
    this.#owner.budget.give(this.#reservedBytes);
    this.#reservedBytes = 0;
    this.#assembly = undefined;
    this.#upstream.closed(this.#number);
  }

  /** The source may have changed what it had handed over already: that is no reason to end the session. */
  #spoilt(what: string): void {
    this.abort({ code: "malformed", reason: `what came has ${what}` });
  }

  #broken(what: string): FlotillaError {
    return new FlotillaError("malformed", `receive stream ${this.#number}: it has ${what}`);
  }
}
