import { type RankedTarget, rankTargets, type TargetCandidate } from "./rank_targets.ts";

/** Points of a ranking that the worst target still has: it gets some clients, too. */
const LEAST_WEIGHT = 5;

interface Turn {
  readonly nodeId: string;
  readonly weight: number;
  current: number;
}

/**
 * Spreads clients over all targets that qualify, each by its weight: how much better it is ranked than the worst. No
 * two clients in a row go to the same target where another one's turn has come (smooth weighted round robin, as in
 * nginx).
 */
export class Spread {
  #targets: Turn[] = [];

  /** Takes the targets as they are now; keeps whose turn it is. */
  update(candidates: readonly TargetCandidate[]): void {
    const ranked = rankTargets(candidates);
    const before = new Map(this.#targets.map(({ nodeId, current }) => [nodeId, current]));
    this.#targets = ranked.map(({ nodeId, score }) => ({
      nodeId,
      weight: score - worstOf(ranked) + LEAST_WEIGHT,
      current: before.get(nodeId) ?? 0,
    }));
  }

  /** The next client's target; undefined while none qualifies. */
  next(): string | undefined {
    let chosen: Turn | undefined;
    let total = 0;
    for (const target of this.#targets) {
      target.current += target.weight;
      total += target.weight;
      if (chosen === undefined || target.current > chosen.current) chosen = target;
    }
    if (chosen !== undefined) chosen.current -= total;
    return chosen?.nodeId;
  }
}

function worstOf(ranked: readonly RankedTarget[]): number {
  return ranked.at(-1)?.score ?? 0;
}
