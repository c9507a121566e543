/** Who is who: raftIds, nodes, and what this node sees of them now. */
import type { Links } from "../link/contract.ts";
import type { RaftMemberView } from "./contract.ts";
import type { RaftId } from "./core/types.ts";
import type { Identity } from "./identity.ts";
import type { RaftMember } from "./member.ts";
import type { PeerTable } from "./peer_table.ts";
import type { SharedWitness } from "./shared_witness.ts";
import { SHARED_WITNESS } from "./shared_witness_id.ts";
import type { PresentNode } from "./steward.ts";

/** What Raft is told of the nodes by whoever knows their clients. */
export interface NodeKnowledge {
  describe(nodeId: string): { readonly publicUrl: string | null; readonly draining: boolean };
  /** This node's part of all connections, 0–1. */
  load(): number;
}

/** A node about which nobody knows anything. */
export const NO_KNOWLEDGE: NodeKnowledge = {
  describe: () => ({ publicUrl: null, draining: false }),
  load: () => 0,
};

export interface RosterContext {
  readonly links: Pick<Links, "nodeId" | "incarnation">;
  readonly peers: PeerTable;
  knowledge(): NodeKnowledge;
  identity(): Identity;
  member(): RaftMember | undefined;
  shared(): SharedWitness | undefined;
}

export class Roster {
  readonly #context: RosterContext;

  constructor(context: RosterContext) {
    this.#context = context;
  }

  nodeOf(raftId: RaftId): string | undefined {
    const { links, peers, member } = this.#context;
    const own = member();
    if (own === undefined) return undefined;
    if (raftId === own.raftId) return links.nodeId;
    return peers.byRaftId(raftId)?.session.nodeId ?? own.state.member(raftId)?.nodeId;
  }

  /** Leader: this node, those with a live session that have said who they are, and a shared witness, by nodeId. */
  present(): Map<string, PresentNode> {
    const { links, peers, knowledge, identity, member, shared } = this.#context;
    const own = {
      identity: identity(),
      incarnation: links.incarnation,
      ...knowledge().describe(links.nodeId),
    };
    const present = new Map<string, PresentNode>([[links.nodeId, own]]);
    for (const { session: { nodeId, incarnation }, identity } of peers.values()) {
      if (identity === undefined) continue;
      present.set(nodeId, { identity, incarnation, ...knowledge().describe(nodeId) });
    }
    const active = member();
    const witness = active === undefined ? undefined : shared()?.present(active);
    if (witness !== undefined) present.set(SHARED_WITNESS, witness);
    return present;
  }

  /** The members that the replicated state knows, ascending by nodeId. */
  members(): RaftMemberView[] {
    const member = this.#context.member();
    if (member === undefined) return [];
    const { voters, members } = member;
    return members.flatMap((raftId): RaftMemberView[] => {
      const record = member.state.member(raftId);
      if (record === undefined) return [];
      const { nodeId, witness, status, incarnation, publicUrl } = record;
      return [{ nodeId, votes: voters.includes(raftId), witness, status, incarnation, publicUrl }];
    }).sort((a, b) => a.nodeId < b.nodeId ? -1 : 1);
  }

  whyNoLeader(): string {
    const { peers, member, shared } = this.#context;
    const own = member(), voters = own?.voters ?? [];
    const absent = voters.filter((id) =>
      id !== own?.raftId && peers.byRaftId(id) === undefined && shared()?.answers(id) !== true
    );
    if (absent.length === 0) return "an election is under way";
    const names = absent.map((id) => this.nodeOf(id) ?? `member ${id}`).join(", ");
    return `no leader: of ${voters.length} voters ${absent.length} cannot be reached (${names})`;
  }
}
