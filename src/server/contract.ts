/**
 * The server: HTTP and WebSocket on one port, on every runtime.
 *
 * `listen` serves any fetch handler through one thin adapter per runtime (`sockets/`); `flotillaRoutes` are
 * the Hono routes of a node; `serve` is both in one call. Only the adapters name a runtime, and they are
 * loaded by dynamic import. May import: lib, connection; as types: the cluster's contract, router's outcomes,
 * the transport contract.
 */
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/logger.ts";
import type { Socket, SocketEvents } from "../lib/socket.ts";

/** Where a request comes from: the other end of its TCP connection, so a reverse proxy if there is one. */
export interface RemoteAddress {
  /** An IP address; an IPv4 one is never in its IPv6 form. */
  readonly address: string;
  readonly port: number;
  readonly loopback: boolean;
}

/**
 * Called when the socket is open; returns what is to happen with it. Throwing closes the socket with 1011.
 */
export type OpenSocket = (socket: Socket) => SocketEvents;

export interface UpgradeOptions {
  /** A longer message from the other side closes the socket with 1009. At most the listener's own limit. */
  readonly messageBytesMax: number;
  /** The subprotocol to answer with; must be one the request offers. */
  readonly protocol?: string | undefined;
}

/** What the listener gives every request. */
export interface RequestContext {
  readonly remote: RemoteAddress;
  /** The listener is bound to a loopback address, so nobody on another machine reaches it directly. */
  readonly loopbackOnly: boolean;
  /**
   * Asks for the request to become a WebSocket and returns the response the route must answer with. The
   * upgrade happens when the handler's answer is that response (or a copy: middleware may add headers, which
   * are not sent); any other answer refuses it.
   */
  upgrade(open: OpenSocket, options: UpgradeOptions): Response;
}

/** Hono's `env` under `listen`. */
export interface ServerEnv {
  readonly flotilla: RequestContext;
}

/** For `new Hono<ServerBindings>()`; partial because somebody else's server may call the app. */
export interface ServerBindings {
  Bindings: Partial<ServerEnv>;
}

/** What `listen` is told. */
export interface ListenOptions {
  /** Default `127.0.0.1`. */
  readonly hostname?: string | undefined;
  /** 0 for any free port. */
  readonly port: number;
  /** For example `app.fetch` of a Hono app. */
  readonly fetch: (request: Request, env: ServerEnv) => Response | Promise<Response>;
  /** Default: the runtime's clock. */
  readonly clock?: Clock | undefined;
  /** Default: silent. */
  readonly logger?: Logger | undefined;
  /** Bytes of the longest message any socket takes; at most 64 MiB (Deno's own limit). Default 16 MiB. */
  readonly messageBytesMax?: number | undefined;
  /**
   * A silent client is pinged within so many milliseconds, and cut after as many more; 500 to 480,000.
   * Default 30,000. Not the `pingIntervalMs` of a cluster, which is between nodes.
   */
  readonly pingIntervalMs?: number | undefined;
}

/** ListenOptions with every default applied; what the adapters get. */
export type ListenSettings = {
  readonly [Name in keyof ListenOptions]-?: Exclude<ListenOptions[Name], undefined>;
};

/** A running server. */
export interface Listener {
  readonly hostname: string;
  /** The real one, also when 0 was asked for. */
  readonly port: number;
  /** `http://host:port`, reachable from this machine. */
  readonly url: string;
  /** Stops accepting, closes open sockets with 1001 and what is left after a second by force. Idempotent. */
  close(): Promise<void>;
}
