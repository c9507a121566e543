/**
 * The latest changes of the map, for watchers that follow it from a revision. A watcher keeps the revision it
 * has, asks for what came since whenever it is woken, and reads the whole map again where that is compacted.
 */
import { Deque } from "../../lib/deque.ts";
import { utf8Length } from "../../lib/utf8_length.ts";
import type { Change } from "./key_values.ts";
import { HISTORY_BYTES_MAX, HISTORY_CHANGES_MAX, ITEM_BYTES } from "./limits.ts";

export class WatchHub {
  readonly #changes: Deque<Change> = new Deque();
  readonly #watchers: Set<() => void> = new Set();
  /** The revision before the oldest change that is kept. */
  #floor: number;
  #bytes = 0;

  /** `revision`: the map's; changes up to it are compacted. */
  constructor(revision: number) {
    this.#floor = revision;
  }

  /** Of the latest change. */
  get revision(): number {
    return this.#floor + this.#changes.size;
  }

  /** The lowest revision from which changes are still known. */
  get compactedTo(): number {
    return this.#floor;
  }

  /** Takes the change that follows the latest, and wakes nobody: a batch of them is worth one `wake`. */
  push(change: Change): void {
    // A gap would give watchers wrong revisions; what is before it is of no use to them.
    if (change.revision !== this.revision + 1) this.restart(change.revision - 1);
    this.#changes.pushBack(change);
    this.#bytes += changeBytes(change);
    while (this.#changes.size > HISTORY_CHANGES_MAX || this.#bytes > HISTORY_BYTES_MAX) {
      this.#bytes -= changeBytes(this.#changes.popFront() as Change);
      this.#floor++;
    }
  }

  /**
   * The map was replaced by that of a snapshot at `revision`: what came before is compacted. Where that is
   * below the revision here, a re-formed cluster lost changes that watchers saw; end their watches.
   */
  restart(revision: number): void {
    this.#changes.clear();
    this.#bytes = 0;
    this.#floor = revision;
  }

  /**
   * Changes above `revision`, in order; none for a revision that is still to come. `compacted`: not all of
   * them are kept.
   */
  changesSince(revision: number): readonly Change[] | "compacted" {
    if (revision < this.#floor) return "compacted";
    const changes: Change[] = [];
    for (let at = revision - this.#floor; at < this.#changes.size; at++) {
      changes.push(this.#changes.at(at) as Change);
    }
    return changes;
  }

  /** `woken` is called at every `wake` until the returned function is called. It must not throw. */
  watch(woken: () => void): () => void {
    const watcher = (): void => woken();
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  /** Tells every watcher that something may be new, in the order in which they came. */
  wake(): void {
    for (const watcher of [...this.#watchers]) if (this.#watchers.has(watcher)) watcher();
  }
}

function changeBytes({ key, value }: Change): number {
  return utf8Length(key) + (value?.byteLength ?? 0) + ITEM_BYTES;
}
