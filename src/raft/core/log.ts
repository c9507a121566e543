/** The whole log: stable storage with the unstable end over it, and how much is committed and applied. */
import { entryBytesOf, limited } from "./size.ts";
import type { Storage } from "./storage.ts";
import type { Entry, Snapshot } from "./types.ts";
import { Unstable } from "./unstable.ts";

/** Always: applied ≤ applying ≤ committed ≤ lastIndex. */
export class RaftLog {
  readonly unstable: Unstable;
  readonly #storage: Storage;
  readonly #applyingBytesMax: number;
  /** The highest entry known to be on a quorum. */
  committed: number;
  /** The highest entry handed out to be applied. */
  #applying: number;
  #applied: number;
  #applyingBytes = 0;
  #applyingPaused = false;

  constructor(storage: Storage, applyingBytesMax: number) {
    this.#storage = storage;
    this.#applyingBytesMax = applyingBytesMax;
    this.unstable = new Unstable(storage.lastIndex() + 1);
    this.committed = this.#applying = this.#applied = storage.firstIndex() - 1;
  }

  get applied(): number {
    return this.#applied;
  }

  /** Entries were handed out and are not applied yet. */
  get isApplying(): boolean {
    return this.#applying > this.#applied;
  }

  get firstIndex(): number {
    const { snapshot } = this.unstable;
    return snapshot === undefined ? this.#storage.firstIndex() : snapshot.index + 1;
  }

  get lastIndex(): number {
    return this.unstable.lastIndex ?? this.#storage.lastIndex();
  }

  get lastTerm(): number {
    return this.term(this.lastIndex) ?? 0;
  }

  /** Of an entry from `firstIndex - 1` to `lastIndex`; undefined for any other. */
  term(index: number): number | undefined {
    const unstable = this.unstable.term(index);
    if (unstable !== undefined) return unstable;
    if (index + 1 < this.firstIndex || index > this.lastIndex) return undefined;
    return this.#storage.term(index);
  }

  matches(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Whether a log that ends so may lead this one (paper, 5.4.1). */
  isUpToDate(index: number, term: number): boolean {
    const { lastTerm } = this;
    return term > lastTerm || (term === lastTerm && index >= this.lastIndex);
  }

  /** Entries from `from` on, within `bytesMax` but at least one; undefined when they are compacted. */
  entries(from: number, bytesMax: number): Entry[] | undefined {
    return this.slice(from, this.lastIndex + 1, bytesMax);
  }

  /** Entries `from` up to, not including, `to`; undefined when the first is compacted. */
  slice(from: number, to: number, bytesMax: number): Entry[] | undefined {
    if (from >= to) return [];
    if (from < this.firstIndex) return undefined;
    const { offset } = this.unstable;
    if (from >= offset) return limited(this.unstable.slice(from, to), bytesMax);
    const stable = this.#storage.entries(from, Math.min(to, offset), bytesMax);
    if (stable === undefined || to <= offset || stable.length < offset - from) return stable;
    return limited(stable.concat(this.unstable.slice(offset, to)), bytesMax);
  }

  /**
   * A follower's append: takes the entries that are new when the one before them is here (paper, 5.3).
   * Returns the last index that is now the leader's; `mismatch` when the one before is missing or another's;
   * `contradiction` when entries would replace committed ones, which no correct leader asks for.
   */
  maybeAppend(
    index: number,
    term: number,
    commit: number,
    entries: readonly Entry[],
  ): number | "mismatch" | "contradiction" {
    if (!this.matches(index, term)) return "mismatch";
    // Entries already here stay, and what is behind them too: an old message must not shorten the log.
    const fresh = entries.findIndex((entry) => !this.matches(entry.index, entry.term));
    if (fresh >= 0) {
      if (index + 1 + fresh <= this.committed) return "contradiction";
      this.append(fresh === 0 ? entries : entries.slice(fresh));
    }
    const last = index + entries.length;
    this.commitTo(Math.min(commit, last));
    return last;
  }

  append(entries: readonly Entry[]): void {
    this.unstable.truncateAndAppend(entries);
  }

  /**
   * The best guess at where a log that has `term` at `index` can still match this one: the highest entry at or
   * below `index` of that term or an older one. Its term is 0 when unknown. It skips a term at a time, where
   * the paper's step back goes by entries (paper, end of 5.3).
   */
  lastNotAfter(index: number, term: number): { index: number; term: number } {
    for (let guess = index; guess > 0; guess--) {
      const ours = this.term(guess);
      if (ours === undefined || ours <= term) return { index: guess, term: ours ?? 0 };
    }
    return { index: 0, term: 0 };
  }

  /** Never goes back. An index beyond the log changes nothing: no correct leader names one. */
  commitTo(index: number): void {
    if (index > this.committed && index <= this.lastIndex) this.committed = index;
  }

  /** Commits up to `index` if that entry is of the leader's own `term` (paper, 5.4.2). */
  maybeCommit(index: number, term: number): boolean {
    if (index <= this.committed || !this.matches(index, term)) return false;
    this.commitTo(index);
    return true;
  }

  /** Committed entries to apply next; none while a snapshot waits or too much is being applied. */
  nextCommitted(): Entry[] {
    if (!this.hasNextCommitted) return [];
    return this.slice(this.#applying + 1, this.committed + 1, this.#applyingBytesMax - this.#applyingBytes) ??
      [];
  }

  get hasNextCommitted(): boolean {
    return !this.#applyingPaused && this.unstable.snapshot === undefined && this.#applying < this.committed;
  }

  /** `entries`, the last result of `nextCommitted`, are handed out. */
  acceptApplying(entries: readonly Entry[]): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    this.#applying = last.index;
    this.#applyingBytes += entryBytesOf(entries);
    // Fewer entries than committed were handed out: the next would not fit.
    this.#applyingPaused = this.#applyingBytes >= this.#applyingBytesMax || last.index < this.committed;
  }

  /** The state machine has everything up to `index`; `bytes` of what was handed out are done. */
  appliedTo(index: number, bytes: number): void {
    this.#applied = Math.max(this.#applied, Math.min(index, this.committed));
    this.#applying = Math.max(this.#applying, this.#applied);
    this.#applyingBytes = Math.max(0, this.#applyingBytes - bytes);
    this.#applyingPaused = this.#applyingBytes >= this.#applyingBytesMax;
  }

  /** Whether a configuration change is committed but not yet in force here. */
  hasUnappliedConfChange(): boolean {
    return this.#confChanges(this.#applied + 1, this.committed).next().done !== true;
  }

  /**
   * Commits every configuration change that another one follows: no leader appends one before it has committed the one
   * before (thesis, 4.1).
   */
  commitFollowedConfChanges(): void {
    let last = 0;
    for (const index of this.#confChanges(this.committed + 1, this.lastIndex)) {
      this.commitTo(last);
      last = index;
    }
  }

  /** The indexes of the configuration changes from `from` to `to`. */
  *#confChanges(from: number, to: number): Generator<number> {
    while (from <= to) {
      const page = this.slice(from, to + 1, this.#applyingBytesMax);
      if (page === undefined || page.length === 0) return;
      for (const { type, index } of page) if (type === "conf-change") yield index;
      from += page.length;
    }
  }

  snapshot(): Snapshot | undefined {
    return this.unstable.snapshot ?? this.#storage.snapshot();
  }

  /** Becomes what `snapshot` says; everything it covers is committed. */
  restore(snapshot: Snapshot): void {
    this.committed = snapshot.index;
    this.unstable.restore(snapshot);
  }
}
