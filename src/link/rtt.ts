/** Round-trip time, smoothed as in RFC 9002, section 5. Milliseconds. */
export class RttEstimator {
  #smoothed: number | undefined;
  #variation = 0;
  #latest = 0;
  #minimum = Number.POSITIVE_INFINITY;

  sample(rttMs: number): void {
    this.#latest = rttMs;
    this.#minimum = Math.min(this.#minimum, rttMs);
    if (this.#smoothed === undefined) {
      this.#smoothed = rttMs;
      this.#variation = rttMs / 2;
      return;
    }
    this.#variation = 0.75 * this.#variation + 0.25 * Math.abs(this.#smoothed - rttMs);
    this.#smoothed = 0.875 * this.#smoothed + 0.125 * rttMs;
  }

  /** Undefined before the first sample. */
  get smoothedMs(): number | undefined {
    return this.#smoothed;
  }

  get variationMs(): number {
    return this.#variation;
  }

  /** How long after a later packet's acknowledgement an unacknowledged one is lost (6.1.2: 9/8, at least 1 ms). */
  get lossDelayMs(): number {
    return Math.max(1.125 * Math.max(this.#smoothed ?? INITIAL_RTT_MS, this.#latest), GRANULARITY_MS);
  }

  /** How long to wait for any acknowledgement before probing (6.2.1); acks are never delayed here. */
  get probeTimeoutMs(): number {
    if (this.#smoothed === undefined) return 2 * INITIAL_RTT_MS;
    return this.#smoothed + Math.max(4 * this.#variation, GRANULARITY_MS);
  }
}

/** 6.2.2 recommends 333 ms; links join servers, so a shorter first guess only costs a repeat. */
const INITIAL_RTT_MS = 100;
const GRANULARITY_MS = 1;
