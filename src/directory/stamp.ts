/**
 * Hybrid logical clock (Kulkarni, Demirbas et al., "Logical Physical Clocks", 2014): stamps follow the wall
 * clock closely, never repeat or go back on one node, and a stamp given after another was observed is the
 * later one. So a client that reconnects to another node makes the later claim there, even if that node's
 * clock is behind.
 *
 * A stamp is one safe integer: (wall ms since 2024-01-01) * 4096 + counter. More than 4,096 stamps within one
 * millisecond borrow from the next ones.
 */
import type { Clock } from "../lib/clock.ts";

/** 2024-01-01T00:00:00Z in ms since the Unix epoch. */
const ORIGIN_MS = 1_704_067_200_000;
const STAMPS_PER_MS = 4_096;

/** Stamps on the wire are below this (the year 2093); one step above any of them is still a safe integer. */
export const STAMP_MAX: number = Number.MAX_SAFE_INTEGER - 1;

/** The first stamp of a wall time in ms since the Unix epoch. */
export function stampOf(wallMs: number): number {
  return Math.max(0, Math.floor(wallMs) - ORIGIN_MS) * STAMPS_PER_MS;
}

export class HybridClock {
  readonly #clock: Pick<Clock, "wallTime">;
  readonly #skewMaxMs: number;
  #last = 0;
  /** Up to here stamps are believed without a look at the clock: a registration costs none on its way. */
  #believed = 0;

  constructor(clock: Pick<Clock, "wallTime">, skewMaxMs: number) {
    this.#clock = clock;
    this.#skewMaxMs = skewMaxMs;
  }

  /** A stamp above all that this clock has given or accepted, and not below the wall time. */
  next(): number {
    this.#last = Math.max(this.#last + 1, stampOf(this.#clock.wallTime()));
    return this.#last;
  }

  /**
   * Takes note of a peer's stamp. One too far ahead of the wall clock is not believed, so no peer drags it
   * away.
   */
  observe(stamp: number): void {
    if (stamp <= this.#last) return;
    if (stamp > this.#believed) this.#believed = stampOf(this.#clock.wallTime() + this.#skewMaxMs);
    if (stamp <= this.#believed) this.#last = stamp;
  }
}
