/** What a cluster offers to servers, applications and examples; `ClusterManager` implements it. */
import type { ConnectionDetails, ConnectionSink } from "../connection/sink.ts";
import type { DownReason, LinkStats, PeerStatus } from "../link/contract.ts";
import type { RaftEvents, RaftView, ReplicatedMap, WaitOptions } from "../raft/contract.ts";
import type { DeliverOptions } from "../router/contract.ts";
import type { Outcome } from "../router/outcome.ts";
import type { StreamsInFlight } from "../stream/streams.ts";
import type { StreamDelivery, StreamOptions, StreamProgress, StreamResult } from "../stream/contract.ts";
import type { StreamData } from "../stream/cutter.ts";
import type { OutgoingStream } from "../stream/outgoing.ts";
import type { Bytes } from "../lib/bytes.ts";
import type { FlotillaError } from "../lib/errors.ts";
import type { Unsubscribe } from "../lib/events.ts";

export type { DeliverOptions, StreamData, StreamDelivery, StreamOptions, StreamProgress, StreamResult };

/** Events of one node and what they carry. A listener that throws or rejects is logged and harms nothing. */
export interface ClusterEvents extends RaftEvents {
  /** A session with a node began. */
  nodeup: { nodeId: string; incarnation: string };
  /** A session ended; its routes and counts are already gone. */
  nodedown: { nodeId: string; incarnation: string; reason: DownReason };
  /** A connection of this node was registered. */
  connectionopen: { connectionId: string; endpoint: string };
  /** A connection of this node was unregistered. */
  connectionclose: { connectionId: string };
  /** This node leaves, and a batch of its clients is on its way to others. */
  drain: DrainProgress;
  /** This node can be of no use, its id is in use, say, and shuts down. */
  fatal: FlotillaError;
}

/** How a leaving node gets on with moving its clients. */
export interface DrainProgress {
  /** Clients still here. */
  readonly left: number;
  /** Clients seen elsewhere so far. */
  readonly moved: number;
  /** Clients of the batch that has just been sent, and how many ms it was waited for. */
  readonly batch: number;
  readonly ms: number;
}

export interface DrainBatch {
  readonly size: number;
  /** How many of it were seen elsewhere before the next one was sent. */
  readonly arrived: number;
  readonly ms: number;
}

/** What came of a node's leaving. */
export interface DrainReport {
  /** Clients seen elsewhere: by their ids; those without one by how many more a target had. */
  readonly moved: number;
  /** Clients closed without a way to go: no other node would take them. */
  readonly refused: number;
  /** Clients that were sent elsewhere and not seen there in time. */
  readonly timedOut: number;
  /** By nodeId, of those that got some. */
  readonly targets: Readonly<Record<string, { readonly sent: number; readonly arrived: number }>>;
  readonly batches: readonly DrainBatch[];
  readonly ms: number;
}

export interface ShutdownOptions {
  /** Does not wait for anybody: clients are told where to go, all at once. Default false. */
  readonly force?: boolean | undefined;
  /** Milliseconds for moving the clients and for streams to end. Default 30,000; 0 is like `force`. */
  readonly deadlineMs?: number | undefined;
  /** Ends the waiting, as a second call with `force` does. */
  readonly signal?: AbortSignal | undefined;
}

/** This or another node as `/api/cluster` shows it. */
export interface NodeView {
  readonly nodeId: string;
  readonly status: PeerStatus;
  /** Smoothed round-trip time, ms; 0 for this node, null when unknown. */
  readonly latencyMs: number | null;
  /** 0–100; 100 for this node. */
  readonly quality: number;
  /** Connections it owns, as this node knows. */
  readonly connections: number;
  /** Where clients reach it: `ws://host:port`; null when unknown. */
  readonly publicUrl: string | null;
}

/** What `GET /api/cluster` shows: the cluster as this node sees it. Of Raft everything is null while this node has no part in it. */
export interface ClusterView {
  readonly nodeId: string;
  /** Of this run; 16 hexadecimal digits. */
  readonly incarnation: string;
  readonly role: RaftView["role"];
  readonly leaderId: string | null;
  readonly term: number | null;
  readonly commitIndex: number | null;
  /** `on` while there is a leader, as far as this node knows; else why there is none, for people. */
  readonly raft: Pick<RaftView, "status" | "reason" | "members">;
  /** This node first, then every node it has met in this run. */
  readonly nodes: readonly NodeView[];
  readonly connections: { readonly local: number; readonly total: number };
}

/** What `GET /api/stats` shows: counters since the start, where nothing else is said. */
export interface ClusterStats {
  /** Connections per node, this one included. */
  readonly connections: Readonly<Record<string, number>>;
  /** Deliveries by outcome, counted at the caller. */
  readonly routed: Readonly<Record<Outcome, number>>;
  /** Messages and bytes handed to this node's own sockets. */
  readonly messagesOut: number;
  readonly bytesOut: number;
  /** Outbound bytes queued on this node's own sockets right now. */
  readonly queuedBytes: number;
  /** Streams right now. */
  readonly streams: StreamsInFlight;
  readonly links: Readonly<LinkStats>;
  /** Differences that health checks and digests found and mended. */
  readonly repairs: number;
  /** What clients and outsiders did wrong, by kind (the server counts these). */
  readonly rejected: Readonly<Record<RejectionKind, number>>;
}

/** Why an inbound request or socket was turned away or cut. */
export type RejectionKind =
  | "unauthorized"
  | "origin"
  | "bad-request"
  | "too-large"
  | "slow-consumer"
  | "replaced"
  | "flooding"
  | "vanished"
  | "handler-failed";

/** A connection with its owner, as asked from the owner. */
export interface ConnectionInfo extends ConnectionDetails {
  readonly connectionId: string;
  readonly nodeId: string;
}

/** One node, as servers and applications use it. */
export interface Cluster {
  readonly nodeId: string;
  /** From `start` until `shutdown`. */
  readonly running: boolean;
  start(): Promise<void>;
  /**
   * Moves the clients to other nodes in batches (1001 with a redirect), waits for streams, tells the peers and stops.
   * Idempotent: every call gets the same report. Rejects `invalid-option` for a deadline that cannot be.
   */
  shutdown(options?: ShutdownOptions): Promise<DrainReport>;
  /** `sink` when the connection does not come from the connection provider. Replaces (4409) a local connection of the same id. */
  registerConnection(connectionId: string, details: Partial<ConnectionDetails>, sink?: ConnectionSink): void;
  /** Forgets a connection of this node, whose socket it leaves alone. With `sink`: only if that is still its own. */
  unregisterConnection(connectionId: string, sink?: ConnectionSink): void;
  /** One message to each of the connections, with its outcome: see `ClusterRouter.deliver`. */
  deliver(
    connectionIds: readonly string[],
    data: string | Uint8Array,
    options?: DeliverOptions,
  ): Promise<Map<string, Outcome>>;
  /** True: it arrived. False: it did not, or that is unknown. */
  routeMessage(connectionId: string, data: string | Uint8Array, options?: DeliverOptions): Promise<boolean>;
  /** The same for each of the connections. */
  routeMessages(
    connectionIds: readonly string[],
    data: string | Uint8Array,
    options?: DeliverOptions,
  ): Promise<Map<string, boolean>>;
  /** All that `readable` yields, to one connection; true: all of it arrived. See `ClusterStreams.deliverStream`. */
  routeStream(
    connectionId: string,
    readable: ReadableStream<StreamData>,
    options?: StreamOptions,
  ): Promise<boolean>;
  /** The same to each of the connections; the source is read once. */
  routeStreams(
    connectionIds: readonly string[],
    readable: ReadableStream<StreamData>,
    options?: StreamOptions,
  ): Promise<Map<string, boolean>>;
  /** With the outcome, and what arrived. */
  deliverStream(
    connectionId: string,
    readable: ReadableStream<StreamData>,
    options?: StreamOptions,
  ): Promise<StreamResult>;
  deliverStreams(
    connectionIds: readonly string[],
    readable: ReadableStream<StreamData>,
    options?: StreamOptions,
  ): Promise<Map<string, StreamResult>>;
  /** A stream to one connection, to be written to. */
  openStream(connectionId: string, options?: StreamOptions): OutgoingStream;
  /** What the SDK client of one of this node's connections says of its streams. Throws `malformed`. */
  clientFrame(connectionId: string, frame: Bytes): void;
  /** Synchronous directory look-up; undefined when no node is known to have it. */
  getConnectionNodeId(connectionId: string): string | undefined;
  /** Asks the owner; undefined when nobody has it. Rejects `node-lost`, `timeout` or `not-running`. */
  getConnection(connectionId: string): Promise<ConnectionInfo | undefined>;
  /** A page of the known connections in the order of their ids, after `after`. */
  listConnections(options: { limit: number; after?: string }): { connectionId: string; nodeId: string }[];
  /** Closes it wherever it is; false when nobody has it. */
  closeConnection(connectionId: string, code: number, reason: string): Promise<boolean>;
  /**
   * The replicated map: what every node agrees on, whoever leads. Throws `unsupported` on a node without Raft
   * (`raft: false`) and on a witness.
   */
  readonly state: ReplicatedMap;
  /** Whether this node leads, as far as it knows. */
  readonly isLeader: boolean;
  /** Who leads, as far as this node knows; null: nobody. */
  readonly leaderId: string | null;
  /** Raft's term, as far as this node knows; 0 while it belongs to no cluster. */
  readonly term: number;
  /** Hands the leadership to `nodeId`, else to the fittest. Rejects `not-found`, `timeout`. */
  transferLeadership(nodeId?: string, options?: WaitOptions): Promise<void>;
  /** Takes a node out of Raft's members until it starts again. Rejects `not-found`, `timeout`. */
  removeNode(nodeId: string, options?: WaitOptions): Promise<void>;
  /** The cluster as this node sees it. */
  view(): ClusterView;
  /** Counters of this node. */
  stats(): ClusterStats;
  /** Counts one rejection for `stats()`. */
  countRejection(kind: RejectionKind): void;
  /** Calls `listener` for every event of that name, until the result is called. */
  on<Name extends keyof ClusterEvents>(
    name: Name,
    listener: (event: ClusterEvents[Name]) => void,
  ): Unsubscribe;
}
