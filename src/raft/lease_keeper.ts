/** The leader's clock over the leases of the replicated state: it proposes the end of one that nobody renewed. */
import type { ReplicatedState } from "./state/replicated_state.ts";

/** A leader that did not look for so many ms stood still, or could not go on: nobody could renew anything. */
const STANDSTILL_MS = 1_000;

interface Watched {
  readonly token: number;
  readonly renewedAt: number;
  readonly endsAt: number;
}

/**
 * A lease runs from the moment at which this leader applied its grant or last renewal, or first saw it: so a new
 * leader, or one that stood still, gives every holder its full time again, and none ends early by anybody's clock.
 */
export class LeaseKeeper {
  readonly #watched = new Map<string, Watched>();
  #lookedAt = -Infinity;

  /** This node leads no more, or begins to. */
  reset(): void {
    this.#watched.clear();
  }

  /** The leases that are over at `now`, ms of a monotonic clock. */
  *over(
    state: Pick<ReplicatedState, "leases">,
    now: number,
  ): Generator<{ name: string; token: number; renewedAt: number }> {
    if (now - this.#lookedAt > STANDSTILL_MS) this.reset();
    this.#lookedAt = now;
    const gone = new Set(this.#watched.keys());
    for (const { name, token, ttlMs, renewedAt } of state.leases()) {
      gone.delete(name);
      const watched = this.#watched.get(name);
      if (watched === undefined || watched.token !== token || watched.renewedAt !== renewedAt) {
        this.#watched.set(name, { token, renewedAt, endsAt: now + ttlMs });
      } else if (watched.endsAt <= now) yield { name, token, renewedAt };
    }
    for (const name of gone) this.#watched.delete(name);
  }
}
