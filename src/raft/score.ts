/**
 * How well a node is placed to lead, 0–100. Between two voters the better one leads: its election timeout is
 * shorter, and a leader hands over to a clearly better one. Neither ever changes what a majority is.
 */

export interface Placement {
  /** Link quality to each other node with a live session, 0–100. */
  readonly qualities: readonly number[];
  /** By how much this process's timers come late, ms. */
  readonly latenessMs: number;
  /** This node's part of all connections, 0–1. */
  readonly load: number;
}

const QUALITY_WEIGHT = 0.45;
const LATENESS_WEIGHT = 0.45;
const LOAD_WEIGHT = 0.1;
/** A process so late is half as good as one that is on time. */
const LATENESS_HALF_MS = 20;

export function scoreOf({ qualities, latenessMs, load }: Placement): number {
  const quality = qualities.length === 0
    ? 1
    : qualities.reduce((sum, each) => sum + each, 0) / qualities.length / 100;
  const punctuality = LATENESS_HALF_MS / (LATENESS_HALF_MS + latenessMs);
  return Math.round(
    100 * (QUALITY_WEIGHT * quality + LATENESS_WEIGHT * punctuality + LOAD_WEIGHT * (1 - load)),
  );
}

/** Between two that could lead the one that is worse placed waits up to twice as long; among more, nobody does. */
export function patienceOf(keepers: number, score: number): number {
  return keepers === 2 ? 2 - score / 100 : 1;
}

/** A leader hands over to a node that scores so much better, */
const TRANSFER_POINTS = 12;
/** and has done so for so many ms: measurements swing. */
const TRANSFER_AFTER_MS = 2_000;

/** Decides when a leader should hand over. */
export class Handover {
  #betterSince: number | undefined;

  /** Whether `other` has been clearly better than `own` for long enough, at `now` (ms). */
  isDue(own: number, other: number, now: number): boolean {
    if (other - own < TRANSFER_POINTS) this.#betterSince = undefined;
    else this.#betterSince ??= now;
    return this.#betterSince !== undefined && now - this.#betterSince >= TRANSFER_AFTER_MS;
  }

  reset(): void {
    this.#betterSince = undefined;
  }
}
