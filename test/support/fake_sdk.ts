import {
  decodeToClient,
  encodeCancel,
  encodeCredit,
  encodeFinished,
  encodeMessage,
  type StreamHead,
} from "../../src/client_protocol.ts";
import { type Bytes, concatBytes, fromUtf8 } from "../../src/lib/bytes.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { newDigest } from "../../src/lib/xxhash.ts";
import { FakeSink } from "./fake_sink.ts";

/** A stream as an SDK client has it. */
export interface SdkStream {
  readonly number: number;
  readonly head: StreamHead;
  readonly parts: Bytes[];
  bytes: number;
  /** What its reader has consumed. */
  readBytes: number;
  readChunks: number;
  end: { readonly bytes: number; readonly digest: bigint } | undefined;
  /** Count and digest of the end were right. */
  verified: boolean;
  aborted: { readonly code: string; readonly message: string } | undefined;
}

/** How an SDK client says something to its node. */
export type Say = (frame: Bytes) => void;

/**
 * The socket of an SDK client: speaks `client_protocol.ts`. Its reader consumes everything in the turn after it came,
 * and says so once a turn, as long as `reading` holds.
 */
export class FakeSdk extends FakeSink {
  readonly envelope: (message: Bytes) => Bytes = encodeMessage;
  /** In the order in which they came. */
  readonly streams: SdkStream[] = [];
  /** Messages of the application. */
  readonly messages: (string | Bytes)[] = [];
  say: Say = () => {};
  readonly #time: Clock;
  readonly #byNumber = new Map<number, SdkStream>();
  readonly #news = new Set<SdkStream>();
  #telling = false;
  #reading = true;

  constructor(clock: Clock, bytesPerMs?: number) {
    super(clock, bytesPerMs);
    this.#time = clock;
    this.onReceived = (data) => this.#received(data);
  }

  set reading(value: boolean) {
    this.#reading = value;
    this.#tellSoon();
  }

  cancel(stream: SdkStream, reason: string): void {
    this.#byNumber.delete(stream.number);
    this.say(encodeCancel(stream.number, reason));
  }

  #received(data: string | Bytes): void {
    if (typeof data === "string") return void this.messages.push(data);
    const said = decodeToClient(data);
    if (said.kind === "message") return void this.messages.push(said.payload);
    if (said.kind === "hello" || said.kind === "goodbye") return;
    if (said.kind === "open") {
      const stream = newStream(said.stream, said.head);
      this.streams.push(stream);
      this.#byNumber.set(said.stream, stream);
      return;
    }
    const stream = this.#byNumber.get(said.stream);
    if (stream === undefined) return;
    if (said.kind === "abort") stream.aborted = { code: said.code, message: said.message };
    else if (said.kind === "end") stream.end = said;
    else {
      stream.parts.push(said.payload);
      stream.bytes += said.payload.byteLength;
    }
    this.#news.add(stream);
    this.#tellSoon();
  }

  #tellSoon(): void {
    if (this.#telling) return;
    this.#telling = true;
    this.#time.timer(0, () => {
      this.#telling = false;
      if (!this.#reading || this.closedWith !== undefined) return;
      const news = [...this.#news];
      this.#news.clear();
      for (const stream of news) this.#read(stream);
    });
  }

  #read(stream: SdkStream): void {
    if (stream.aborted !== undefined || this.#byNumber.get(stream.number) !== stream) return;
    if (stream.readBytes < stream.bytes) {
      stream.readBytes = stream.bytes;
      stream.readChunks = stream.parts.length;
      this.say(encodeCredit(stream.number, stream.readBytes, stream.readChunks));
    }
    if (stream.end === undefined) return;
    this.#byNumber.delete(stream.number);
    const digest = newDigest();
    for (const part of stream.parts) digest?.update(part);
    stream.verified = stream.end.bytes === stream.bytes && stream.end.digest === digest?.value();
    this.say(stream.verified ? encodeFinished(stream.number) : encodeCancel(stream.number, "broken"));
  }
}

function newStream(number: number, head: StreamHead): SdkStream {
  return {
    number,
    head,
    parts: [],
    bytes: 0,
    readBytes: 0,
    readChunks: 0,
    end: undefined,
    verified: false,
    aborted: undefined,
  };
}

/** All that came of a stream so far. */
export function bytesOf(stream: SdkStream | undefined): Bytes {
  return concatBytes(...stream?.parts ?? []);
}

export function textOf(stream: SdkStream | undefined): string {
  return fromUtf8(bytesOf(stream));
}
