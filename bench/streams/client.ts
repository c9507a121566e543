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
import { SMALL_BYTES } from "./contract.ts";

/** Of a message, what is kept of it until it is whole. */
const KEPT_BYTES = 256;
/** An SDK's reader says that it has consumed so much, or all that there was. */
const CREDIT_BYTES = 131_072;
const OPCODE = { binary: 2, ping: 9 } as const;
const HEAD_END = "\r\n\r\n";

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

interface RawSocket {
  write(data: string | Bytes): number;
  pause(): void;
  resume(): void;
  end(): void;
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
  // The frame that is under way.
  readonly #head: number[] = [];
  readonly #kept: Bytes = new Uint8Array(KEPT_BYTES);
  #opcode = 0;
  #length = 0;
  #left = 0;
  /** When the bytes so far may have been read. */
  #paceAt = 0;

  private constructor(options: ClientOptions) {
    this.#options = options;
  }

  static connect(options: ClientOptions): Promise<StreamClient> {
    const { clientUrl, id, sdk } = options;
    const { hostname, port, pathname } = new URL(clientUrl);
    const client = new StreamClient(options);
    let head: string | undefined = "";
    return new Promise((resolve, reject) => {
      const failed = (why: string): void => reject(new Error(`connect client ${id} to ${clientUrl}: ${why}`));
      Bun.connect({
        hostname,
        port: Number(port),
        socket: {
          open(socket) {
            client.#socket = socket;
            socket.write(handshake(`${pathname}?id=${id}`, `${hostname}:${port}`, sdk));
          },
          data(_socket, bytes) {
            if (head === undefined) return client.#received(bytes);
            head += bytes.toString("latin1");
            const end = head.indexOf(HEAD_END);
            if (end < 0) return;
            if (!head.startsWith("HTTP/1.1 101")) return failed(head.slice(0, head.indexOf("\r\n")));
            // Only what came with the head, and none of it twice.
            const rest = bytes.subarray(bytes.byteLength - (head.length - end - HEAD_END.length));
            head = undefined;
            client.#received(rest);
            resolve(client);
          },
          close() {
            client.closed = true;
            failed("it was closed");
          },
          error: (_socket, error) => failed(error.message),
          connectError: (_socket, error) => failed(error.message),
        },
      }).catch((error: Error) => failed(error.message));
    });
  }

  close(): void {
    this.#socket?.end();
  }

  #received(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength;) {
      if (this.#left === 0) this.#takeHead(bytes[at++] ?? 0);
      else {
        const filled = this.#length - this.#left;
        const end = Math.min(bytes.byteLength, at + this.#left);
        if (filled < KEPT_BYTES) {
          this.#kept.set(bytes.subarray(at, Math.min(end, at + KEPT_BYTES - filled)), filled);
        }
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#frame();
      }
    }
    for (const [stream, taken] of this.#streams) this.#credit(stream, taken);
    this.#pace(bytes.byteLength);
  }

  #takeHead(byte: number): void {
    const head = this.#head;
    head.push(byte);
    const [first = 0, length = 0] = head;
    const lengthBytes = length === 126 ? 2 : length === 127 ? 8 : 0;
    if (head.length < 2 + lengthBytes) return;
    this.#opcode = first & 15;
    this.#length = lengthBytes === 0 ? length : head.slice(2).reduce((sum, each) => sum * 256 + each, 0);
    this.#left = this.#length;
    head.length = 0;
    if (this.#left === 0) this.#frame();
  }

  /** The frame is whole. */
  #frame(): void {
    if (this.#opcode === OPCODE.ping) return this.#send(0x8a, new Uint8Array(0));
    if (this.#opcode !== OPCODE.binary) return;
    const kept = this.#kept.slice(0, Math.min(KEPT_BYTES, this.#length));
    if (this.#options.sdk) this.#sdkMessage(kept);
    else if (this.#length === SMALL_BYTES) this.#options.small(kept);
    else this.bytes += this.#length;
  }

  #sdkMessage(kept: Bytes): void {
    if (kept[0] === KIND.message) return this.#options.small(kept.subarray(1));
    if (kept[0] === KIND.hello) return;
    const stream = viewOf(kept).getUint32(1);
    if (kept[0] === KIND.open) this.#streams.set(stream, { bytes: 0, chunks: 0, creditedBytes: 0 });
    const taken = this.#streams.get(stream);
    if (taken === undefined) return;
    if (kept[0] === KIND.data) {
      const payloadBytes = this.#length - DATA_HEADER_BYTES;
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

function handshake(path: string, host: string, sdk: boolean): string {
  return [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    // Any 16 bytes: nobody looks at the answer to them.
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ...(sdk ? [`Sec-WebSocket-Protocol: ${SUBPROTOCOL}`] : []),
    "\r\n",
  ].join("\r\n");
}
