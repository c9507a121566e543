/** Stable storage that is not: a log in memory, for nodes without a disk and for tests. */
import { FlotillaError } from "../../lib/errors.ts";
import { EMPTY_CONF_STATE } from "./configuration.ts";
import { limited } from "./size.ts";
import type { Storage } from "./storage.ts";
import type { ConfState, Entry, HardState, Snapshot } from "./types.ts";

export class MemoryStorage implements Storage {
  #hardState: HardState | undefined;
  #snapshot: Snapshot | undefined;
  /** The place and term of the entry before the first. */
  #offset = 0;
  #offsetTerm = 0;
  #entries: Entry[] = [];

  initialState(): { hardState: HardState | undefined; confState: ConfState } {
    return { hardState: this.#hardState, confState: this.#snapshot?.confState ?? EMPTY_CONF_STATE };
  }

  firstIndex(): number {
    return this.#offset + 1;
  }

  lastIndex(): number {
    return this.#offset + this.#entries.length;
  }

  term(index: number): number | undefined {
    return index === this.#offset ? this.#offsetTerm : this.#entries[index - this.#offset - 1]?.term;
  }

  entries(from: number, to: number, bytesMax: number): Entry[] | undefined {
    if (from <= this.#offset) return undefined;
    return limited(this.#entries.slice(from - this.#offset - 1, to - this.#offset - 1), bytesMax);
  }

  snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  setHardState(hardState: HardState): void {
    this.#hardState = hardState;
  }

  /** Writes `entries` at their indexes; what stood there and behind goes. Compacted ones are skipped. */
  append(entries: readonly Entry[]): void {
    const kept = entries.filter(({ index }) => index > this.#offset);
    const [first] = kept;
    if (first === undefined) return;
    if (first.index > this.lastIndex() + 1) {
      throw new FlotillaError(
        "invalid-option",
        `append of entry ${first.index} to a log that ends at ${this.lastIndex()}: there would be a gap`,
      );
    }
    this.#entries.length = first.index - this.#offset - 1;
    for (const entry of kept) this.#entries.push(entry);
  }

  /** Replaces the whole log by a leader's snapshot; false when it is not newer than the one there. */
  applySnapshot(snapshot: Snapshot): boolean {
    if (this.#snapshot !== undefined && this.#snapshot.index >= snapshot.index) return false;
    this.#snapshot = snapshot;
    this.#offset = snapshot.index;
    this.#offsetTerm = snapshot.term;
    this.#entries = [];
    return true;
  }

  /** Keeps the state machine's own snapshot beside the log; false when it is not newer. */
  createSnapshot(index: number, confState: ConfState, data: Uint8Array): boolean {
    const term = this.term(index);
    if (term === undefined || (this.#snapshot !== undefined && this.#snapshot.index >= index)) return false;
    this.#snapshot = { index, term, confState, data };
    return true;
  }

  /** Drops the entries up to and including `index`; false when they are gone or not there. */
  compact(index: number): boolean {
    const term = this.term(index);
    if (term === undefined || index <= this.#offset) return false;
    this.#entries = this.#entries.slice(index - this.#offset);
    this.#offset = index;
    this.#offsetTerm = term;
    return true;
  }
}
