/** What the parts above see of Raft: how it stands, and the replicated state. */
import type { Bytes } from "../lib/bytes.ts";
import type { WaitOptions } from "./waits.ts";

export type { WaitOptions };

export type RaftRole = "leader" | "follower" | "candidate" | "learner" | "witness";

/** How this node stands in its cluster. Everything is null while it belongs to none. */
export interface RaftView {
  readonly role: RaftRole | null;
  /** The nodeId of the leader, as far as this node knows. */
  readonly leaderId: string | null;
  readonly term: number | null;
  readonly commitIndex: number | null;
  /** `on`: there is a leader, as far as this node knows. `off`: there is none, and `reason` says why. */
  readonly status: "on" | "off";
  readonly reason: string | null;
  /** Ascending by nodeId; empty while this node belongs to no cluster. */
  readonly members: readonly RaftMemberView[];
}

/** A member of the cluster, as the replicated state has it. */
export interface RaftMemberView {
  readonly nodeId: string;
  /** Whether its vote counts; others learn. */
  readonly votes: boolean;
  /** It keeps no state, and never leads. */
  readonly witness: boolean;
  /** As the leader saw it last. */
  readonly status: "up" | "down" | "draining";
  readonly incarnation: string;
  readonly publicUrl: string | null;
}

export interface RaftEvents {
  /** Another leader, or none, as this node sees it. */
  leaderchange: { leaderId: string | null; term: number };
  /** The replicated map changed: a key was written, or deleted (`value` null). */
  statechange: StateChange;
}

export interface StateChange {
  /** Of the whole map; grows by one with each change. */
  readonly revision: number;
  readonly key: string;
  readonly value: Bytes | null;
}

/** A value with the revision at which it was last written. */
export interface StateValue {
  readonly value: Bytes;
  readonly revision: number;
}

export interface ReadOptions extends WaitOptions {
  /** Look at what this node has applied, which may be old, without asking the leader. Default false: linearizable. */
  readonly stale?: boolean;
}

export interface WatchOptions {
  /** Only keys that begin so; default all. */
  readonly prefix?: string;
  /** From the change after this revision on; default: from the next one. */
  readonly afterRevision?: number;
  readonly signal?: AbortSignal;
}

export type CompareResult =
  | { readonly done: true; readonly revision: number }
  /** The key has this revision; 0: it is absent. */
  | { readonly done: false; readonly revision: number };

/** A lock that is held for a time. */
export interface Lease extends AsyncDisposable {
  readonly name: string;
  /**
   * Fencing token: larger than that of every earlier lease of this cluster, whatever name it had. Whoever is
   * protected by the lease refuses smaller ones than it has seen.
   */
  readonly token: number;
  /** Begins the time anew; false when the lease is over. */
  renew(options?: WaitOptions): Promise<boolean>;
  /** Ends it; false when it was over. */
  release(options?: WaitOptions): Promise<boolean>;
}

export interface LeaseOptions extends WaitOptions {
  /** Milliseconds after its grant or last renewal at which the lease ends: 100 to 86,400,000. */
  readonly ttlMs: number;
  /** Who holds it; the same holder gets its own lease again. Default: this node's id. */
  readonly holder?: string;
}

/**
 * The replicated map: the same on every node, changed in one order, kept by a majority. Keys are 1 to 512 bytes of
 * text, values up to 1 MiB, all together up to 16 MiB.
 *
 * Rejections: `too-large` (a limit, which the message names), `malformed` (a key or argument that cannot be),
 * `no-leader` (nothing happened), `timeout` (it may take effect or not), `aborted`, `backpressure`, `not-running`.
 */
export interface ReplicatedMap {
  /** Undefined when the key is absent. */
  get(key: string, options?: ReadOptions): Promise<StateValue | undefined>;
  /** Keys that begin with `prefix`, in order, after `after`; at most `limit`, default 1,000. */
  keys(options?: ReadOptions & { prefix?: string; after?: string; limit?: number }): Promise<string[]>;
  /** The revision of the write. */
  set(key: string, value: string | Uint8Array, options?: WaitOptions): Promise<number>;
  /** The revision of the deletion; undefined when the key was absent. */
  delete(key: string, options?: WaitOptions): Promise<number | undefined>;
  /** Writes, or with `null` deletes, only if the key was last written at revision `expected`; 0: only if absent. */
  compareAndSet(
    key: string,
    expected: number,
    value: string | Uint8Array | null,
    options?: WaitOptions,
  ): Promise<CompareResult>;
  /**
   * Every change in order, as this node applies it. Ends when the signal fires or the node stops; throws
   * `compacted` when changes were missed: then read again, and watch from the revision read.
   */
  watch(options?: WatchOptions): AsyncIterableIterator<StateChange>;
  /** Undefined while somebody else holds it. */
  acquireLease(name: string, options: LeaseOptions): Promise<Lease | undefined>;
  /** The last change that this node has applied. */
  readonly revision: number;
}
