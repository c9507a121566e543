import type { Bytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { type Logger, silentLogger } from "../lib/logger.ts";
import type { Socket } from "../lib/socket.ts";
import { type SocketEvent, type StandardWebSocket, wrapWebSocket } from "../lib/standard_socket.ts";
import type { ConnectionProvider, ConnectionSink } from "./sink.ts";

const OPEN = 1;

/**
 * For an application that upgrades its own sockets: `add` each one when it is open, then `registerConnection`
 * its id with the cluster. Any standard WebSocket will do, of any runtime, client or server side, the `ws`
 * package's too. Messages stay the application's business: nothing here reads them or changes `binaryType`.
 *
 * @example
 * ```ts
 * const provider = new DefaultConnectionProvider(systemClock, {
 *   closed: (connectionId, sink) => cluster.unregisterConnection(connectionId, sink),
 * });
 * provider.add("alice", webSocket);
 * cluster.registerConnection("alice", { endpoint: "/chat" });
 * ```
 */
export class DefaultConnectionProvider implements ConnectionProvider {
  readonly #sinks = new Map<string, WebSocketSink>();
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #closed: ((connectionId: string, sink: ConnectionSink) => void) | undefined;

  /**
   * `closed` is called once for each socket that closed while it was here, or that was replaced and closed
   * later.
   */
  constructor(
    clock: Clock,
    options: { closed?: (connectionId: string, sink: ConnectionSink) => void; logger?: Logger } = {},
  ) {
    this.#clock = clock;
    this.#closed = options.closed;
    this.#logger = options.logger ?? silentLogger;
  }

  /**
   * Replaces the connection's socket, if it has one; that one stays open. Throws `invalid-option` unless
   * `webSocket` is open.
   */
  add(connectionId: string, webSocket: StandardWebSocket): ConnectionSink {
    if (webSocket.readyState !== OPEN) {
      const state = webSocket.readyState;
      throw new FlotillaError(
        "invalid-option",
        `add connection ${shown(connectionId)}: readyState is ${state}, not 1 (open)`,
      );
    }
    const sink = new WebSocketSink(webSocket, this.#clock, this.#logger, () => {
      this.remove(connectionId, sink);
      this.#closed?.(connectionId, sink);
    });
    this.#sinks.set(connectionId, sink);
    return sink;
  }

  /** Forgets the connection; its socket stays open. With `sink`: only if that is still the one. */
  remove(connectionId: string, sink?: ConnectionSink): boolean {
    if (sink !== undefined && this.#sinks.get(connectionId) !== sink) return false;
    return this.#sinks.delete(connectionId);
  }

  get(connectionId: string): ConnectionSink | undefined {
    return this.#sinks.get(connectionId);
  }
}

class WebSocketSink implements ConnectionSink {
  onDrain: (() => void) | undefined = undefined;
  readonly #socket: Socket;

  constructor(webSocket: StandardWebSocket, clock: Clock, logger: Logger, closed: () => void) {
    const events = { message: () => {}, drain: () => this.onDrain?.(), close: closed };
    this.#socket = wrapWebSocket(new WithoutMessages(webSocket), () => events, clock, logger);
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedBytes;
  }

  send(data: string | Bytes): boolean {
    return this.#socket.send(data);
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }
}

/**
 * A socket whose messages and `binaryType` are out of `wrapWebSocket`'s reach: they are the application's.
 */
class WithoutMessages implements StandardWebSocket {
  binaryType = "arraybuffer";
  readonly terminate?: () => void;
  readonly #webSocket: StandardWebSocket;

  constructor(webSocket: StandardWebSocket) {
    this.#webSocket = webSocket;
    if (webSocket.terminate !== undefined) this.terminate = () => webSocket.terminate?.();
  }

  get readyState(): number {
    return this.#webSocket.readyState;
  }

  get bufferedAmount(): number {
    return this.#webSocket.bufferedAmount;
  }

  send(data: string | Bytes): void {
    this.#webSocket.send(data);
  }

  close(code?: number, reason?: string): void {
    this.#webSocket.close(code, reason);
  }

  addEventListener(
    type: "message" | "close" | "error" | "open",
    listener: (event: SocketEvent) => void,
  ): void {
    if (type !== "message") this.#webSocket.addEventListener(type, listener);
  }

  removeEventListener(
    type: "message" | "close" | "error" | "open",
    listener: (event: SocketEvent) => void,
  ): void {
    if (type !== "message") this.#webSocket.removeEventListener(type, listener);
  }
}
