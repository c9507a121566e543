/**
 * The transport contract. A transport carries packets between nodes and says who can be reached. It may lose,
 * duplicate, delay and reorder packets; it never alters, merges or splits them. That is all it promises:
 * every guarantee (identity, order, exactly once, secrecy, liveness) is made once, in `src/link`.
 */
import type { Clock } from "./lib/clock.ts";
import type { Logger } from "./lib/logger.ts";
import type { Random } from "./lib/random.ts";
import type { Socket, SocketEvents } from "./lib/socket.ts";

/** What a transport may declare beyond the contract; a closed list. */
export type TransportFeature =
  /** Nothing is lost, duplicated or reordered while one path lives. */
  | "lossless"
  /** `from` of a packet is only what the sender claims, and several paths may claim one node (see `Path`). */
  | "paths"
  /** Every path is private by itself (wss:// or loopback only); sealing is not needed by default. */
  | "private";

/**
 * One way to a peer, where the transport has several at once (one socket each, say). Compare by identity.
 * Which of them really leads to the node it claims is for the link layer to prove.
 */
export interface Path {
  /** Whether this way is private by itself: loopback or TLS. */
  readonly private: boolean;
  /** Whether both ends are on one machine, as far as the transport can tell (loopback addresses). */
  readonly sameHost: boolean;
  /** This side opened it, and so made sure of whom it reached where the way lets it (TLS). */
  readonly outbound: boolean;
  /**
   * A small write waits until the other side has answered the one before it (Nagle's algorithm, RFC 1122, 4.2.3.4):
   * the link then has everything answered at once.
   */
  readonly holdsSmallWrites: boolean;
  /** Gives this way up; `reason` is for the other side's log. The sink hears `peerGone` once with every path that closed. */
  close(reason: string): void;
}

/** The layer above. The transport calls it, never before `start` resolved a turn ago and never after `stop`. */
export interface TransportSink {
  /** A packet came in from the node that the transport believes is `from`. The bytes belong to the sink. */
  packet(from: string, packet: Uint8Array<ArrayBuffer>, path?: Path): void;
  /** A hint: `nodeId` may be reachable now (over `path`). Repeats are normal. */
  peerSeen(nodeId: string, path?: Path): void;
  /** `path` to `nodeId` closed; without `path` a hint that the node may be unreachable: a broker returned a packet. */
  peerGone(nodeId: string, path?: Path): void;
}

/** The kinds of transport that options can name. */
export const TRANSPORT_NAMES = ["ws", "redis", "rabbitmq", "hybrid"] as const;
export type TransportName = typeof TRANSPORT_NAMES[number];

/** What a transport needs from its surroundings. */
export interface TransportContext {
  readonly nodeId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** One node's end of whatever carries packets between nodes. */
export interface ClusterTransport extends AsyncDisposable {
  /** `memory`, `ws`, `redis`, ...: for logs and stats only. Nothing branches on it. */
  readonly name: string;
  readonly features: ReadonlySet<TransportFeature>;
  /** The longest packet `send` takes. */
  readonly packetBytesMax: number;
  /** Begins to listen and dial. Rejects only on bad configuration: an absent broker or peer is retried for ever. */
  start(sink: TransportSink): Promise<void>;
  /** Idempotent. Resolves when nothing is held any more: no socket, timer or listener. */
  stop(): Promise<void>;
  /**
   * Hands a packet over without waiting for delivery, to `path` if given (dropped if it has closed), else to
   * the confirmed way to `nodeId`, else to the newest one; dropped if there is none. The bytes must not be
   * changed afterwards. Throws `too-large` above `packetBytesMax`.
   */
  send(nodeId: string, packet: Uint8Array<ArrayBuffer>, path?: Path): void;
  /** Carries a discovery hint to whoever listens; may reach nobody; never comes back to the sender. */
  broadcast(packet: Uint8Array<ArrayBuffer>): void;
  /** Bytes handed over for `nodeId` that have not left this process. */
  queuedBytes(nodeId: string): number;
  /** What was given up because of what the other side did, by reason, since the beginning. */
  counters(): Readonly<Record<string, number>>;
  /** The node behind `path` has proven to be `nodeId`: prefer this way and close the others to that node. */
  confirm(nodeId: string, path: Path): void;
}

/** An entry of a transport's node list: where, and who proved to be there (undefined: nobody yet). */
export interface ListedNode {
  readonly entry: string;
  readonly nodeId: string | undefined;
}

/** A transport that was given a list of nodes and finds out who they are. */
export interface NodeLister {
  /** The list without this node's own entry. */
  listed(): readonly ListedNode[];
}

/** Who is at the other end of an upgraded socket, as the HTTP server knows it. */
export interface RemoteEnd {
  /** `ip:port`, for logs. */
  readonly address: string;
  /** Whether the way is private by itself: loopback, or TLS that ends in this process. */
  readonly private: boolean;
  /** Whether both ends are on one machine: the remote address is a loopback one. */
  readonly sameHost: boolean;
}

/** A transport that takes the sockets of `GET <channelName>` from the HTTP server. */
export interface SocketAcceptor {
  /** The path of the URL that peers dial: `/cluster`. */
  readonly channelName: string;
  /** Takes over a socket that has just opened; at any time, also while not running (the socket is closed then). */
  accept(socket: Socket, remote: RemoteEnd): SocketEvents;
}
