/** Histories of a storage that follow from a number alone, and a storage's whole content as one value. */
import { hex, utf8 } from "../../../src/lib/bytes.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import type { ConfState, Entry, Snapshot } from "../../../src/raft/core/types.ts";
import type { RaftStorage } from "../../../src/raft/storage.ts";

export const CLUSTER = "00000000000000aa";
export const CONF: ConfState = {
  voters: [1, 2, 3],
  votersOutgoing: [],
  learners: [4],
  learnersNext: [],
  autoLeave: false,
};

export function normal(index: number, term: number, text = `${index}/${term}`): Entry {
  return { type: "normal", term, index, data: utf8(text) };
}

export function snapshotOf(index: number, term: number, text = `state at ${index}`): Snapshot {
  return { index, term, confState: CONF, data: utf8(text) };
}

/** All that can be read of `storage`, but for its raftId. */
export function contentOf(storage: RaftStorage): unknown {
  const first = storage.firstIndex(), last = storage.lastIndex();
  return {
    clusterId: storage.clusterId,
    ...storage.initialState(),
    first,
    last,
    before: storage.term(first - 1),
    entries: storage.entries(first, last + 1, Infinity),
    snapshot: storage.snapshot(),
  };
}

/** The same as a short text that differs for different contents. */
export async function digestOf(storage: RaftStorage): Promise<string> {
  const text = JSON.stringify(
    contentOf(storage),
    (_key, value: unknown) => value instanceof Uint8Array ? hex(value) : value,
  );
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(text)))).slice(0, 24);
}

/**
 * Change `number` of the history, which depends on nothing but its number and what is there: appends of 1 to 20
 * entries, some over what was there, snapshots of a leader, compactions. No two contents are the same, for every
 * write has its number as vote.
 */
export function change(storage: RaftStorage, number: number): void {
  const random = seededRandom(number);
  const whole = (below: number): number => Math.floor(random.float() * below);
  const last = storage.lastIndex();
  const { term, commit } = storage.initialState().hardState ?? { term: 1, commit: 0 };
  if (number % 23 === 0 && commit > (storage.snapshot()?.index ?? 0)) {
    const snapshot = snapshotOf(commit, storage.term(commit) ?? 0, `compacted by ${number}`);
    return storage.compact(snapshot, Math.max(storage.firstIndex() - 1, commit - whole(40)));
  }
  if (number % 37 === 0) {
    const snapshot = snapshotOf(last + 100, term + 1, "x".repeat(whole(50_000)));
    const hardState = { term: term + 1, vote: number, commit: snapshot.index };
    return storage.write({ snapshot, entries: [], hardState, mustSync: true });
  }
  const overwritten = whole(4) === 0 ? Math.min(last - Math.max(commit, storage.firstIndex()), whole(6)) : 0;
  const newTerm = overwritten > 0 ? term + 1 : term;
  const first = last + 1 - Math.max(0, overwritten);
  const entries = Array.from({ length: 1 + whole(20) }, (_, at): Entry => {
    const index = first + at;
    if (whole(15) > 0) {
      return normal(index, newTerm, `${number} `.repeat(whole(whole(40) === 0 ? 5_000 : 100)));
    }
    const steps = [{ operation: "add-learner", id: 1 + whole(1_000_000) } as const];
    return {
      type: "conf-change",
      term: newTerm,
      index,
      change: { transition: "auto", steps, context: random.bytes(9) },
    };
  });
  const hardState = { term: newTerm, vote: number, commit: Math.max(commit, first - 1 - whole(5)) };
  storage.write({ snapshot: undefined, entries, hardState, mustSync: true });
}
