/** What must hold of the members' logs, taken for themselves. */
import { confStateOf } from "../../../src/raft/core/configuration.ts";
import type { Ready } from "../../../src/raft/core/ready.ts";
import type { Entry, RaftId } from "../../../src/raft/core/types.ts";
import { fail } from "./failure.ts";
import type { History } from "./history.ts";
import { type Machine, stateOf } from "./machine.ts";

export class Logs {
  readonly #history: History;
  /** Every entry that was ever in a log, by term and index, with the term of the entry before it. */
  readonly #entries = new Map<number, { readonly entry: Entry; readonly before: number }>();
  /** The newest configuration change in each log. */
  readonly #lastChange = new Map<RaftId, number>();

  constructor(history: History) {
    this.#history = history;
  }

  entry(term: number, index: number): Entry | undefined {
    return this.#entries.get(keyOf(term, index))?.entry;
  }

  /** A ready was handed out: its entries are in the member's log from now on. True when it votes or changes members. */
  handedOut(machine: Machine, { entries, snapshot, messages }: Ready): boolean {
    const { raw, raftId } = machine;
    let turning = messages.some((message) => message.type === "vote-response" && !message.reject);
    if (snapshot !== undefined && raw !== undefined) {
      const confState = confStateOf(raw.status().configuration);
      this.#history.checkState(raftId, { ...stateOf(snapshot), confState });
    }
    for (const entry of entries) {
      const before = raw?.termAt(entry.index - 1) ?? 0;
      const key = keyOf(entry.term, entry.index);
      const known = this.#entries.get(key);
      if (known === undefined) this.#entries.set(key, { entry, before });
      else if (known.entry !== entry) fail("log matching", `two entries ${entry.term}/${entry.index}`);
      else if (known.before !== before && raw?.termAt(entry.index - 1) !== undefined) {
        fail(
          "log matching",
          `entry ${entry.term}/${entry.index} follows terms ${known.before} and ${before}`,
        );
      }
      if (entry.type === "conf-change") {
        turning = true;
        this.#checkSingleChange(machine, entry);
      }
      if (entry.type === "conf-change") this.#lastChange.set(raftId, entry.index);
      else if ((this.#lastChange.get(raftId) ?? 0) >= entry.index) this.#lastChange.delete(raftId);
    }
    return turning;
  }

  /** A member is back: its log must not have taught it less than that. */
  boots({ raw, raftId, disk }: Machine): void {
    const commit = raw?.status().commit ?? 0;
    const unsure = disk.entries(Math.max(disk.firstIndex(), commit + 1), disk.lastIndex() + 1, Infinity) ??
      [];
    const changes = unsure.filter(({ type }) => type === "conf-change").map(({ index }) => index);
    this.#lastChange.set(raftId, changes[0] ?? 0);
    if (changes.length > 1) {
      fail(
        "one uncommitted configuration change",
        `member ${raftId} comes back with ${changes}, commit ${commit}`,
      );
    }
  }

  /** Whoever has a change in its log must know that the one before is committed, or it counts the wrong votes. */
  #checkSingleChange({ raw, raftId }: Machine, { index }: Entry): void {
    const confIndex = this.#lastChange.get(raftId) ?? 0;
    if (confIndex < index && confIndex > (raw?.status().commit ?? Infinity)) {
      fail("one uncommitted configuration change", `member ${raftId} has ${confIndex} and adds ${index}`);
    }
  }
}

function keyOf(term: number, index: number): number {
  return term * 2 ** 20 + index;
}
