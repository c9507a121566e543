/** A node's part in Raft, as its manager sees it: a member with the whole state, or a witness. */
import type { Emitter } from "../lib/events.ts";
import type { RaftEvents, RaftView, ReplicatedMap, WaitOptions } from "./contract.ts";
import type { NodeKnowledge } from "./roster.ts";

export interface RaftPart {
  readonly events: Emitter<RaftEvents>;
  /** Throws `unsupported` on a witness. */
  readonly map: ReplicatedMap;
  /** Set by the manager. */
  knowledge: NodeKnowledge;
  readonly isLeader: boolean;
  /** The nodeId of the leader, as far as this node knows. */
  readonly leaderId: string | null;
  /** 0 while this node belongs to no cluster. */
  readonly term: number;
  view(): RaftView;
  start(): Promise<void>;
  /** Before this node stops; never rejects. */
  leave(): Promise<void>;
  stop(): void;
  transferLeadership(nodeId?: string, options?: WaitOptions): Promise<void>;
  removeNode(nodeId: string, options?: WaitOptions): Promise<void>;
}
