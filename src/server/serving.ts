import type { Cluster } from "../cluster/contract.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/logger.ts";
import type { Random } from "../lib/random.ts";
import type { SocketAcceptor } from "../transport.ts";

/** What the server must know of the node it fronts, beyond what a cluster offers to everybody. */
export interface Serving {
  /** The cluster has a secret, so strangers cannot become peers. */
  readonly secured: boolean;
  /** The operator accepts that whoever reaches the port may do as they please. */
  readonly allowInsecure: boolean;
  /**
   * The transport that takes the sockets of `GET <channelName>`; null when the nodes meet elsewhere (a
   * broker).
   */
  readonly acceptor: SocketAcceptor | null;
  /** Bytes of the longest message, in and out. */
  readonly messageBytesMax: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The node is served on `port` from now on. */
  listening(port: number): void;
  /**
   * While this node drains: the close reason for a client that comes anew to `endpoint`, with its own id or
   * null: `{"redirect":"ws://..."}` or empty. Null while newcomers are welcome.
   */
  turnAway(endpoint: string, ownId: string | null): string | null;
}

/**
 * A cluster that can be served. `createCluster` makes one; whoever wires the parts by hand adds `serving`.
 */
export type ServedCluster = Cluster & { readonly serving: Serving };

/** Who a client is. */
export interface Identity {
  /** Its connectionId; without one the server makes a random id. */
  readonly connectionId?: string;
  /** Kept with the connection at its owner. */
  readonly tags?: Readonly<Record<string, string>>;
}

/** What `flotillaRoutes` and `serve` are told; everything has a default. */
export interface RouteOptions {
  /**
   * Decides from the handshake who may connect, and as what connectionId; null refuses. It has ten seconds;
   * not answering in time, or throwing, refuses too. `?id=` counts only if it is what this returns. Without
   * `authenticate` anybody may connect, and `?id=` counts on a loopback listener or under `allowInsecure`
   * only: elsewhere anyone could take anyone's place.
   */
  readonly authenticate?: (request: Request) => Identity | null | Promise<Identity | null>;
  /**
   * Origins of web pages that may connect, besides the node's own host and the public URLs of the cluster's nodes:
   * `https://example.com`; "*" for all.
   */
  readonly origins?: "*" | readonly string[];
  /**
   * Called for every message of a client, in order; throwing or rejecting closes the connection (1011).
   * Default: ignores it.
   */
  readonly onMessage?: (
    connectionId: string,
    data: string | Uint8Array<ArrayBuffer>,
    cluster: ServedCluster,
  ) => unknown;
  /** Bearer token of `/api`. Without one `/api` answers this machine only. */
  readonly apiToken?: string;
  /** What `POST /api/shutdown` does. Default: `cluster.shutdown`. */
  readonly shutdown?: (options: { force: boolean }) => Promise<void>;
}
