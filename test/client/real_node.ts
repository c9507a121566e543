/**
 * A node that speaks to SDK clients over real sockets of whatever runtime runs it: the server half in short.
 */
import {
  decodeFromClient,
  encodeData,
  encodeEnd,
  encodeHello,
  encodeMessage,
  encodeOpen,
  type FromClient,
  type StreamHead,
  SUBPROTOCOL,
} from "../../src/client_protocol.ts";
import type { Bytes } from "../../src/lib/bytes.ts";
import type { Socket, SocketEvents } from "../../src/lib/socket.ts";
import type { Listener } from "../../src/server/contract.ts";
import { listen } from "../../src/server/listen.ts";
import { HEAD, sumOf } from "./fake_node.ts";

const WINDOW_BYTES = 1_048_576;

/** The node's side of one client: messages come back as they were sent. */
export class RealConnection implements SocketEvents {
  readonly socket: Socket;
  readonly frames: FromClient[] = [];
  readonly closes: { code: number; reason: string }[] = [];
  /** Bytes sent and not credited, at most. */
  aheadBytesMax = 0;
  readonly #wake = new Map<number, () => void>();
  readonly #credited = new Map<number, number>();

  constructor(socket: Socket) {
    this.socket = socket;
  }

  message(data: string | Bytes): void {
    if (typeof data === "string") return void this.socket.send(data);
    const frame = decodeFromClient(data);
    if (frame.kind === "message") return void this.socket.send(encodeMessage(frame.payload));
    this.frames.push(frame);
    if (frame.kind === "credit") this.#credited.set(frame.stream, frame.bytes);
    this.#wake.get(frame.stream)?.();
  }

  close(code: number, reason: string): void {
    this.closes.push({ code, reason });
  }

  has(kind: FromClient["kind"], stream: number): boolean {
    return this.frames.some((frame) => frame.kind === kind && "stream" in frame && frame.stream === stream);
  }

  /**
   * Sends a whole stream, never more ahead of the credit than the window; ends when the client cancels it.
   */
  async stream(stream: number, payloads: Iterable<Bytes>, head: Partial<StreamHead> = {}): Promise<void> {
    this.socket.send(encodeOpen(stream, { ...HEAD, ...head }));
    const sent: Bytes[] = [];
    let bytes = 0;
    for (const payload of payloads) {
      while (bytes + payload.byteLength - (this.#credited.get(stream) ?? 0) > WINDOW_BYTES) {
        if (this.has("cancel", stream)) return;
        await new Promise<void>((resolve) => void this.#wake.set(stream, resolve));
      }
      this.socket.send(encodeData(stream, payload));
      sent.push(payload);
      bytes += payload.byteLength;
      this.aheadBytesMax = Math.max(this.aheadBytesMax, bytes - (this.#credited.get(stream) ?? 0));
    }
    this.socket.send(encodeEnd(stream, bytes, sumOf(sent).digest));
  }
}

export class RealNode {
  readonly connections: RealConnection[] = [];
  readonly #listener: Listener;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  static async start(): Promise<RealNode> {
    const listener = await listen({
      port: 0,
      fetch(request, env) {
        const { pathname } = new URL(request.url);
        if (pathname === "/refused") return new Response("not you", { status: 403 });
        const open = (socket: Socket): SocketEvents => {
          const connection = new RealConnection(socket);
          node.connections.push(connection);
          if (pathname === "/unauthorized") socket.close(4001, "who are you?");
          else if (pathname !== "/silent") socket.send(encodeHello("alice", "n1"));
          if (pathname === "/greeting") {
            for (let index = 0; index < 50; index++) socket.send(`greeting ${index}`);
          }
          return connection;
        };
        return env.flotilla.upgrade(open, { messageBytesMax: 16_777_216, protocol: SUBPROTOCOL });
      },
    });
    const node: RealNode = new RealNode(listener);
    return node;
  }

  urlOf(path = "/ws"): string {
    return `ws://127.0.0.1:${this.#listener.port}${path}`;
  }

  get latest(): RealConnection {
    return this.connections.at(-1) as RealConnection;
  }

  close(): Promise<void> {
    return this.#listener.close();
  }
}
