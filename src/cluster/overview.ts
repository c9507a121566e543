/** The cluster as one node sees it: who is there, with what, and where a client is best sent. */
import type { Directory } from "../directory/directory.ts";
import type { Links } from "../link/contract.ts";
import type { RaftView } from "../raft/contract.ts";
import type { RaftPart } from "../raft/part.ts";
import type { NodeKnowledge } from "../raft/roster.ts";
import type { ClusterView, NodeView } from "./contract.ts";
import type { NodeStatuses } from "./node_status.ts";
import { rankTargets, type RankWeights, type TargetCandidate } from "./rank_targets.ts";

/** How a node stands that takes no part in Raft. */
export const NO_RAFT: RaftView = Object.freeze({
  role: null,
  leaderId: null,
  term: null,
  commitIndex: null,
  status: "off",
  members: [],
  reason: "this node takes no part in Raft (option raft: false)",
});

export interface OverviewContext {
  readonly links: Pick<Links, "nodeId" | "incarnation" | "peers">;
  readonly directory: Pick<Directory, "countOf" | "total">;
  readonly statuses: Pick<NodeStatuses, "own" | "of">;
  readonly raft?: Pick<RaftPart, "view"> | undefined;
}

export class Overview implements NodeKnowledge {
  readonly #context: OverviewContext;

  constructor(context: OverviewContext) {
    this.#context = context;
  }

  view(): ClusterView {
    const { links, directory, raft } = this.#context;
    const { status, reason, members, ...standing } = raft?.view() ?? NO_RAFT;
    return {
      nodeId: links.nodeId,
      incarnation: links.incarnation,
      ...standing,
      raft: { status, reason, members },
      nodes: this.nodes(),
      connections: { local: directory.countOf(links.nodeId), total: directory.total },
    };
  }

  /** This node first, then every node it has met in this run. */
  nodes(): NodeView[] {
    const { links, directory } = this.#context;
    const seen = [
      { nodeId: links.nodeId, status: "up" as const, latencyMs: 0, quality: 100 },
      ...links.peers().map(({ nodeId, status, latencyMs, quality }) => ({
        nodeId,
        status,
        latencyMs,
        quality,
      })),
    ];
    return seen.map((node) => ({
      ...node,
      connections: directory.countOf(node.nodeId),
      publicUrl: this.describe(node.nodeId).publicUrl,
    }));
  }

  /** The node a new client is best sent to; undefined while none qualifies. */
  optimalNode(weights?: Partial<RankWeights>): string | undefined {
    return rankTargets(this.candidates(), weights)[0]?.nodeId;
  }

  /** All nodes, as targets for clients. */
  candidates(): TargetCandidate[] {
    return this.nodes().map((node) => ({ ...node, draining: this.describe(node.nodeId).draining }));
  }

  describe(nodeId: string): { readonly publicUrl: string | null; readonly draining: boolean } {
    const { links, statuses } = this.#context;
    return nodeId === links.nodeId ? statuses.own : statuses.of(nodeId);
  }

  load(): number {
    const { links, directory } = this.#context;
    return directory.total === 0 ? 0 : directory.countOf(links.nodeId) / directory.total;
  }
}
