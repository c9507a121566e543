import { jittered, type Random } from "./random.ts";

/** Pauses between attempts that fail: each twice the one before, up to a longest, and jittered. Milliseconds. */
export class Backoff {
  readonly #random: Random;
  readonly #firstMs: number;
  readonly #longestMs: number;
  #nextMs: number;

  constructor(random: Random, firstMs: number, longestMs: number) {
    this.#random = random;
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
    this.#nextMs = firstMs;
  }

  next(): number {
    const pauseMs = jittered(this.#random, this.#nextMs);
    this.#nextMs = Math.min(this.#nextMs * 2, this.#longestMs);
    return pauseMs;
  }

  /** An attempt succeeded. */
  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
