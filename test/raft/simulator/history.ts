/** What has been committed, and the one state and configuration that follow from it at each index. */
import { changeConfiguration } from "../../../src/raft/core/conf_change.ts";
import {
  type Configuration,
  configurationOf,
  confStateOf,
  EMPTY_CONFIGURATION,
} from "../../../src/raft/core/configuration.ts";
import type { ConfState, Entry, RaftId } from "../../../src/raft/core/types.ts";
import { fail } from "./failure.ts";
import { type AppliedState, hashAfter } from "./machine.ts";

interface Committed {
  readonly entry: Entry | undefined;
  readonly term: number;
  /** The term of the leader that committed it. */
  readonly byTerm: number;
  readonly hash: number;
}

export class History {
  readonly #committed: Committed[] = [];
  /** Each configuration with the index of the entry that made it. */
  readonly #confStates: { readonly index: number; readonly confState: string }[] = [];
  #configuration: Configuration = EMPTY_CONFIGURATION;

  /** Everybody starts with the first entries, which are in `start`. */
  constructor({ index: last, term, hash, confState }: AppliedState) {
    for (let index = 0; index <= last; index++) {
      this.#committed.push({ entry: undefined, term: index === 0 ? 0 : term, byTerm: 0, hash });
    }
    const configuration = configurationOf(confState);
    if (typeof configuration !== "string") this.#configuration = configuration;
    this.#confStates.push({ index: last, confState: JSON.stringify(confState) });
  }

  /** The highest index that any leader has committed. */
  get maxCommitted(): number {
    return this.#committed.length - 1;
  }

  /** The configuration after the highest committed entry. */
  get configuration(): Configuration {
    return this.#configuration;
  }

  entry(index: number): Entry | undefined {
    return this.#committed[index]?.entry;
  }

  /** Undefined beyond what is committed. */
  term(index: number): number | undefined {
    return this.#committed[index]?.term;
  }

  /** A leader of `byTerm` commits the next entry. */
  commit(entry: Entry, byTerm: number): void {
    const { index, term } = entry;
    const hash = hashAfter(this.#committed[index - 1]?.hash ?? 0, entry);
    this.#committed.push({ entry, term, byTerm, hash });
    if (entry.type !== "conf-change") return;
    const changed = changeConfiguration(this.#configuration, entry.change);
    if ("refused" in changed) return;
    this.#configuration = changed.configuration;
    this.#confStates.push({ index, confState: JSON.stringify(confStateOf(changed.configuration)) });
  }

  /**
   * The last entry that a leader of `term` must have. One of an old term may come late: what later leaders have
   * committed meanwhile need not be in its log.
   */
  lastBefore(term: number): number {
    let index = this.maxCommitted;
    while (index > 0 && (this.#committed[index]?.byTerm ?? 0) >= term) index--;
    return index;
  }

  /** A member applies an entry; the state after it. */
  applies(raftId: RaftId, before: AppliedState, entry: Entry, confState: ConfState): AppliedState {
    const { index, term } = entry;
    if (index !== before.index + 1) {
      fail("application is in order", `member ${raftId}: ${index} after ${before.index}`);
    }
    if (this.#committed[index]?.entry !== entry) {
      fail("only committed entries are applied", `member ${raftId}: ${term}/${index}`);
    }
    const state = { index, term, hash: hashAfter(before.hash, entry), confState };
    this.checkState(raftId, state);
    return state;
  }

  /** A member has this state, by applying entries or from a snapshot. */
  checkState(raftId: RaftId, { index, hash, confState }: AppliedState): void {
    if (this.#committed[index]?.hash !== hash) fail("states are equal", `member ${raftId} at ${index}`);
    const expected = this.#confStates.findLast((each) => each.index <= index)?.confState;
    const actual = JSON.stringify(confState);
    if (actual !== expected) {
      fail("configurations are equal", `member ${raftId} at ${index}: ${actual}, not ${expected}`);
    }
  }
}
