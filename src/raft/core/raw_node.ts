/** The core's one door: ticks, calls and messages go in; what to persist, send and apply comes out. */
import { FlotillaError } from "../../lib/errors.ts";
import { type Campaign, hup, tickElection } from "./election.ts";
import { tickLeader, transferLeader } from "./leader.ts";
import { appliedTo, applyConfChange } from "./members.ts";
import { areSoundProposals, isResponse, isSound } from "./message_check.ts";
import { type RaftOptions, resolveRaftOptions } from "./options.ts";
import type { Progress } from "./progress.ts";
import { NOTHING, Raft } from "./raft.ts";
import type { RaftStatus, Ready } from "./ready.ts";
import { entryBytesOf, payloadBytesOf } from "./size.ts";
import { step } from "./step.ts";
import {
  type ConfChange,
  type ConfState,
  type HardState,
  type Message,
  NO_ID,
  type Proposal,
  type RaftId,
  type SoftState,
  type StepResult,
} from "./types.ts";

/**
 * One member. Calls must not overlap; between `ready()` and `advance()` more may come in, but no second
 * `ready()`. Nothing that arrives makes it throw; only wrong use and a broken storage do.
 */
export class RawNode {
  readonly #raft: Raft;
  #softState: SoftState;
  #hardState: HardState;
  #accepted: Ready | undefined;
  #selfOnAdvance: readonly Message[] = [];

  /** Throws `invalid-option`, and `malformed` when what the storage holds contradicts itself. */
  constructor(options: RaftOptions) {
    this.#raft = new Raft(resolveRaftOptions(options));
    this.#softState = this.#currentSoftState();
    // What the log taught about term and commit is written before anybody is told, or a configuration is in force.
    const { log, hardState } = this.#raft;
    const untouched = log.lastIndex < log.firstIndex ? hardState : NOTHING;
    this.#hardState = options.storage.initialState().hardState ?? untouched;
  }

  /** One tick of the driver's clock has passed. */
  tick(): void {
    const raft = this.#raft;
    raft.now++;
    if (raft.role === "leader") tickLeader(raft);
    else tickElection(raft);
  }

  /** Starts an election now, with a pre-vote if the options say so. */
  campaign(): StepResult {
    const kind: Campaign = this.#raft.options.preVote ? "pre-vote" : "vote";
    return hup(this.#raft, kind);
  }

  /** Asks for `data` to be appended, here or at the leader; what becomes of it shows in committed entries. */
  propose(data: Uint8Array): StepResult {
    return this.proposeAll([data]);
  }

  /** The same for several at once, which travel together: all are taken or none. */
  proposeAll(payloads: readonly Uint8Array[]): StepResult {
    return this.#propose(payloads.map((data) => ({ type: "normal", data })));
  }

  /** The same for a change of the members. One that cannot be made now becomes an empty entry. */
  proposeConfChange(change: ConfChange): StepResult {
    return this.#propose([{ type: "conf-change", change }]);
  }

  /** To be called for each committed change when it is applied; the configuration after it. */
  applyConfChange(change: ConfChange): ConfState {
    return applyConfChange(this.#raft, change);
  }

  /** Takes a message from the network. */
  step(message: Message): StepResult {
    const raft = this.#raft;
    if (!isSound(message, raft.id, raft.term)) return "malformed";
    if (isResponse(message) && raft.tracker.progress(message.from) === undefined) return "unknown-peer";
    return step(raft, message);
  }

  /** Asks for the index at which a read is linearizable; a `ReadState` with `context` answers, or nothing. */
  readIndex(context: number): StepResult {
    const { id } = this.#raft;
    return step(this.#raft, { type: "read-index", from: id, to: id, term: 0, context });
  }

  /** Asks the leader, which may be this member, to hand over to `transferee`. */
  transferLeader(transferee: RaftId): StepResult {
    const raft = this.#raft;
    if (raft.role === "leader") return transferLeader(raft, transferee);
    const { id: from, term } = raft;
    return step(raft, { type: "transfer-leader", from, to: from, term, transferee });
  }

  /** A follower stops waiting for its leader, of which the caller knows that it is dead. */
  forgetLeader(): StepResult {
    const raft = this.#raft;
    // Its silence upholds a leader's lease.
    if (raft.role !== "follower" || raft.options.leaseTicks > 0) return "ignored";
    raft.lead = NO_ID;
    return "taken";
  }

  /** A message to `id` was lost for certain. */
  reportUnreachable(id: RaftId): void {
    const progress = this.#leaderProgress(id);
    if (progress?.state === "replicate") progress.becomeProbe();
  }

  /**
   * The snapshot sent to `id` arrived there, or will not. The driver owes this for every snapshot it was given to
   * send: until then, or until `id` acknowledges it, nothing else is sent there.
   */
  reportSnapshot(id: RaftId, arrived: boolean): void {
    const progress = this.#leaderProgress(id);
    if (progress?.state !== "snapshot") return;
    if (!arrived) progress.pendingSnapshot = 0;
    progress.becomeProbe();
    // Its own answer, or the next heartbeat's, allows the next append.
    progress.paused = true;
  }

  /** Overrides the drawn timeout until the next change of role or term. */
  setElectionTimeout(ticks: number): void {
    this.#raft.electionTimeout = ticks;
  }

  /** Whether `ready()` would hold anything. */
  hasReady(): boolean {
    const { messages, answers, toSelf, readStates, log } = this.#raft;
    return messages.length > 0 || answers.length > 0 || toSelf.length > 0 || readStates.length > 0 ||
      log.unstable.hasNextEntries ||
      log.hasNextCommitted || log.unstable.nextSnapshot() !== undefined ||
      this.#changedHardState() !== undefined ||
      this.#changedSoftState() !== undefined;
  }

  /** Hands out what is due. `advance()` must follow when it is done; `invalid-option` before that. */
  ready(): Ready {
    if (this.#accepted !== undefined) {
      throw new FlotillaError(
        "invalid-option",
        `ready() of Raft member ${this.#raft.id} without advance() before`,
      );
    }
    const raft = this.#raft;
    const { log } = raft;
    const entries = log.unstable.nextEntries();
    const hardState = this.#changedHardState();
    const snapshot = log.unstable.nextSnapshot();
    const committedEntries = log.nextCommitted();
    // A commit index may be lost in a crash, but not one that brings a configuration in force: who comes back with
    // the one before it needs votes of members who may be gone for good, since nobody counts on them any more. (The
    // paper's servers use a configuration once it is in their log, which is synced; thesis, 4.1.)
    const mustSync = entries.length > 0 || snapshot !== undefined ||
      committedEntries.some(({ type }) => type === "conf-change") ||
      (hardState !== undefined &&
        (hardState.term !== this.#hardState.term || hardState.vote !== this.#hardState.vote));
    const ready: Ready = {
      softState: this.#changedSoftState(),
      hardState,
      snapshot,
      entries,
      committedEntries,
      messages: raft.answers.length === 0 ? raft.messages : raft.messages.concat(raft.answers),
      readStates: raft.readStates,
      mustSync,
    };
    this.#accept(ready);
    return ready;
  }

  /** Everything of the last ready is done. */
  advance(): void {
    const ready = this.#accepted;
    if (ready === undefined) return;
    this.#accepted = undefined;
    const raft = this.#raft;
    for (const message of this.#selfOnAdvance) step(raft, message);
    this.#selfOnAdvance = [];
    const lastEntry = ready.entries.at(-1), lastCommitted = ready.committedEntries.at(-1);
    if (lastEntry !== undefined) raft.log.unstable.stableTo(lastEntry.index, lastEntry.term);
    if (ready.snapshot !== undefined) {
      raft.log.unstable.stableSnapshotTo(ready.snapshot.index);
      appliedTo(raft, ready.snapshot.index, 0);
    }
    if (lastCommitted !== undefined) {
      appliedTo(raft, lastCommitted.index, entryBytesOf(ready.committedEntries));
      raft.uncommittedBytes = Math.max(0, raft.uncommittedBytes - payloadBytesOf(ready.committedEntries));
    }
  }

  status(): RaftStatus {
    const { id, term, vote, log, tracker, transferee } = this.#raft;
    return {
      id,
      term,
      vote,
      commit: log.committed,
      applied: log.applied,
      lastIndex: log.lastIndex,
      softState: this.#currentSoftState(),
      configuration: tracker.configuration,
      transferee,
    };
  }

  /** The term of an entry of this member's log, written or not; undefined for one that is not there any more. */
  termAt(index: number): number | undefined {
    return this.#raft.log.term(index);
  }

  /** Every member's progress, ascending by id. It means something on a leader only, and must not be changed. */
  *progress(): Generator<readonly [RaftId, Readonly<Progress>]> {
    for (const id of this.#raft.tracker.members) {
      const progress = this.#raft.tracker.progress(id);
      if (progress !== undefined) yield [id, progress];
    }
  }

  #propose(proposals: readonly Proposal[]): StepResult {
    const { id } = this.#raft;
    if (!areSoundProposals(proposals)) return "malformed";
    return step(this.#raft, { type: "propose", from: id, to: id, term: 0, proposals });
  }

  #leaderProgress(id: RaftId): Progress | undefined {
    const raft = this.#raft;
    return raft.role === "leader" && id !== raft.id ? raft.tracker.progress(id) : undefined;
  }

  #accept(ready: Ready): void {
    const raft = this.#raft;
    this.#accepted = ready;
    this.#softState = ready.softState ?? this.#softState;
    this.#hardState = ready.hardState ?? this.#hardState;
    this.#selfOnAdvance = raft.toSelf;
    raft.toSelf = [];
    raft.messages = [];
    raft.answers = [];
    raft.readStates = [];
    raft.log.unstable.acceptInProgress();
    raft.log.acceptApplying(ready.committedEntries);
  }

  #currentSoftState(): SoftState {
    return { lead: this.#raft.lead, role: this.#raft.role };
  }

  #changedSoftState(): SoftState | undefined {
    const { lead, role } = this.#raft;
    return lead === this.#softState.lead && role === this.#softState.role ? undefined : { lead, role };
  }

  #changedHardState(): HardState | undefined {
    const { term, vote, log: { committed } } = this.#raft;
    const { term: oldTerm, vote: oldVote, commit } = this.#hardState;
    return term === oldTerm && vote === oldVote && committed === commit ? undefined : this.#raft.hardState;
  }
}
