/** What a link's score is made of. */
export interface LinkObservation {
  /** Smoothed round trip, ms; undefined before the first sample. */
  readonly latencyMs: number | undefined;
  /** Its smoothed deviation, ms. */
  readonly variationMs: number;
  /** Share of recent packets lost, 0–1. */
  readonly loss: number;
  /** Interruptions, each fading with `FLAP_HALF_LIFE_MS`. */
  readonly flaps: number;
  readonly sameHost: boolean;
}

/** How fast an interruption is forgotten: a link that was cut scores as before some minutes later. */
export const FLAP_HALF_LIFE_MS = 30_000;

const LATENCY_POINTS = 8;
const LATENCY_SCALE_MS = 5;
const VARIATION_POINTS = 8;
const VARIATION_SCALE_MS = 2;
const LOSS_POINTS = 150;
const FLAP_POINTS = 30;
const SAME_HOST_POINTS = 5;
/** A link that works at all is better than none. */
const SCORE_MIN = 1;

/**
 * 0–100 for a live link; the caller scores an unreachable one 0. Latency and its variation count by their
 * logarithm: from 1 to 10 ms matters as much as from 10 to 100. Loss counts linearly, interruptions heaviest.
 */
export function scoreLink({ latencyMs, variationMs, loss, flaps, sameHost }: LinkObservation): number {
  const latency = LATENCY_POINTS * Math.log2(1 + (latencyMs ?? LATENCY_SCALE_MS) / LATENCY_SCALE_MS);
  const variation = VARIATION_POINTS * Math.log2(1 + variationMs / VARIATION_SCALE_MS);
  const penalty = latency + variation + LOSS_POINTS * loss + FLAP_POINTS * Math.min(flaps, 2);
  const score = 100 - penalty + (sameHost ? SAME_HOST_POINTS : 0);
  return Math.round(Math.min(100, Math.max(SCORE_MIN, score)));
}

/** A value that halves every `halfLifeMs` and can be added to. */
export class FadingCount {
  readonly #halfLifeMs: number;
  #value = 0;
  #at = 0;

  constructor(halfLifeMs: number) {
    this.#halfLifeMs = halfLifeMs;
  }

  add(now: number): void {
    this.#value = this.read(now) + 1;
    this.#at = now;
  }

  read(now: number): number {
    return this.#value * 2 ** (-(now - this.#at) / this.#halfLifeMs);
  }
}

/** The share of losses among what settled lately: an average over about fifty packets. */
export class LossMeter {
  #share = 0;

  settled(lost: boolean): void {
    this.#share += ((lost ? 1 : 0) - this.#share) / 50;
  }

  get share(): number {
    return this.#share;
  }
}
