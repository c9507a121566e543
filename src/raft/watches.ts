/** Watches on the replicated map: each an async iterator over the changes as this node applies them. */
import { FlotillaError } from "../lib/errors.ts";
import type { StateChange, WatchOptions } from "./contract.ts";
import { WatchHub } from "./state/watches.ts";

export class Watches {
  readonly #hub = new WatchHub(0);
  /** Counts the times when the map was replaced: whoever watched another one may have seen what this one lacks. */
  #epoch = 0;
  #news = false;
  #stopped = false;

  /** A change was applied; watchers hear of it at the next `wake`. */
  changed(change: StateChange): void {
    this.#hub.push(change);
    this.#news = true;
  }

  /** The map was replaced by one at `revision`: what was before is not known here. */
  restored(revision: number): void {
    // Whoever has seen exactly so much goes on.
    if (revision < this.#hub.revision) this.#epoch++;
    this.#hub.restart(revision);
    this.#news = true;
  }

  /** To be called after a batch of the above. */
  wake(): void {
    if (!this.#news) return;
    this.#news = false;
    this.#hub.wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#hub.wake();
  }

  /** `present`: the revision from which a watch without `afterRevision` begins. */
  async *watch(options: WatchOptions, present: number): AsyncGenerator<StateChange, void, undefined> {
    const { prefix = "", afterRevision = present, signal } = options;
    const epoch = this.#epoch;
    let revision = afterRevision;
    let wake = (): void => {};
    const woken = (): void => wake();
    const leave = this.#hub.watch(woken);
    signal?.addEventListener("abort", woken);
    try {
      while (!this.#isOver(signal)) {
        const changes = epoch === this.#epoch ? this.#hub.changesSince(revision) : "compacted";
        if (changes === "compacted") {
          throw new FlotillaError("compacted", `watch after revision ${revision}: changes were missed`);
        }
        for (const change of changes) {
          ({ revision } = change);
          if (change.key.startsWith(prefix)) yield change;
          if (this.#isOver(signal)) return;
        }
        if (changes.length > 0) continue;
        await new Promise<void>((resolve) => void (wake = resolve));
      }
    } finally {
      leave();
      signal?.removeEventListener("abort", woken);
    }
  }

  #isOver(signal: AbortSignal | undefined): boolean {
    return this.#stopped || signal?.aborted === true;
  }
}
