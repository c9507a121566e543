/** What several nodes say of their leader, put together. */
import type { ClusterView } from "../../../src/cluster/contract.ts";

type RaftView = Pick<ClusterView, "nodeId" | "role" | "leaderId" | "term" | "commitIndex">;

export interface Leadership {
  readonly leaderId: string;
  readonly term: number;
  /** Who says so, the leader among them. */
  readonly agreeing: readonly string[];
}

/**
 * The leader that more than half of `size` nodes name in one term, itself among them as one that leads; undefined
 * when there is none. A node that does not answer has no view.
 */
export function agreedLeader(
  views: readonly (RaftView | undefined)[],
  size: number,
): Leadership | undefined {
  for (const leader of views) {
    if (leader?.role !== "leader" || leader.term === null || leader.leaderId !== leader.nodeId) continue;
    const agreeing = views.flatMap((view) =>
      view?.leaderId === leader.nodeId && view.term === leader.term ? [view.nodeId] : []
    );
    if (agreeing.length * 2 > size) return { leaderId: leader.nodeId, term: leader.term, agreeing };
  }
  return undefined;
}

/** Whether all nodes answer, agree on a leader and have committed the same. */
export function isSettled(views: readonly (RaftView | undefined)[]): boolean {
  const commits = new Set(views.map((view) => view?.commitIndex));
  return agreedLeader(views, views.length)?.agreeing.length === views.length && commits.size === 1;
}

/** For the message of a wait that failed; undefined where there is no view. */
export function viewText(view: ClusterView | undefined): string | undefined {
  if (view === undefined) return undefined;
  const { nodeId, role, leaderId, term, commitIndex, raft: { status, reason } } = view;
  const why = reason === null ? "" : ` (${reason})`;
  return `${nodeId}: ${role}, leader ${leaderId}, term ${term}, commit ${commitIndex}, raft ${status}${why}`;
}
