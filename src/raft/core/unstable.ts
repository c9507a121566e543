/** The end of the log that storage does not have yet: entries and perhaps a snapshot under them. */
import type { Entry, Snapshot } from "./types.ts";

/**
 * Entries stay here while they are written and leave when the driver says that they are stable. `offset` may
 * be below storage's last index: then the next write replaces what storage holds from there on.
 */
export class Unstable {
  #snapshot: Snapshot | undefined;
  #snapshotInProgress = false;
  #entries: Entry[] = [];
  /** The index of the first of `#entries`. */
  #offset: number;
  /** Entries below were handed out to be written. */
  #inProgress: number;

  constructor(offset: number) {
    this.#offset = offset;
    this.#inProgress = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  /** The last index, when it is known here. */
  get lastIndex(): number | undefined {
    return this.#entries.length > 0 ? this.#offset + this.#entries.length - 1 : this.#snapshot?.index;
  }

  term(index: number): number | undefined {
    if (index >= this.#offset) return this.#entries[index - this.#offset]?.term;
    return index === this.#snapshot?.index ? this.#snapshot.term : undefined;
  }

  /** Entries `from` up to, not including, `to`; all of them must be here. */
  slice(from: number, to: number): Entry[] {
    return this.#entries.slice(from - this.#offset, to - this.#offset);
  }

  get hasNextEntries(): boolean {
    return this.#entries.length > this.#inProgress - this.#offset;
  }

  /** What is not yet handed out to be written. */
  nextEntries(): Entry[] {
    return this.#entries.slice(this.#inProgress - this.#offset);
  }

  nextSnapshot(): Snapshot | undefined {
    return this.#snapshotInProgress ? undefined : this.#snapshot;
  }

  /** Everything here is being written now. */
  acceptInProgress(): void {
    this.#inProgress = this.#offset + this.#entries.length;
    this.#snapshotInProgress = this.#snapshot !== undefined;
  }

  /** Storage has the entries up to this one. Says nothing when the entry has been replaced meanwhile. */
  stableTo(index: number, term: number): void {
    if (index < this.#offset || this.term(index) !== term) return;
    this.#entries = this.#entries.slice(index + 1 - this.#offset);
    this.#offset = index + 1;
    this.#inProgress = Math.max(this.#inProgress, this.#offset);
  }

  stableSnapshotTo(index: number): void {
    if (this.#snapshot?.index !== index) return;
    this.#snapshot = undefined;
    this.#snapshotInProgress = false;
  }

  restore(snapshot: Snapshot): void {
    this.#offset = snapshot.index + 1;
    this.#inProgress = this.#offset;
    this.#entries = [];
    this.#snapshot = snapshot;
    this.#snapshotInProgress = false;
  }

  /** Puts `entries` at their indexes and drops what stood there and behind (paper, 5.3). */
  truncateAndAppend(entries: readonly Entry[]): void {
    const [first] = entries;
    if (first === undefined) return;
    if (first.index <= this.#offset) {
      this.#entries = [...entries];
      this.#offset = first.index;
    } else {
      this.#entries.length = Math.min(this.#entries.length, first.index - this.#offset);
      for (const entry of entries) this.#entries.push(entry);
    }
    this.#inProgress = Math.max(this.#offset, Math.min(this.#inProgress, first.index));
  }
}
