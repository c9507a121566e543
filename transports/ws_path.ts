/** One socket between two nodes: hello frames first, packets after. */
import type { Bytes } from "../src/lib/bytes.ts";
import type { Clock, Timer } from "../src/lib/clock.ts";
import { CLOSE } from "../src/lib/close_codes.ts";
import { reasonOf } from "../src/lib/errors.ts";
import type { Socket, SocketEvents } from "../src/lib/socket.ts";
import type { Path, RemoteEnd } from "../src/transport.ts";
import { decodeHello, type Hello } from "./ws_hello.ts";

/** From the opening of a socket until the link layer must have proven who is there. */
const PROOF_TIMEOUT_MS = 10_000;
/** Hello frames taken before that. */
const UNPROVEN_HELLOS_MAX = 4;
/** What may wait in a socket; a link keeps far below it, so over it the other side is not reading. */
const UNPROVEN_QUEUE_BYTES_MAX = 1_048_576;
const QUEUE_BYTES_MAX = 67_108_864;

/** Why a path was given up because of what the other side did; counted. */
export type Refusal =
  /** A message that is neither a hello nor a packet, or in the wrong order. */
  | "malformed"
  /** A packet over packetBytesMax. */
  | "too-large"
  /** Nobody proved to be who was claimed in time. */
  | "unproven"
  /** Too many sockets that prove nothing: the oldest goes. */
  | "crowded"
  /** It claims this node's own id. */
  | "own-id"
  /** It does not read. */
  | "stalled";

/** What a path tells the transport that owns it. */
export interface PathOwner {
  hello(path: WsPath, hello: Hello): void;
  packet(path: WsPath, packet: Bytes): void;
  refused(path: WsPath, why: Refusal): void;
  /** Nothing is sent or received on it from now on. Once, at once. */
  left(path: WsPath, reason: string): void;
  /** The socket is gone, after `left`. */
  ended(path: WsPath): void;
}

export interface WsPathOptions {
  readonly socket: Socket;
  readonly owner: PathOwner;
  readonly clock: Clock;
  readonly remote: RemoteEnd;
  readonly outbound: boolean;
  readonly packetBytesMax: number;
  readonly holdsSmallWrites: boolean;
}

export class WsPath implements Path {
  readonly private: boolean;
  readonly sameHost: boolean;
  readonly holdsSmallWrites: boolean;
  /** For logs. */
  readonly address: string;
  readonly outbound: boolean;
  readonly events: SocketEvents;
  /** Who the other side claims, or has proven, to be; undefined before its first hello. */
  nodeId: string | undefined;
  /** The other side's latest. */
  hello: Hello | undefined;
  /** How much of what this node knows the other side has been told; see `WsTransport`. */
  toldVersion = 0;
  readonly #socket: Socket;
  readonly #owner: PathOwner;
  readonly #packetBytesMax: number;
  readonly #deadline: Timer;
  #open = true;
  #proven = false;
  #hellos = 0;

  constructor(options: WsPathOptions) {
    this.private = options.remote.private;
    this.sameHost = options.remote.sameHost;
    this.holdsSmallWrites = options.holdsSmallWrites;
    this.address = options.remote.address;
    this.outbound = options.outbound;
    this.#socket = options.socket;
    this.#owner = options.owner;
    this.#packetBytesMax = options.packetBytesMax;
    this.#deadline = options.clock.timer(PROOF_TIMEOUT_MS, () => {
      this.refuse("unproven", `no proof within ${PROOF_TIMEOUT_MS} ms`);
    });
    this.events = {
      message: (data) => this.#onMessage(data),
      close: (code, reason) => this.#onClose(code, reason),
    };
  }

  get open(): boolean {
    return this.#open;
  }

  get proven(): boolean {
    return this.#proven;
  }

  get queuedBytes(): number {
    return this.#socket.bufferedBytes;
  }

  /** The link layer knows who is there. */
  prove(): void {
    this.#proven = true;
    this.#deadline.cancel();
  }

  send(data: string | Bytes): void {
    if (!this.#open) return;
    const limit = this.#proven ? QUEUE_BYTES_MAX : UNPROVEN_QUEUE_BYTES_MAX;
    if (this.#socket.bufferedBytes > limit) this.refuse("stalled", `it left more than ${limit} bytes unread`);
    else this.#socket.send(data);
  }

  close(reason: string): void {
    this.end(CLOSE.peerRefused, reason);
  }

  refuse(why: Refusal, reason: string): void {
    if (!this.#open) return;
    this.#owner.refused(this, why);
    this.end(why === "too-large" ? CLOSE.tooLarge : CLOSE.peerRefused, reason);
  }

  end(code: number, reason: string): void {
    if (!this.#open) return;
    this.#socket.close(code, reason);
    this.#leave(reason);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #onMessage(data: string | Bytes): void {
    if (!this.#open) return;
    if (typeof data === "string") this.#onHello(data);
    else if (this.hello === undefined) this.refuse("malformed", "a packet before the hello");
    else if (data.byteLength > this.#packetBytesMax) {
      this.refuse(
        "too-large",
        `a packet of ${data.byteLength} bytes is over the limit of ${this.#packetBytesMax}`,
      );
    } else this.#owner.packet(this, data);
  }

  #onHello(text: string): void {
    if (!this.#proven && ++this.#hellos > UNPROVEN_HELLOS_MAX) {
      return this.refuse("malformed", "too many hellos");
    }
    let hello: Hello;
    try {
      hello = decodeHello(text);
    } catch (thrown) {
      return this.refuse("malformed", reasonOf(thrown));
    }
    if (this.hello !== undefined && this.hello.nodeId !== hello.nodeId) {
      return this.refuse("malformed", "the hello names another node than the one before");
    }
    this.hello = hello;
    this.#owner.hello(this, hello);
  }

  #onClose(code: number, reason: string): void {
    this.#leave(`closed by the other side: ${code} ${reason}`.trim());
    queueMicrotask(() => this.#owner.ended(this));
  }

  #leave(reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#deadline.cancel();
    this.#owner.left(this, reason);
  }
}
