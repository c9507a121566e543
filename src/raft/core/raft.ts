/** The state of one member and its changes of role (paper, figure 4). What it does in each role stands elsewhere. */
import { FlotillaError } from "../../lib/errors.ts";
import { configurationOf } from "./configuration.ts";
import { RaftLog } from "./log.ts";
import type { ResolvedRaftOptions } from "./options.ts";
import { ReadRounds } from "./reads.ts";
import { Tracker } from "./tracker.ts";
import { type HardState, type Message, NO_ID, type RaftId, type ReadState, type Role } from "./types.ts";

/** A hard state before anything was stored. */
export const NOTHING: HardState = { term: 0, vote: NO_ID, commit: 0 };

export class Raft {
  readonly id: RaftId;
  readonly options: ResolvedRaftOptions;
  readonly log: RaftLog;
  readonly tracker: Tracker;
  term = 0;
  vote: RaftId = NO_ID;
  role: Role = "follower";
  lead: RaftId = NO_ID;
  /** Leader: to whom the leadership is being handed (thesis, 3.10). */
  transferee: RaftId = NO_ID;
  /** Leader: somebody was told to campaign despite our lease, so that there is no lease in this term. */
  leaseGivenAway = false;
  /** Leader: no configuration change may be proposed before this entry is applied (thesis, 4.1). */
  pendingConfIndex = 0;
  /** Leader: payload of the entries it took in this term that are not applied yet. */
  uncommittedBytes = 0;
  reads: ReadRounds;
  /** Ticks since the start. */
  now = 0;
  /** Ticks since the leader was heard, or since the last quorum check of a leader. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** Ticks without a leader until the next election. */
  electionTimeout = 0;
  /**
   * With leases: until this tick a leader may count on our silence, whatever term we have come to know since.
   * After a restart that is an election timeout, for we do not know whom we heard before it.
   */
  #loyalUntil = 0;
  messages: Message[] = [];
  /** Votes and acknowledgements, which rest on what is written with them. */
  answers: Message[] = [];
  /** Answers that this member owes itself: its own vote, its own append. They count once they are stable. */
  toSelf: Message[] = [];
  readStates: ReadState[] = [];

  constructor(options: ResolvedRaftOptions) {
    this.id = options.id;
    this.options = options;
    const { hardState, confState } = options.storage.initialState();
    this.log = new RaftLog(options.storage, options.applyingBytesMax);
    this.tracker = new Tracker(options);
    this.reads = new ReadRounds(this.id, options.readsMax);
    const configuration = configurationOf(confState);
    if (typeof configuration === "string") {
      throw new FlotillaError(
        "malformed",
        `start of Raft member ${this.id}: stored configuration: ${configuration}`,
      );
    }
    this.tracker.switchTo({ configuration, fresh: new Set() }, this.log.lastIndex);
    if (hardState !== undefined || this.log.lastIndex >= this.log.firstIndex) {
      this.#load(hardState ?? NOTHING);
    }
    if (options.applied !== undefined) this.#resume(options.applied);
    if (this.term > 0) this.#loyalUntil = options.electionTicks;
    this.becomeFollower(this.term, NO_ID);
  }

  /** May become leader: a voter who is not waiting for a snapshot to be written. */
  get promotable(): boolean {
    return this.tracker.isVoter(this.id) && this.log.unstable.snapshot === undefined;
  }

  /** A leader was heard so recently that other candidates are not answered (thesis, 4.2.3). */
  get hasLiveLeader(): boolean {
    return this.upholdsLease ||
      (this.options.checkQuorum && this.lead !== NO_ID && this.electionElapsed < this.options.electionTicks);
  }

  /** A leader may be answering reads because we do not vote against it (thesis, 6.4.1). */
  get upholdsLease(): boolean {
    return this.options.leaseTicks > 0 && this.now < this.#loyalUntil;
  }

  /** A message of this term's leader came. */
  heardLeader(lead: RaftId): void {
    this.lead = lead;
    this.electionElapsed = 0;
    this.#loyalUntil = this.now + this.options.electionTicks;
  }

  get hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  /** Schedules `message`; one to this member itself comes back when what it rests on is stable. */
  send(message: Message): void {
    if (message.to === this.id) this.toSelf.push(message);
    else if (restsOnStorage(message)) this.answers.push(message);
    else this.messages.push(message);
  }

  becomeFollower(term: number, lead: RaftId): void {
    this.#reset(term);
    this.role = "follower";
    this.lead = lead;
  }

  /** Asks around without raising the term or voting (thesis, 9.6). */
  becomePreCandidate(): void {
    this.tracker.resetVotes();
    this.role = "pre-candidate";
    this.lead = NO_ID;
  }

  becomeCandidate(): void {
    this.#reset(this.term + 1);
    this.role = "candidate";
    this.vote = this.id;
  }

  becomeLeader(): void {
    this.#reset(this.term);
    this.role = "leader";
    this.lead = this.id;
    const own = this.tracker.progress(this.id);
    if (own !== undefined) {
      own.becomeReplicate();
      own.recentActive = true;
    }
    // Any entry inherited from former leaders may be a configuration change.
    this.pendingConfIndex = this.log.lastIndex;
  }

  #reset(term: number): void {
    if (this.term !== term) {
      this.term = term;
      this.vote = NO_ID;
    }
    this.lead = NO_ID;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.electionTimeout = Math.max(this.options.electionTicks, this.options.electionTimeoutTicks());
    this.transferee = NO_ID;
    this.leaseGivenAway = false;
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.reads = new ReadRounds(this.id, this.options.readsMax);
    this.tracker.resetVotes();
    this.tracker.resetProgress(this.log.lastIndex);
    const own = this.tracker.progress(this.id);
    if (own !== undefined) own.maybeUpdate(this.log.lastIndex);
  }

  /** What a state machine has applied was committed, even if the stored commit index lags behind. */
  #resume(applied: number): void {
    if (applied > this.log.lastIndex) {
      throw new FlotillaError(
        "malformed",
        `start of Raft member ${this.id}: entry ${applied} is applied, but the stored log ends at ${this.log.lastIndex}`,
      );
    }
    this.log.commitTo(applied);
    this.log.appliedTo(applied, 0);
  }

  /**
   * A crash may have kept the entries or the snapshot of a ready and not its hard state, of which nobody was told:
   * then the log knows better what is committed, and that its last term has begun. Above all it knows which
   * configuration is in force: with the one before the last two, a member could be elected by voters who are none.
   */
  #load({ term, vote, commit }: HardState): void {
    if (commit > this.log.lastIndex) {
      throw new FlotillaError(
        "malformed",
        `start of Raft member ${this.id}: entry ${commit} is committed, but the stored log ends at ` +
          `${this.log.lastIndex}`,
      );
    }
    this.term = Math.max(term, this.log.lastTerm);
    this.vote = this.term === term ? vote : NO_ID;
    this.log.commitTo(commit);
    if (this.options.validateConfChanges) this.log.commitFollowedConfChanges();
  }
}

/** Votes and acknowledgements say what is stable here (thesis, 3.8). */
function restsOnStorage({ type }: Message): boolean {
  return type === "append-response" || type === "vote-response" || type === "pre-vote-response";
}
