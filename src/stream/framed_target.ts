import { encodeAbort, encodeEnd, encodeOpen, type StreamHead } from "../client_protocol.ts";
import type { Bytes } from "../lib/bytes.ts";
import { FlotillaError } from "../lib/errors.ts";
import type { Outcome } from "../router/outcome.ts";
import type { Abortion, Ending } from "./frames.ts";
import { Feed } from "./outlet.ts";
import { type Chunk, type Place, Target } from "./target.ts";

/** A stream of an SDK client: credited by what its reader has consumed, over when it says that all was there. */
export class FramedTarget extends Target {
  readonly #stream: number;
  #sentBytes = 0;
  #sentChunks = 0;

  /** `stream` is its number in what the client is told. */
  constructor(place: Place, stream: number, head: StreamHead) {
    super(place);
    this.#stream = stream;
    place.outlet.framed.set(stream, this);
    this.#frame(encodeOpen(stream, head));
  }

  override data({ payload, framed }: Chunk): void {
    this.#sentBytes += payload.byteLength;
    this.#sentChunks++;
    this.#frame(framed());
  }

  override end(ending: Ending): void {
    super.end(ending);
    this.#frame(encodeEnd(this.#stream, ending.bytes, ending.digest));
  }

  /** Once the client has everything, only its reader's progress counts. */
  override mark(): number | undefined {
    if (!this.feed.idle) return super.mark();
    // Of both, since either fills the window.
    const taken = this.bytes + this.chunks;
    const waits = taken < this.#sentBytes + this.#sentChunks || this.ending !== undefined;
    return waits ? taken : undefined;
  }

  override over(outcome: Outcome, reason: string): void {
    if (this.ended) return;
    this.outlet.framed.delete(this.#stream);
    if (outcome === "timeout" || outcome === "backpressure") this.farewell({ code: outcome, reason });
    super.over(outcome, reason);
  }

  // --- What the client says ---

  /** @throws FlotillaError `malformed` for more than it was sent, or less than it had said before. */
  credited(bytes: number, chunks: number): void {
    const isPossible = bytes >= this.bytes && bytes <= this.#sentBytes && chunks >= this.chunks &&
      chunks <= this.#sentChunks;
    if (!isPossible) {
      throw new FlotillaError(
        "malformed",
        `a client says it took ${bytes} bytes of stream ${this.#stream}, which has ${this.#sentBytes}`,
      );
    }
    this.bytes = bytes;
    this.chunks = chunks;
    this.host.progressed();
  }

  cancelled(reason: string): void {
    this.over("closed", `the client cancelled: ${reason}`);
  }

  /** @throws FlotillaError `malformed` before the end was sent. */
  finished(): void {
    if (this.ending === undefined) {
      throw new FlotillaError(
        "malformed",
        `a client says stream ${this.#stream} is finished, which it is not`,
      );
    }
    this.bytes = this.ending.bytes;
    this.chunks = this.ending.chunks;
    this.over("acknowledged", "");
  }

  protected override farewell({ code, reason }: Abortion): void {
    this.feed.items.clear();
    const frame = encodeAbort(this.#stream, code, reason);
    // In a feed of its own: it is to leave although the stream is over.
    this.outlet.push(new Feed(), { data: frame, bytes: frame.byteLength, message: false, done: () => {} });
  }

  #frame(frame: Bytes): void {
    this.send(frame, frame.byteLength, false, () => {});
  }
}
