/**
 * A client that costs the machine little: a WebSocket (RFC 6455) by hand on Bun's plain sockets. It looks at the
 * first bytes of each message only and throws the rest away. For Bun only.
 */
import {
  DATA_HEADER_BYTES,
  encodeCredit,
  encodeFinished,
  KIND,
  SUBPROTOCOL,
} from "../../src/client_protocol.ts";
import { type Bytes, concatBytes, viewOf } from "../../src/lib/bytes.ts";
import { FrameReader, OPCODE, openRawSocket, type RawFrame, type RawSocket } from "../support/raw_socket.ts";
import { SMALL_BYTES } from "./contract.ts";

/** Of a message, what is kept of it until it is whole. */
const KEPT_BYTES = 256;
/** An SDK's reader says that it has consumed so much, or all that there was. */
const CREDIT_BYTES = 131_072;

export interface ClientOptions {
  readonly clientUrl: string;
  readonly id: string;
  /** Speaks the protocol of the SDK. */
  readonly sdk: boolean;
  /** Reads no faster; 0 for as fast as it can. */
  readonly bytesPerSecond: number;
  /** Hears each small message. */
  readonly small: (payload: Bytes) => void;
}

/** Of one stream of the SDK. */
interface Taken {
  bytes: number;
  chunks: number;
  creditedBytes: number;
}

export class StreamClient {
  /** Of streams, all together. */
  bytes = 0;
  closed = false;
  readonly #options: ClientOptions;
  readonly #streams = new Map<number, Taken>();
  #socket: RawSocket | undefined;
  readonly #frames = new FrameReader((frame) => this.#frame(frame), KEPT_BYTES);
  /** When the bytes so far may have been read. */
  #paceAt = 0;

  private constructor(options: ClientOptions) {
    this.#options = options;
  }

  static async connect(options: ClientOptions): Promise<StreamClient> {
    const { clientUrl, id, sdk } = options;
    const client = new StreamClient(options);
    await openRawSocket({
      clientUrl,
      id,
      ...(sdk ? { protocol: SUBPROTOCOL } : {}),
      received: (bytes, socket) => client.#received(bytes, socket),
      closed: () => void (client.closed = true),
    });
    return client;
  }

  close(): void {
    this.#socket?.end();
  }

  #received(bytes: Uint8Array, socket: RawSocket): void {
    this.#socket = socket;
    this.#frames.take(bytes);
    for (const [stream, taken] of this.#streams) this.#credit(stream, taken);
    this.#pace(bytes.byteLength);
  }

  /** The frame is whole. */
  #frame({ opcode, length, kept }: RawFrame): void {
    if (opcode === OPCODE.ping) return this.#send(0x8a, new Uint8Array(0));
    if (opcode !== OPCODE.binary) return;
    if (this.#options.sdk) this.#sdkMessage(kept.slice(), length);
    else if (length === SMALL_BYTES) this.#options.small(kept.slice());
    else this.bytes += length;
  }

  #sdkMessage(kept: Bytes, length: number): void {
    if (kept[0] === KIND.message) return this.#options.small(kept.subarray(1));
    if (kept[0] === KIND.hello) return;
    const stream = viewOf(kept).getUint32(1);
    if (kept[0] === KIND.open) this.#streams.set(stream, { bytes: 0, chunks: 0, creditedBytes: 0 });
    const taken = this.#streams.get(stream);
    if (taken === undefined) return;
    if (kept[0] === KIND.data) {
      const payloadBytes = length - DATA_HEADER_BYTES;
      this.bytes += payloadBytes;
      taken.bytes += payloadBytes;
      taken.chunks++;
      if (taken.bytes - taken.creditedBytes >= CREDIT_BYTES) this.#credit(stream, taken);
    } else if (kept[0] === KIND.end) {
      this.#streams.delete(stream);
      this.#send(0x82, encodeFinished(stream));
    } else if (kept[0] === KIND.abort) this.#streams.delete(stream);
  }

  #credit(stream: number, taken: Taken): void {
    if (taken.bytes === taken.creditedBytes) return;
    taken.creditedBytes = taken.bytes;
    this.#send(0x82, encodeCredit(stream, taken.bytes, taken.chunks));
  }

  /** One short frame, under the mask of zeros, which changes nothing. */
  #send(first: number, payload: Bytes): void {
    this.#socket?.write(concatBytes(Uint8Array.of(first, 0x80 | payload.byteLength, 0, 0, 0, 0), payload));
  }

  #pace(bytes: number): void {
    const { bytesPerSecond } = this.#options;
    if (bytesPerSecond === 0) return;
    const now = performance.now();
    this.#paceAt = Math.max(this.#paceAt, now) + bytes * 1_000 / bytesPerSecond;
    this.#socket?.pause();
    setTimeout(() => this.#socket?.resume(), this.#paceAt - now);
  }
}
