/** What a cluster offers to servers, applications and examples; `ClusterManager` implements it. */
import type { ConnectionDetails, ConnectionSink } from "../connection/sink.ts";
import type { DownReason, LinkStats, PeerStatus } from "../link/contract.ts";
import type { DeliverOptions } from "../router/contract.ts";
import type { Outcome } from "../router/outcome.ts";
import type { FlotillaError } from "../lib/errors.ts";
import type { Unsubscribe } from "../lib/events.ts";

export type { DeliverOptions };

export interface ClusterEvents {
  /** A session with a node began. */
  nodeup: { nodeId: string; incarnation: string };
  /** A session ended; its routes and counts are already gone. */
  nodedown: { nodeId: string; incarnation: string; reason: DownReason };
  /** A connection of this node was registered. */
  connectionopen: { connectionId: string; endpoint: string };
  /** A connection of this node was unregistered. */
  connectionclose: { connectionId: string };
  /** This node can be of no use, its id is in use, say, and shuts down. */
  fatal: FlotillaError;
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
  readonly publicUrl: string | null;
}

export interface ClusterView {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly role: "leader" | "follower" | "candidate" | "learner" | null;
  readonly leaderId: string | null;
  readonly term: number | null;
  readonly commitIndex: number | null;
  readonly raft: { readonly status: "off" | "on"; readonly reason: string | null };
  readonly nodes: readonly NodeView[];
  readonly connections: { readonly local: number; readonly total: number };
}

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
  | "handler-failed";

/** A connection with its owner, as asked from the owner. */
export interface ConnectionInfo extends ConnectionDetails {
  readonly connectionId: string;
  readonly nodeId: string;
}

export interface Cluster {
  readonly nodeId: string;
  readonly running: boolean;
  start(): Promise<void>;
  /** `force` skips what protects clients; idempotent. */
  shutdown(options?: { force?: boolean; deadlineMs?: number }): Promise<void>;
  /** `sink` when the connection does not come from the connection provider. Replaces (4409) a local connection of the same id. */
  registerConnection(connectionId: string, details: Partial<ConnectionDetails>, sink?: ConnectionSink): void;
  /** With `sink`: only if that sink is still the registered one. */
  unregisterConnection(connectionId: string, sink?: ConnectionSink): void;
  deliver(
    connectionIds: readonly string[],
    data: string | Uint8Array,
    options?: DeliverOptions,
  ): Promise<Map<string, Outcome>>;
  routeMessage(connectionId: string, data: string | Uint8Array, options?: DeliverOptions): Promise<boolean>;
  routeMessages(
    connectionIds: readonly string[],
    data: string | Uint8Array,
    options?: DeliverOptions,
  ): Promise<Map<string, boolean>>;
  /** Synchronous directory look-up; undefined when no node is known to have it. */
  getConnectionNodeId(connectionId: string): string | undefined;
  /** Asks the owner; undefined when nobody has it. Rejects `node-lost` or `timeout`. */
  getConnection(connectionId: string): Promise<ConnectionInfo | undefined>;
  /** A page of the known connections in the order of their ids, after `after`. */
  listConnections(options: { limit: number; after?: string }): { connectionId: string; nodeId: string }[];
  /** Closes it wherever it is; false when nobody has it. */
  closeConnection(connectionId: string, code: number, reason: string): Promise<boolean>;
  view(): ClusterView;
  stats(): ClusterStats;
  /** Counts one rejection for `stats()`. */
  countRejection(kind: RejectionKind): void;
  on<Name extends keyof ClusterEvents>(
    name: Name,
    listener: (event: ClusterEvents[Name]) => void,
  ): Unsubscribe;
}
