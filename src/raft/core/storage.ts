/** What the core reads of stable storage. It never writes: the driver does, with what a ready holds. */
import type { ConfState, Entry, HardState, Snapshot } from "./types.ts";

/**
 * Holds the entries `firstIndex()` to `lastIndex()` and the term of the entry before them. It changes only
 * between `ready()` and `advance()`, or when the application compacts what it has applied.
 */
export interface Storage {
  /** As it was stored last; undefined hard state before anything was. */
  initialState(): { readonly hardState: HardState | undefined; readonly confState: ConfState };
  /** The first entry that is there; one above the snapshot's when there is none. */
  firstIndex(): number;
  lastIndex(): number;
  /** The term of an entry from `firstIndex() - 1` to `lastIndex()`; undefined for any other. */
  term(index: number): number | undefined;
  /**
   * The entries from `from` up to, not including, `to`, as many as fit in `bytesMax` and at least one;
   * undefined when the first of them is compacted. The caller owns the array.
   */
  entries(from: number, to: number, bytesMax: number): Entry[] | undefined;
  /** The newest snapshot; undefined when none can be had now, so that the core asks again later. */
  snapshot(): Snapshot | undefined;
}
