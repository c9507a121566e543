/**
 * A disk with a cache: writes are readable at once and durable after a sync. A crash keeps a random prefix of
 * what was not synced yet.
 */
import { EMPTY_CONF_STATE } from "../../../src/raft/core/configuration.ts";
import { limited } from "../../../src/raft/core/size.ts";
import type { Storage } from "../../../src/raft/core/storage.ts";
import type { ConfState, Entry, HardState, Snapshot } from "../../../src/raft/core/types.ts";

export type Write =
  | { readonly type: "snapshot"; readonly snapshot: Snapshot }
  | { readonly type: "entry"; readonly entry: Entry }
  | { readonly type: "hard-state"; readonly hardState: HardState }
  | { readonly type: "compact"; readonly snapshot: Snapshot; readonly keepFrom: number };

/** What one layer of the disk holds. */
class Layer {
  hardState: HardState | undefined;
  snapshot: Snapshot | undefined;
  offset = 0;
  offsetTerm = 0;
  entries: Entry[] = [];

  get lastIndex(): number {
    return this.offset + this.entries.length;
  }

  term(index: number): number | undefined {
    return index === this.offset ? this.offsetTerm : this.entries[index - this.offset - 1]?.term;
  }

  apply(write: Write): void {
    switch (write.type) {
      case "snapshot":
        this.snapshot = write.snapshot;
        this.offset = write.snapshot.index;
        this.offsetTerm = write.snapshot.term;
        this.entries = [];
        break;
      case "entry":
        this.entries.length = Math.max(0, write.entry.index - this.offset - 1);
        if (write.entry.index > this.offset) this.entries.push(write.entry);
        break;
      case "hard-state":
        this.hardState = write.hardState;
        break;
      case "compact": {
        this.snapshot = write.snapshot;
        const offset = write.keepFrom - 1;
        if (offset <= this.offset) break;
        this.offsetTerm = this.term(offset) ?? 0;
        this.entries = this.entries.slice(offset - this.offset);
        this.offset = offset;
        break;
      }
    }
  }

  copyOf(other: Layer): void {
    this.hardState = other.hardState;
    this.snapshot = other.snapshot;
    this.offset = other.offset;
    this.offsetTerm = other.offsetTerm;
    this.entries = other.entries.slice();
  }
}

export class SimDisk implements Storage {
  readonly #cached = new Layer();
  readonly #durable = new Layer();
  #unsynced: Write[] = [];

  write(write: Write): void {
    this.#cached.apply(write);
    this.#unsynced.push(write);
  }

  sync(): void {
    for (const write of this.#unsynced) this.#durable.apply(write);
    this.#unsynced = [];
  }

  get unsyncedCount(): number {
    return this.#unsynced.length;
  }

  /** Power fails: the first `kept` writes since the last sync survive. */
  crash(kept: number): void {
    for (const write of this.#unsynced.slice(0, kept)) this.#durable.apply(write);
    this.#unsynced = [];
    this.#cached.copyOf(this.#durable);
  }

  /** The hard state as a crash now would leave it at least. */
  get durableHardState(): HardState | undefined {
    return this.#durable.hardState;
  }

  /** Whether the entry would survive a crash now, as itself or in a snapshot. */
  isDurable(index: number, term: number | undefined): boolean {
    return index <= this.#durable.offset || (term !== undefined && this.#durable.term(index) === term);
  }

  /** The place of the newest configuration change among the cached entries; 0 for none. */
  get lastConfChange(): number {
    const { entries } = this.#cached;
    for (let at = entries.length - 1; at >= 0; at--) {
      const entry = entries[at];
      if (entry?.type === "conf-change") return entry.index;
    }
    return 0;
  }

  initialState(): { hardState: HardState | undefined; confState: ConfState } {
    return {
      hardState: this.#cached.hardState,
      confState: this.#cached.snapshot?.confState ?? EMPTY_CONF_STATE,
    };
  }

  firstIndex(): number {
    return this.#cached.offset + 1;
  }

  lastIndex(): number {
    return this.#cached.lastIndex;
  }

  term(index: number): number | undefined {
    return this.#cached.term(index);
  }

  entries(from: number, to: number, bytesMax: number): Entry[] | undefined {
    const { offset, entries } = this.#cached;
    if (from <= offset) return undefined;
    return limited(entries.slice(from - offset - 1, to - offset - 1), bytesMax);
  }

  snapshot(): Snapshot | undefined {
    return this.#cached.snapshot;
  }
}
