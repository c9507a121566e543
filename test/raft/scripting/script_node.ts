/** One member in a script: a core with a log in memory and a state machine that appends what it is told. */
import { EMPTY_CONF_STATE } from "../../../src/raft/core/configuration.ts";
import { MemoryStorage } from "../../../src/raft/core/memory_storage.ts";
import type { RaftOptions } from "../../../src/raft/core/options.ts";
import type { RawNode } from "../../../src/raft/core/raw_node.ts";
import type { Entry, HardState, Message, Snapshot } from "../../../src/raft/core/types.ts";
import type { Core } from "../core.ts";
import { describeEntry, describeReady } from "./describe.ts";

export class ScriptNode {
  readonly id: number;
  readonly raw: RawNode;
  readonly #log = new MemoryStorage();
  /** The state after each applied entry: whoever needs a snapshot gets the newest. */
  #state: Snapshot | undefined;
  #hardState: HardState = { term: 0, vote: 0, commit: 0 };

  constructor(
    core: Core,
    id: number,
    options: Omit<RaftOptions, "id" | "storage">,
    snapshot: Snapshot | undefined,
  ) {
    this.id = id;
    this.#state = snapshot;
    if (snapshot !== undefined) this.#log.applySnapshot(snapshot);
    const log = this.#log;
    this.raw = new core.RawNode({
      ...options,
      id,
      storage: {
        initialState: () => log.initialState(),
        firstIndex: () => log.firstIndex(),
        lastIndex: () => log.lastIndex(),
        term: (index) => log.term(index),
        entries: (from, to, bytesMax) => log.entries(from, to, bytesMax),
        snapshot: () => this.#state,
      },
    });
  }

  snapshot(): Snapshot | undefined {
    return this.#state;
  }

  compact(index: number): boolean {
    return this.#log.compact(index);
  }

  describeLog(): string {
    const first = this.#log.firstIndex(), last = this.#log.lastIndex();
    if (last < first) return `log is empty: first index=${first}, last index=${last}`;
    const entries = this.#log.entries(first, last + 1, Infinity) ?? [];
    return entries.map((entry) => `${describeEntry(entry)}\n`).join("");
  }

  processReady(): { text: string; messages: readonly Message[] } {
    const ready = this.raw.ready();
    const { hardState = this.#hardState, entries, snapshot, committedEntries, messages } = ready;
    const mustSync = entries.length > 0 || hardState.term !== this.#hardState.term ||
      hardState.vote !== this.#hardState.vote;
    const text = describeReady(ready, mustSync);
    this.#hardState = hardState;
    if (snapshot !== undefined) {
      this.#log.applySnapshot(snapshot);
      this.#state = snapshot;
    }
    this.#log.append(entries);
    this.#log.setHardState(hardState);
    for (const entry of committedEntries) this.#apply(entry);
    this.raw.advance();
    return { text, messages };
  }

  #apply(entry: Entry): void {
    const { term, index } = entry;
    const before = this.#state;
    const isChange = entry.type === "conf-change";
    const confState = isChange
      ? this.raw.applyConfChange(entry.change)
      : before?.confState ?? EMPTY_CONF_STATE;
    const added = isChange ? entry.change.context : entry.data;
    const data = new Uint8Array([...before?.data ?? [], ...added]);
    this.#state = { index, term, confState, data };
  }
}
