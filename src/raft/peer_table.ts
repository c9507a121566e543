/** The peers with a live session: who they say they are, and since when others are away. */
import type { Clock } from "../lib/clock.ts";
import type { Session } from "../link/contract.ts";
import type { RaftId } from "./core/types.ts";
import type { Identity } from "./identity.ts";

/** Nodes that are remembered as gone: more than a cluster has members. */
const LEFT_MAX = 4_096;

export interface RaftPeer {
  readonly session: Session;
  /** Undefined until it has said so. */
  identity: Identity | undefined;
}

export class PeerTable {
  readonly #clock: Clock;
  readonly #peers = new Map<string, RaftPeer>();
  readonly #byRaftId = new Map<RaftId, RaftPeer>();
  /** When the last session with a node ended; for nodes never seen, when this table was made. */
  readonly #leftAt = new Map<string, number>();
  readonly #madeAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#madeAt = clock.now();
  }

  up(session: Session): void {
    const before = this.#peers.get(session.nodeId);
    if (before !== undefined) this.#unname(before);
    this.#peers.set(session.nodeId, { session, identity: undefined });
  }

  /** The raftId under which the node was known; undefined when it never said. */
  down(session: Session): RaftId | undefined {
    const peer = this.#peers.get(session.nodeId);
    if (peer?.session !== session) return undefined;
    this.#peers.delete(session.nodeId);
    this.#leave(session.nodeId);
    this.#unname(peer);
    return peer.identity?.raftId;
  }

  identified(session: Session, identity: Identity): void {
    const peer = this.#peers.get(session.nodeId);
    if (peer?.session !== session) return;
    this.#unname(peer);
    peer.identity = identity;
    if (!identity.out) this.#byRaftId.set(identity.raftId, peer);
  }

  /** A disk may have moved from one node to another, whose word about it came first. */
  #unname(peer: RaftPeer): void {
    const raftId = peer.identity?.raftId;
    if (raftId !== undefined && this.#byRaftId.get(raftId) === peer) this.#byRaftId.delete(raftId);
  }

  #leave(nodeId: string): void {
    this.#leftAt.delete(nodeId);
    this.#leftAt.set(nodeId, this.#clock.now());
    if (this.#leftAt.size <= LEFT_MAX) return;
    for (const oldest of this.#leftAt.keys()) {
      this.#leftAt.delete(oldest);
      break;
    }
  }

  /** What the node at the other end of `session` has said of itself. */
  identity(session: Session): Identity | undefined {
    const peer = this.#peers.get(session.nodeId);
    return peer?.session === session ? peer.identity : undefined;
  }

  get(nodeId: string): RaftPeer | undefined {
    return this.#peers.get(nodeId);
  }

  /** The peer that takes part as `raftId`. */
  byRaftId(raftId: RaftId): RaftPeer | undefined {
    return this.#byRaftId.get(raftId);
  }

  /** Those that have said who they are. */
  identities(): Map<string, Identity> {
    const identities = new Map<string, Identity>();
    for (const [nodeId, { identity }] of this.#peers) {
      if (identity !== undefined) identities.set(nodeId, identity);
    }
    return identities;
  }

  values(): Iterable<RaftPeer> {
    return this.#peers.values();
  }

  awayMs(nodeId: string): number {
    if (this.#peers.has(nodeId)) return 0;
    return this.#clock.now() - (this.#leftAt.get(nodeId) ?? this.#madeAt);
  }
}
