/** What a member keeps from one message to the next and, with a disk, from one run to the next. */
import { FlotillaError } from "../lib/errors.ts";
import type { Random } from "../lib/random.ts";
import type { MemoryStorage } from "./core/memory_storage.ts";
import type { Ready } from "./core/ready.ts";
import type { Storage } from "./core/storage.ts";
import type { ConfState, Entry, HardState, RaftId, Snapshot } from "./core/types.ts";
import {
  drawRaftId,
  faultOf,
  memberWith,
  mirrorOf,
  runFault,
  snapshotFault,
  type StoredMember,
} from "./stored_member.ts";

/** What of a ready is to be kept. */
export type Writable = Pick<Ready, "hardState" | "entries" | "snapshot" | "mustSync">;

/**
 * Implementations are synchronous: when a call returns the work is durable, if the storage is. A call that throws
 * has changed nothing that is read here: `invalid-option` for what contradicts the log, `not-running` after `close()`.
 * It is `invalid-option` too when the medium fails; then nobody knows what the next run will find, so the member must
 * stop before it says anything, and every later change throws as well.
 */
export interface RaftStorage extends Storage {
  /** Whether it outlives the process. */
  readonly durable: boolean;
  /** Names this member for ever; drawn when the storage was made, or reset. From 1 to 2^48. */
  readonly raftId: RaftId;
  /** The cluster this member belongs to, 16 hex digits; undefined: none yet, and then the log is empty. */
  readonly clusterId: string | undefined;
  /**
   * What one ready holds, in one commit, in the order that Ready demands; a crash keeps it as a whole or not at all.
   * Without `mustSync` it may be lost even after the call has returned.
   */
  write(ready: Writable): void;
  /**
   * Becomes a member of `clusterId` with nothing but `snapshot`: the hard state is the snapshot's term and index and no
   * vote; without a snapshot there is none. One commit, synced. It keeps its raftId, so `clusterId` must be another
   * than before: what it voted here counts for nothing there.
   */
  begin(clusterId: string, snapshot: Snapshot | undefined): void;
  /** Forgets cluster and log and draws a new raftId: it never votes as its old self. One commit, synced. */
  reset(): void;
  /**
   * Keeps `snapshot`, of applied state, unless that or a newer one is there, and drops entries up to and including
   * `through`, which is at most the snapshot's index. One commit, synced.
   */
  compact(snapshot: Snapshot, through: number): void;
  /** Lets go of the medium; what was read stays readable. A second call does nothing. */
  close(): void;
}

/**
 * The medium under a storage. Each call is one commit of a change that makes sense; one that throws may have
 * happened or not, and no call after it does anything but throw.
 */
export interface Keeper {
  /** `lastIndex` is the log's before the call. */
  write(ready: Writable, lastIndex: number): void;
  /** Makes `next`, which has no entries, all that is there. `before` may be worth keeping aside. */
  replace(before: { readonly clusterId: string | undefined }, next: StoredMember): void;
  /** `snapshot` is undefined when the one there stays. `offset` is the last entry that goes. */
  compact(snapshot: Snapshot | undefined, offset: number, offsetTerm: number): void;
  close(): void;
}

/** Checks each change, has it kept, and then shows it: reads never leave the memory. */
export class MirroredStorage implements RaftStorage {
  readonly durable: boolean;
  readonly #keeper: Keeper | undefined;
  readonly #random: Random;
  #raftId: RaftId;
  #clusterId: string | undefined;
  #mirror: MemoryStorage;
  #closed = false;

  /** `member` is whole, and what `keeper` keeps; without a keeper nothing outlives this object. */
  constructor(member: StoredMember, random: Random, keeper: Keeper | undefined) {
    this.durable = keeper !== undefined;
    this.#keeper = keeper;
    this.#random = random;
    this.#raftId = member.raftId;
    this.#clusterId = member.clusterId;
    this.#mirror = mirrorOf(member);
  }

  get raftId(): RaftId {
    return this.#raftId;
  }

  get clusterId(): string | undefined {
    return this.#clusterId;
  }

  initialState(): { hardState: HardState | undefined; confState: ConfState } {
    return this.#mirror.initialState();
  }

  firstIndex(): number {
    return this.#mirror.firstIndex();
  }

  lastIndex(): number {
    return this.#mirror.lastIndex();
  }

  term(index: number): number | undefined {
    return this.#mirror.term(index);
  }

  entries(from: number, to: number, bytesMax: number): Entry[] | undefined {
    return this.#mirror.entries(from, to, bytesMax);
  }

  snapshot(): Snapshot | undefined {
    return this.#mirror.snapshot();
  }

  write(ready: Writable): void {
    const { hardState, entries, snapshot, mustSync } = ready;
    // One that holds nothing may still ask for what was written before it to be durable.
    if (hardState === undefined && entries.length === 0 && snapshot === undefined && !mustSync) return;
    this.#demand("write of a ready", this.#whyNotWrite(ready));
    this.#keeper?.write(ready, this.#mirror.lastIndex());
    if (snapshot !== undefined) this.#mirror.applySnapshot(snapshot);
    this.#mirror.append(entries);
    if (hardState !== undefined) this.#mirror.setHardState(hardState);
  }

  begin(clusterId: string, snapshot: Snapshot | undefined): void {
    const next = memberWith(this.#raftId, clusterId, snapshot);
    const again = clusterId === this.#clusterId ? "it is a member of it already" : undefined;
    this.#demand(`begin in cluster ${clusterId}`, again ?? faultOf(next));
    this.#replace(next);
  }

  reset(): void {
    this.#demand("reset", undefined);
    let raftId = drawRaftId(this.#random);
    while (raftId === this.#raftId) raftId = drawRaftId(this.#random);
    this.#replace(memberWith(raftId, undefined, undefined));
  }

  compact(snapshot: Snapshot, through: number): void {
    this.#demand(`compaction through ${through}`, this.#whyNotCompact(snapshot, through));
    const isNewer = snapshot.index > (this.#mirror.snapshot()?.index ?? 0);
    const offset = Math.max(through, this.#mirror.firstIndex() - 1);
    if (!isNewer && offset < this.#mirror.firstIndex()) return;
    this.#keeper?.compact(isNewer ? snapshot : undefined, offset, this.#mirror.term(offset) ?? 0);
    if (isNewer) this.#mirror.createSnapshot(snapshot.index, snapshot.confState, snapshot.data);
    this.#mirror.compact(offset);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#keeper?.close();
  }

  #replace(next: StoredMember): void {
    this.#keeper?.replace({ clusterId: this.#clusterId }, next);
    this.#raftId = next.raftId;
    this.#clusterId = next.clusterId;
    this.#mirror = mirrorOf(next);
  }

  #whyNotWrite({ hardState, entries, snapshot }: Writable): string | undefined {
    if (this.#clusterId === undefined) return "it belongs to no cluster";
    let last = this.#mirror.lastIndex(), first = this.#mirror.firstIndex();
    if (snapshot !== undefined) {
      const kept = this.#mirror.snapshot()?.index ?? 0;
      if (snapshot.index <= kept) return `its snapshot is of ${snapshot.index}, the one here of ${kept}`;
      const fault = snapshotFault(snapshot);
      if (fault !== undefined) return fault;
      last = snapshot.index;
      first = last + 1;
    }
    if (entries[0] !== undefined) {
      const { index } = entries[0];
      if (index < first || index > last + 1) {
        return `entry ${index} does not fit a log from ${first} to ${last}`;
      }
      const before = snapshot?.index === index - 1 ? snapshot.term : this.#mirror.term(index - 1);
      const fault = runFault(entries, index, before ?? 0);
      if (fault !== undefined) return fault;
      last = index + entries.length - 1;
    }
    const commit = hardState?.commit ?? 0;
    return commit > last ? `entry ${commit} is committed, and the log ends at ${last}` : undefined;
  }

  #whyNotCompact(snapshot: Snapshot, through: number): string | undefined {
    const { index, term } = snapshot;
    if (through > index) return `the snapshot is of ${index}`;
    // One from before the log's start brings nothing, and costs nothing.
    if (index < this.#mirror.firstIndex() - 1) return undefined;
    const here = this.#mirror.term(index);
    if (here !== term) return `the snapshot is of entry ${index} of term ${term}, which is not in the log`;
    return snapshotFault(snapshot);
  }

  #demand(action: string, fault: string | undefined): void {
    if (this.#closed) throw new FlotillaError("not-running", `${action} in a storage that is closed`);
    if (fault === undefined) return;
    throw new FlotillaError("invalid-option", `${action} as Raft member ${this.#raftId}: ${fault}`);
  }
}

/** A member without a disk: it lasts as long as this object, and so does its raftId. */
export class MemoryRaftStorage extends MirroredStorage {
  constructor(random: Random) {
    super(memberWith(drawRaftId(random), undefined, undefined), random, undefined);
  }
}
