/** Watches on the replicated map: each an async iterator over the changes as this node applies them. */
import { FlotillaError } from "../lib/errors.ts";
import type { StateChange, WatchOptions } from "./contract.ts";
import { WatchHub } from "./state/watches.ts";

/** One watcher: where it stands in the hub's history, and how to wake it. */
interface Watcher {
  next: number;
  wake: (() => void) | undefined;
}

export class Watches {
  #hub = new WatchHub(0);
  readonly #watchers = new Set<Watcher>();
  #stopped = false;

  /** A change was applied. */
  changed(change: StateChange): void {
    this.#hub.push(change);
    this.#wakeAll();
  }

  /** The map was replaced by one at `revision`: what was before is not known here. */
  restored(revision: number): void {
    this.#hub = new WatchHub(revision);
    this.#wakeAll();
  }

  stop(): void {
    this.#stopped = true;
    this.#wakeAll();
  }

  /** `present`: the revision from which a watch without `afterRevision` begins. */
  async *watch(options: WatchOptions, present: number): AsyncGenerator<StateChange, void, undefined> {
    const { prefix = "", afterRevision = present, signal } = options;
    const watcher: Watcher = { next: afterRevision, wake: undefined };
    const wake = (): void => watcher.wake?.();
    signal?.addEventListener("abort", wake);
    this.#watchers.add(watcher);
    try {
      while (!this.#isOver(signal)) {
        const changes = this.#hub.changesSince(watcher.next);
        if (changes === "compacted") {
          throw new FlotillaError("compacted", `watch after revision ${watcher.next}: changes were missed`);
        }
        for (const change of changes) {
          watcher.next = change.revision;
          if (change.key.startsWith(prefix)) yield change;
          if (this.#isOver(signal)) return;
        }
        if (changes.length > 0) continue;
        await new Promise<void>((resolve) => void (watcher.wake = resolve));
      }
    } finally {
      this.#watchers.delete(watcher);
      signal?.removeEventListener("abort", wake);
    }
  }

  #isOver(signal: AbortSignal | undefined): boolean {
    return this.#stopped || signal?.aborted === true;
  }

  #wakeAll(): void {
    for (const watcher of this.#watchers) watcher.wake?.();
  }
}
