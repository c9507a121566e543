/** All that a storage holds as one value, and what makes such a value whole. */
import { getUint48, viewOf } from "../lib/bytes.ts";
import type { Random } from "../lib/random.ts";
import { configurationOf, EMPTY_CONF_STATE } from "./core/configuration.ts";
import { MemoryStorage } from "./core/memory_storage.ts";
import type { Entry, HardState, RaftId, Snapshot } from "./core/types.ts";

/** The highest raftId. */
export const RAFT_ID_MAX: number = 2 ** 48;
export const CLUSTER_ID: RegExp = /^[0-9a-f]{16}$/;

export interface StoredMember {
  readonly raftId: RaftId;
  readonly clusterId: string | undefined;
  readonly hardState: HardState | undefined;
  readonly snapshot: Snapshot | undefined;
  /** The place and term of the entry before the first. */
  readonly offset: number;
  readonly offsetTerm: number;
  readonly entries: readonly Entry[];
}

/** From 1 to 2^48: of a thousand members, two have the same once in half a billion times. */
export function drawRaftId(random: Random): RaftId {
  return getUint48(viewOf(random.bytes(6)), 0) + 1;
}

/** A member of `clusterId` that has `snapshot` and nothing else. */
export function memberWith(
  raftId: RaftId,
  clusterId: string | undefined,
  snapshot: Snapshot | undefined,
): StoredMember {
  const { index = 0, term = 0 } = snapshot ?? {};
  const hardState = snapshot === undefined ? undefined : { term, vote: 0, commit: index };
  return { raftId, clusterId, hardState, snapshot, offset: index, offsetTerm: term, entries: [] };
}

/** Why `member` contradicts itself (a reason for people); undefined when it does not. */
export function faultOf(member: StoredMember): string | undefined {
  const { raftId, clusterId, hardState, snapshot, offset, offsetTerm, entries } = member;
  if (!(Number.isSafeInteger(raftId) && raftId >= 1 && raftId <= RAFT_ID_MAX)) {
    return `the raftId is ${raftId}`;
  }
  if (clusterId === undefined) {
    const empty = hardState === undefined && snapshot === undefined && offset === 0 && entries.length === 0;
    return empty ? undefined : "there is a log and no cluster";
  }
  if (!CLUSTER_ID.test(clusterId)) return `the clusterId ${JSON.stringify(clusterId)} is not 16 hex digits`;
  if ((offset === 0) !== (offsetTerm === 0)) return `entry ${offset} is of term ${offsetTerm}`;
  const entryFault = runFault(entries, offset + 1, offsetTerm);
  if (entryFault !== undefined) return entryFault;
  const last = offset + entries.length;
  if (hardState !== undefined && hardState.commit > last) {
    return `entry ${hardState.commit} is committed, and the log ends at ${last}`;
  }
  return snapshot === undefined
    ? offset === 0 ? undefined : `the log starts at ${offset + 1}, and there is no snapshot`
    : snapshotFault(snapshot) ?? placeFault(snapshot, member);
}

/** Why `entries` cannot follow each other from `index` on, after one of `term`. */
export function runFault(entries: readonly Entry[], index: number, term: number): string | undefined {
  let next = index, lowest = Math.max(1, term);
  for (const entry of entries) {
    if (entry.index !== next) return `entry ${entry.index} stands where ${next} must be`;
    if (entry.term < lowest) return `entry ${next} is of term ${entry.term}, after one of term ${lowest}`;
    lowest = entry.term;
    next++;
  }
  return undefined;
}

/** Why `snapshot` can be one of no log. */
export function snapshotFault({ index, term, confState }: Snapshot): string | undefined {
  if (index < 1 || term < 1) return `the snapshot is of entry ${index} of term ${term}`;
  const configuration = configurationOf(confState);
  return typeof configuration === "string" ? `the snapshot's configuration: ${configuration}` : undefined;
}

function placeFault(
  { index, term }: Snapshot,
  { offset, offsetTerm, entries }: StoredMember,
): string | undefined {
  if (index < offset) return `the log starts at ${offset + 1}, and the snapshot is of ${index}`;
  const here = index === offset ? offsetTerm : entries[index - offset - 1]?.term;
  if (here === undefined) {
    return `the snapshot is of ${index}, and the log ends at ${offset + entries.length}`;
  }
  return here === term ? undefined : `entry ${index} is of term ${here}, and in the snapshot of ${term}`;
}

/** A whole member's log, for reading. */
export function mirrorOf({ hardState, snapshot, offset, offsetTerm, entries }: StoredMember): MemoryStorage {
  const mirror = new MemoryStorage();
  if (offset > 0) {
    // A log that goes back behind its snapshot: something must hold the place until the entries are there.
    const placeholder = {
      index: offset,
      term: offsetTerm,
      confState: EMPTY_CONF_STATE,
      data: new Uint8Array(),
    };
    mirror.applySnapshot(snapshot?.index === offset ? snapshot : placeholder);
  }
  mirror.append(entries);
  if (snapshot !== undefined) mirror.createSnapshot(snapshot.index, snapshot.confState, snapshot.data);
  if (hardState !== undefined) mirror.setHardState(hardState);
  return mirror;
}
