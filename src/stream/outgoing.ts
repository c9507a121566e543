import type { StreamCall } from "./call.ts";
import type { StreamProgress, StreamResult } from "./contract.ts";
import type { StreamData } from "./cutter.ts";

/**
 * A stream to one connection, to be written to: takes bytes and text of any sizes at the pace of the client. `close`
 * resolves when all of it has arrived; it, or a write, rejects with a `FlotillaError` whose code is the outcome
 * (`not-found`, `closed`, `backpressure`, `too-large`, `unauthorized`, `node-lost`, `timeout`).
 */
export class OutgoingStream extends WritableStream<StreamData> {
  readonly #call: StreamCall;
  readonly #connectionId: string;

  constructor(call: StreamCall, connectionId: string) {
    super(call);
    this.#call = call;
    this.#connectionId = connectionId;
  }

  /** What became of it, once it is over. Rejects `aborted` when the writer gave up. */
  get result(): Promise<StreamResult> {
    return this.#call.results.then((results) => results.get(this.#connectionId) as StreamResult);
  }

  /** Each time it has come further, until it is over; a slow reader gets the latest. */
  get progress(): AsyncIterable<StreamProgress> {
    return this.#call.progress;
  }
}
