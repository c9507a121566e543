/**
 * The SDK client: one connection to a cluster, with messages both ways and streams from the cluster. It runs
 * in browsers, Deno, Bun and Node.
 *
 *   connect → Dialler.dial → openSession → Session ── Incoming (one a stream) → readable → the application
 *                                            └──────→ Client (what the application holds)
 *
 * A `Session` is one WebSocket with its streams and ends with it; what it tells goes through the `Client`. May
 * import: lib, client_protocol.
 */
import type { Bytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { Unsubscribe } from "../lib/events.ts";
import { type Logger, silentLogger } from "../lib/logger.ts";
import type { Random } from "../lib/random.ts";
import type { StandardWebSocket } from "../lib/standard_socket.ts";

export const CONNECT_DEFAULTS: Pick<
  ClientSettings,
  | "connectTimeoutMs"
  | "reconnect"
  | "reconnectDelayMs"
  | "reconnectDelayMsMax"
  | "queueBytesMax"
  | "logger"
> = {
  connectTimeoutMs: 10_000,
  reconnect: true,
  reconnectDelayMs: 500,
  reconnectDelayMsMax: 30_000,
  queueBytesMax: 1_048_576,
  logger: silentLogger,
};

/** A constructor of standard WebSockets, such as `globalThis.WebSocket`. */
export type WebSocketConstructor = new (
  url: string,
  protocols: string[],
) => StandardWebSocket & { readonly protocol: string };

/** What `connect` may be told; everything has a default. */
export interface ConnectOptions {
  /** Gives up connecting; without effect on a client that is connected. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds from the call until the node has said hello. Default 10,000. */
  readonly connectTimeoutMs?: number | undefined;
  /**
   * Called before every attempt; what it returns is set in the query of the URL, also of one that a node redirects to:
   * `{ token: await freshToken() }`. One that throws fails that attempt.
   */
  readonly query?:
    | (() => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>)
    | undefined;
  /** Whether to connect again after a connection was lost. Default true. */
  readonly reconnect?: boolean | undefined;
  /**
   * Milliseconds of the first pause at most: pauses are drawn between 0 and this, doubled with every attempt. None
   * where a node that leaves says where to go. Default 500.
   */
  readonly reconnectDelayMs?: number | undefined;
  /** Milliseconds of the longest pause. Default 30,000. */
  readonly reconnectDelayMsMax?: number | undefined;
  /** Bytes of messages that wait while there is no connection; 0: they are refused. Default 1 MiB. */
  readonly queueBytesMax?: number | undefined;
  /** Default: the runtime's own. */
  readonly WebSocket?: WebSocketConstructor | undefined;
  /** Hears of listeners that throw; `console` will do. Default: silent. */
  readonly logger?: Logger | undefined;
  /** Default: the runtime's clock. */
  readonly clock?: Clock | undefined;
  /** For the pauses. Default: the runtime's. */
  readonly random?: Random | undefined;
}

/** How a connection, or a client, ended. */
export interface ClientClose {
  /** A WebSocket close code: 1006 where the socket broke off, 1002 where this end found the other's wrong. */
  readonly code: number;
  readonly reason: string;
  /** Where a leaving node has sent the client. */
  readonly redirect?: string;
}

/** What a client tells. Subscribe as soon as `connect` has resolved, before waiting for anything else. */
export interface ClientEvents {
  /** A message of the application; bytes are a view that begins inside of its buffer. */
  readonly message: string | Bytes;
  /** A stream begins. Where nobody listens it is cancelled. A listener that does not want it cancels it. */
  readonly stream: IncomingStream;
  /** The connection is lost, and will be made again. */
  readonly disconnect: ClientClose;
  /** An attempt will be made in so many milliseconds. */
  readonly reconnecting: { readonly attempt: number; readonly delayMs: number };
  /** There is a connection again; its id is another one unless the URL has it (`?id=`). */
  readonly reconnect: { readonly connectionId: string; readonly nodeId: string };
  /** The client has ended; once, and nothing after it. */
  readonly close: ClientClose;
}

/** One connection to a cluster. */
export interface FlotillaClient extends AsyncDisposable {
  /** Names this connection in the whole cluster. */
  readonly connectionId: string;
  /** The node that holds the connection. */
  readonly nodeId: string;
  /** Whether there is a connection now. */
  readonly connected: boolean;
  /** Bytes handed to `send` that have not left this process yet. */
  readonly bufferedBytes: number;
  /** Streams that are arriving. */
  readonly openStreams: number;
  /** Resolves when the client has ended; never rejects. */
  readonly closed: Promise<ClientClose>;
  /**
   * Sends one message; without a connection it waits for the next one, in order. False, and nothing is sent, when
   * too many bytes wait or the client has ended. What was under way when a connection broke may be lost. The bytes
   * are copied.
   */
  send(data: string | Uint8Array): boolean;
  /** A listener that throws or rejects is told to the logger and harms nothing. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): Unsubscribe;
  /**
   * Ends the client; what was sent still goes out, streams that are arriving fail with `node-lost`. `code` is
   * 1000 (the default) or 3000 to 4999, anything else goes as 4000; `reason` is cut to 123 bytes of UTF-8.
   */
  close(code?: number, reason?: string): void;
}

/** How far a stream has come. */
export interface IncomingProgress {
  /** Taken by the reader: what the sender's progress says too. */
  readonly bytes: number;
  /** Bytes of the whole; null when not known. */
  readonly totalBytes: number | null;
  /** Over about the last second. */
  readonly bytesPerSecond: number;
}

/**
 * Data of any length from the cluster. What the reader does not take holds the sender back, so that at most
 * the node's window (1 MiB where nothing else is said) waits here. A stream that nobody reads for long is
 * ended by the node.
 */
export interface IncomingStream {
  /** Unique on this connection. */
  readonly id: number;
  /** Whatever JSON the sender attached; null for nothing. */
  readonly metadata: unknown;
  /** Bytes of the whole; null when the sender does not know. */
  readonly totalBytes: number | null;
  /** Whether the sender says that the bytes are UTF-8 text. */
  readonly isText: boolean;
  /**
   * The data; a chunk is a view that begins inside of its buffer. It closes when everything is there and
   * right, and else fails with a FlotillaError: `malformed` where count or digest is wrong, `node-lost` where
   * the connection ended first, or with the code that the node gives. To cancel it tells the sender.
   */
  readonly readable: ReadableStream<Bytes>;
  readonly progress: IncomingProgress;
  /** Called as the reader takes bytes, once a turn at most. */
  onProgress(listener: (progress: IncomingProgress) => void): Unsubscribe;
  /** The progress now and whenever it has changed; leaves out what comes faster than it is asked for. */
  watchProgress(): AsyncIterableIterator<IncomingProgress>;
  /** All of it. @throws FlotillaError as `readable` does */
  bytes(): Promise<Bytes>;
  /** All of it as text. @throws FlotillaError as `readable` does, and `malformed` for what is not UTF-8 */
  text(): Promise<string>;
  /** Nothing more is wanted, whoever reads now: that reader gets `aborted`. Idempotent. */
  cancel(reason?: string): void;
}

/** ConnectOptions with every default applied, but for the signal. */
export interface ClientSettings {
  readonly connectTimeoutMs: number;
  readonly query: ConnectOptions["query"];
  readonly reconnect: boolean;
  readonly reconnectDelayMs: number;
  readonly reconnectDelayMsMax: number;
  readonly queueBytesMax: number;
  readonly WebSocket: WebSocketConstructor;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}
