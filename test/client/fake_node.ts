/**
 * A node in memory: hands `connect` its WebSocket constructor, and says what a test makes it say. Like the
 * standard's sockets it refuses close codes that a client may not send.
 */
import {
  decodeFromClient,
  encodeAbort,
  encodeData,
  encodeEnd,
  encodeHello,
  encodeOpen,
  type FromClient,
  type StreamHead,
  SUBPROTOCOL,
} from "../../src/client_protocol.ts";
import { connect } from "../../src/client/connect.ts";
import type {
  ConnectOptions,
  FlotillaClient,
  IncomingStream,
  WebSocketConstructor,
} from "../../src/client/contract.ts";
import type { Bytes } from "../../src/lib/bytes.ts";
import type { SocketEvent, StandardWebSocket } from "../../src/lib/standard_socket.ts";
import { newDigest } from "../../src/lib/xxhash.ts";
import { until } from "../support/until.ts";

type EventName = SocketEvent["type"];
type Listener = (event: SocketEvent) => void;

export const HEAD: StreamHead = { text: false, totalBytes: null, metadata: null };

/** The node's side of one client. */
export class FakeSocket implements StandardWebSocket {
  readonly url: string;
  readonly offered: readonly string[];
  protocol = "";
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "blob";
  /** What the client has sent. */
  readonly texts: string[] = [];
  readonly frames: FromClient[] = [];
  /** What the client closed with. */
  closedWith: { code: number; reason: string } | undefined;
  readonly #listeners = new Map<EventName, Set<Listener>>();

  constructor(url: string, offered: readonly string[]) {
    this.url = url;
    this.offered = offered;
  }

  // --- What a client calls ---

  addEventListener(type: EventName, listener: Listener): void {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
  }

  removeEventListener(type: EventName, listener: Listener): void {
    this.#listeners.get(type)?.delete(listener);
  }

  send(data: string | Bytes): void {
    if (typeof data === "string") this.texts.push(data);
    else this.frames.push(decodeFromClient(data.slice()));
  }

  close(code = 1005, reason = ""): void {
    if (code !== 1005 && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new DOMException("a client may not send it", "InvalidAccessError");
    }
    if (this.readyState >= 2) return;
    this.readyState = 2;
    this.closedWith = { code, reason };
    queueMicrotask(() => this.lose(code, reason));
  }

  // --- What a test calls ---

  open(protocol: string = SUBPROTOCOL): void {
    this.protocol = protocol;
    this.readyState = 1;
    this.#tell({ type: "open" });
  }

  say(data: string | Bytes): void {
    this.#tell({ type: "message", data: typeof data === "string" ? data : data.slice().buffer });
  }

  lose(code: number, reason = ""): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#tell({ type: "close", code, reason });
  }

  fail(message: string): void {
    this.#tell({ type: "error", message });
    this.lose(1006);
  }

  begin(stream: number, head: Partial<StreamHead> = {}): void {
    this.say(encodeOpen(stream, { ...HEAD, ...head }));
  }

  data(stream: number, payload: Uint8Array): void {
    this.say(encodeData(stream, payload));
  }

  end(stream: number, ...payloads: readonly Uint8Array[]): void {
    const { bytes, digest } = sumOf(payloads);
    this.say(encodeEnd(stream, bytes, digest));
  }

  abort(stream: number, code: string, message: string): void {
    this.say(encodeAbort(stream, code, message));
  }

  /** A whole stream. */
  stream(stream: number, payloads: readonly Uint8Array[], head: Partial<StreamHead> = {}): void {
    this.begin(stream, head);
    for (const payload of payloads) this.data(stream, payload);
    this.end(stream, ...payloads);
  }

  /** The frames of one kind that came for a stream. */
  of<Kind extends FromClient["kind"]>(kind: Kind, stream: number): Extract<FromClient, { kind: Kind }>[] {
    return this.frames.filter((frame): frame is Extract<FromClient, { kind: Kind }> =>
      frame.kind === kind && "stream" in frame && frame.stream === stream
    );
  }

  #tell(event: SocketEvent): void {
    for (const listener of [...this.#listeners.get(event.type) ?? []]) listener(event);
  }
}

export class FakeNode {
  readonly sockets: FakeSocket[] = [];
  readonly WebSocket: WebSocketConstructor;

  /** `begin` is what a socket does once it is made and listened to. */
  constructor(begin: (socket: FakeSocket) => void = welcome) {
    const { sockets } = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        sockets.push(this);
        queueMicrotask(() => begin(this));
      }
    };
  }

  connect(options: ConnectOptions = {}): Promise<FlotillaClient> {
    const { WebSocket } = this;
    return connect("ws://node.test/ws?token=secret", { WebSocket, reconnect: false, ...options });
  }
}

/** Opens the socket and says hello. */
export function welcome(socket: FakeSocket): void {
  socket.open();
  socket.say(encodeHello("alice", "n1"));
}

/** A client that is connected, the node's side of it, and what the client heard. */
export async function connected(options: ConnectOptions = {}): Promise<{
  client: FlotillaClient;
  socket: FakeSocket;
  streams: IncomingStream[];
  messages: (string | Bytes)[];
}> {
  const node = new FakeNode();
  const client = await node.connect(options);
  const streams: IncomingStream[] = [];
  const messages: (string | Bytes)[] = [];
  client.on("stream", (stream) => void streams.push(stream));
  const stop = client.on("message", (data) => void messages.push(data));
  const socket = node.sockets[0] as FakeSocket;
  socket.say("ready");
  await until("the client hands messages over", () => messages.length === 1);
  stop();
  messages.length = 0;
  client.on("message", (data) => void messages.push(data));
  return { client, socket, streams, messages };
}

export function sumOf(payloads: readonly Uint8Array[]): { bytes: number; digest: bigint } {
  const digest = newDigest();
  if (digest === undefined) throw new Error("this runtime forbids WASM");
  let bytes = 0;
  for (const payload of payloads) {
    digest.update(payload);
    bytes += payload.byteLength;
  }
  return { bytes, digest: digest.value() };
}

/** Bytes that tell one place and one stream from the other. */
export function pattern(length: number, seed = 1): Bytes {
  return new Uint8Array(length).map((_, index) => index * 31 + (index >> 8) * 7 + seed * 131);
}

/** What was sent as `payloads`, in one piece. */
export function joined(payloads: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(sumOf(payloads).bytes);
  let at = 0;
  for (const payload of payloads) {
    whole.set(payload, at);
    at += payload.byteLength;
  }
  return whole;
}
