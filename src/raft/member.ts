/** One member at work: the core, its storage and the replicated state, in the order that a ready asks for. */
import type { Bytes } from "../lib/bytes.ts";
import { FlotillaError, reasonOf } from "../lib/errors.ts";
import type { Random } from "../lib/random.ts";
import { randomBelow } from "../lib/random.ts";
import type { RaftRole } from "./contract.ts";
import { memberIds } from "./core/configuration.ts";
import { voterIds } from "./core/quorum.ts";
import { RawNode } from "./core/raw_node.ts";
import { payloadBytes } from "./core/size.ts";
import type { ConfChange, ConfState, Entry, Message, RaftId, Snapshot, StepResult } from "./core/types.ts";
import { NO_ID } from "./core/types.ts";
import type { Ticks } from "./options.ts";
import { type Applied, ReplicatedState } from "./state/replicated_state.ts";
import type { RaftStorage } from "./storage.ts";

/** A snapshot is made when so many entries, or bytes, were applied since the last one. */
const SNAPSHOT_ENTRIES = 16_384;
const SNAPSHOT_BYTES = 4 * 1_048_576;
/** Of the log behind a snapshot, so much is kept for followers that are a little late. */
const KEPT_ENTRIES = 2_048;
const KEPT_BYTES = 2 * 1_048_576;
/** Appends that fit a datagram, whatever the encoding adds. */
const MESSAGE_BYTES_MAX = 32_768;
/** Entries on their way to one follower, bytes: less than a lane of the links holds. */
const INFLIGHT_BYTES_MAX = 1_048_576;

export interface MemberHost {
  send(message: Message): void;
  /** An entry was applied. */
  applied(applied: Applied, index: number): void;
  /** The state was replaced by a leader's snapshot. */
  restored(): void;
  /** A read asked for under `context` is linearizable once `index` is applied. */
  readable(context: number, index: number): void;
  /** Between 1 and 2: how much longer than others this node waits before it asks for an election. */
  patience(): number;
}

export class RaftMember {
  readonly storage: RaftStorage;
  readonly raw: RawNode;
  readonly #host: MemberHost;
  #state: ReplicatedState;
  #confState: ConfState;
  #applied: number;
  #entriesSince = 0;
  #bytesSince = 0;

  /** `storage` belongs to a cluster. Throws `malformed` for one that contradicts itself. */
  constructor(storage: RaftStorage, ticks: Ticks, random: Random, host: MemberHost) {
    this.storage = storage;
    this.#host = host;
    const snapshot = storage.snapshot();
    if (snapshot === undefined) {
      throw new FlotillaError(
        "malformed",
        `start of Raft member ${storage.raftId}: its storage has no snapshot`,
      );
    }
    this.#state = ReplicatedState.restore(snapshot.data);
    this.#confState = snapshot.confState;
    this.#applied = snapshot.index;
    const { electionTicks, heartbeatTicks } = ticks;
    this.raw = new RawNode({
      id: storage.raftId,
      storage,
      applied: snapshot.index,
      electionTicks,
      heartbeatTicks,
      messageBytesMax: MESSAGE_BYTES_MAX,
      inflightBytesMax: INFLIGHT_BYTES_MAX,
      electionTimeoutTicks: () =>
        Math.ceil(electionTicks * host.patience()) + randomBelow(random, electionTicks + 1),
    });
  }

  get state(): ReplicatedState {
    return this.#state;
  }

  get raftId(): RaftId {
    return this.storage.raftId;
  }

  get applied(): number {
    return this.#applied;
  }

  get leads(): boolean {
    return this.raw.status().softState.role === "leader";
  }

  /** It knows a leader. */
  get led(): boolean {
    return this.raw.status().softState.lead !== NO_ID;
  }

  get role(): RaftRole {
    const { role } = this.raw.status().softState;
    if (role === "leader") return "leader";
    if (!this.voters.includes(this.raftId)) return "learner";
    return role === "follower" ? "follower" : "candidate";
  }

  /** Everybody with a vote, this member perhaps among them. */
  get voters(): RaftId[] {
    return voterIds(this.raw.status().configuration.voters);
  }

  /** Voters that keep the state, so that they could lead. */
  get keepers(): RaftId[] {
    return this.voters.filter((id) => this.#state.member(id)?.witness !== true);
  }

  get members(): RaftId[] {
    return memberIds(this.raw.status().configuration);
  }

  /** Leader: the last entry known to be in a member's log. */
  matchOf(raftId: RaftId): number {
    if (raftId === this.raftId) return this.raw.status().lastIndex;
    for (const [id, { match }] of this.raw.progress()) if (id === raftId) return match;
    return 0;
  }

  /** Takes a message of another member. Throws `malformed` for a snapshot that nobody could go on from. */
  step(message: Message): void {
    if (message.type === "snapshot") {
      const fault = stateFault(message.snapshot.data, this.#state.clusterId);
      if (fault !== undefined) throw new FlotillaError("malformed", `a leader's snapshot: ${fault}`);
    }
    this.raw.step(message);
  }

  propose(payloads: readonly Bytes[]): StepResult {
    return this.raw.proposeAll(payloads);
  }

  proposeChange(change: ConfChange): StepResult {
    return this.raw.proposeConfChange(change);
  }

  /**
   * Does all work that is due. Throws what the storage throws: then nothing was sent that rests on it, and this
   * member must not go on.
   */
  work(): void {
    while (this.raw.hasReady()) {
      const ready = this.raw.ready();
      // A leader's entries travel while it writes them itself: it counts itself when they are stable (thesis, 10.2.1).
      const { early = [], late = [] } = Object.groupBy(
        ready.messages,
        (message) => this.#mayPrecede(message),
      );
      for (const message of early) this.#host.send(message);
      this.storage.write(ready);
      if (ready.snapshot !== undefined) this.#restore(ready.snapshot);
      for (const entry of ready.committedEntries) this.#apply(entry);
      for (const message of late) this.#host.send(message);
      for (const { context, index } of ready.readStates) this.#host.readable(context, index);
      this.raw.advance();
    }
    this.#compact();
  }

  /**
   * The state after every entry of the log, committed or not: what a cluster whose quorum is gone for good goes on
   * from. This member must do nothing else afterwards.
   */
  wholeState(): { state: ReplicatedState; term: number; index: number } {
    const { lastIndex } = this.raw.status();
    while (this.#applied < lastIndex) {
      const entries = this.storage.entries(this.#applied + 1, lastIndex + 1, SNAPSHOT_BYTES) ?? [];
      if (entries.length === 0) break;
      for (const entry of entries) {
        if (entry.type === "normal") this.#state.apply(entry.index, entry.data);
        this.#applied = entry.index;
      }
    }
    return { state: this.#state, term: this.raw.termAt(lastIndex) ?? 0, index: lastIndex };
  }

  /** The present state, as a snapshot for somebody who begins. */
  snapshot(): Snapshot {
    const index = this.#applied, term = this.raw.termAt(index);
    const stored = this.storage.snapshot();
    if (stored !== undefined && (stored.index === index || term === undefined)) return stored;
    return { index, term: term as number, confState: this.#confState, data: this.#state.snapshot() };
  }

  #mayPrecede({ type }: Message): "early" | "late" {
    return type === "append" && this.leads ? "early" : "late";
  }

  #restore(snapshot: Snapshot): void {
    this.#state = ReplicatedState.restore(snapshot.data);
    this.#confState = snapshot.confState;
    this.#applied = snapshot.index;
    this.#entriesSince = this.#bytesSince = 0;
    this.#host.restored();
  }

  #apply(entry: Entry): void {
    this.#applied = entry.index;
    this.#entriesSince++;
    if (entry.type === "conf-change") {
      this.#confState = this.raw.applyConfChange(entry.change);
      return;
    }
    this.#bytesSince += entry.data.byteLength;
    if (entry.data.byteLength > 0) {
      this.#host.applied(this.#state.apply(entry.index, entry.data), entry.index);
    }
  }

  #compact(): void {
    if (this.#entriesSince < SNAPSHOT_ENTRIES && this.#bytesSince < SNAPSHOT_BYTES) return;
    // A large state is not written again for every few changes.
    if (this.#bytesSince < this.#state.stateBytes && this.#entriesSince < SNAPSHOT_ENTRIES * 16) return;
    this.#entriesSince = this.#bytesSince = 0;
    const index = this.#applied;
    const term = this.raw.termAt(index);
    if (term === undefined) return;
    const snapshot = { index, term, confState: this.#confState, data: this.#state.snapshot() };
    this.storage.compact(snapshot, this.#dispensable(index));
  }

  /** The last entry up to `index` that nobody needs who is only a little late. */
  #dispensable(index: number): number {
    const first = this.storage.firstIndex(), from = Math.max(first, index + 1 - KEPT_ENTRIES);
    let keptBytes = 0, last = from - 1;
    for (const entry of this.storage.entries(from, index + 1, Infinity)?.reverse() ?? []) {
      keptBytes += payloadBytes(entry);
      if (keptBytes <= KEPT_BYTES) continue;
      last = entry.index;
      break;
    }
    return last;
  }
}

/** Why `data` is no state of `clusterId` (a reason for people); undefined when it is. */
export function stateFault(data: Uint8Array, clusterId: string): string | undefined {
  try {
    return ReplicatedState.restore(data).clusterId === clusterId
      ? undefined
      : "its state is of another cluster";
  } catch (thrown) {
    return reasonOf(thrown);
  }
}

/** Where `member` stands, without its state: all that a witness begins with. */
export function placeOf(member: RaftMember): Snapshot {
  return { ...member.snapshot(), data: new Uint8Array() };
}
