/** A node that clients could be sent to, with what is known of it. */
export interface TargetCandidate {
  readonly nodeId: string;
  readonly status: "up" | "suspect" | "down";
  readonly draining: boolean;
  /** Connections it owns. */
  readonly connections: number;
  /** 0–100. */
  readonly quality: number;
  /** Round trip, ms; null when unknown. */
  readonly latencyMs: number | null;
}

/** How many points each measure can cost. */
export interface RankWeights {
  /** Points lost by the node with the most connections against one with none. Default 100. */
  readonly connections: number;
  /** Points lost at quality 0 against 100. Default 10. */
  readonly quality: number;
  /** Points lost at the highest latency among the candidates against 0 ms. Default 1. */
  readonly latency: number;
}

export const RANK_WEIGHTS: RankWeights = { connections: 100, quality: 10, latency: 1 };

/** A node that qualifies. */
export interface RankedTarget {
  readonly nodeId: string;
  /** Higher is better; comparable within one ranking only. */
  readonly score: number;
}

/**
 * Nodes in the order in which clients should be sent to them: fewest connections first, then quality, then
 * latency, then nodeId. Suspect, down and draining nodes are left out. The weights say how many points each
 * measure can cost, relative to the worst candidate.
 */
export function rankTargets(
  candidates: readonly TargetCandidate[],
  weights: Partial<RankWeights> = {},
): RankedTarget[] {
  const { connections, quality, latency } = { ...RANK_WEIGHTS, ...weights };
  const eligible = candidates.filter(({ status, draining }) => status === "up" && !draining);
  const mostConnections = Math.max(1, ...eligible.map((candidate) => candidate.connections));
  const highestLatency = Math.max(1, ...eligible.map(({ latencyMs }) => latencyMs ?? 0));
  const score = (candidate: TargetCandidate): number =>
    -connections * candidate.connections / mostConnections -
    quality * (100 - candidate.quality) / 100 -
    latency * (candidate.latencyMs ?? highestLatency) / highestLatency;
  return eligible
    .map((candidate) => ({ nodeId: candidate.nodeId, score: score(candidate) }))
    .sort((a, b) => b.score - a.score || (a.nodeId < b.nodeId ? -1 : 1));
}
