/** Token buckets by key, bounded in number: how often outsiders may make this node work. */
export class RateLimit<Key> {
  readonly #burst: number;
  readonly #perSecond: number;
  readonly #keysMax: number;
  /** Least recently used first. */
  readonly #buckets = new Map<Key, { tokens: number; at: number }>();

  constructor(options: { readonly burst: number; readonly perSecond: number; readonly keysMax: number }) {
    this.#burst = options.burst;
    this.#perSecond = options.perSecond;
    this.#keysMax = options.keysMax;
  }

  /** Whether `key` may do one more thing at `now` (ms). */
  allows(key: Key, now: number): boolean {
    const bucket = this.#buckets.get(key) ?? { tokens: this.#burst, at: now };
    bucket.tokens = Math.min(this.#burst, bucket.tokens + (now - bucket.at) / 1_000 * this.#perSecond);
    bucket.at = now;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#keysMax) this.#buckets.delete(this.#buckets.keys().next().value as Key);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}
