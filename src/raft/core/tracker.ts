/** The configuration in force, the progress of each member in it, and the votes of one election. */
import { type Changed } from "./conf_change.ts";
import { type Configuration, EMPTY_CONFIGURATION, memberIds } from "./configuration.ts";
import { type InflightLimits, Progress } from "./progress.ts";
import { jointIndex, jointVote, type VoteResult } from "./quorum.ts";
import type { RaftId } from "./types.ts";

export class Tracker {
  readonly #limits: InflightLimits;
  #configuration = EMPTY_CONFIGURATION;
  #members: readonly RaftId[] = [];
  #progress = new Map<RaftId, Progress>();
  readonly #votes = new Map<RaftId, boolean>();

  constructor(limits: InflightLimits) {
    this.#limits = limits;
  }

  get configuration(): Configuration {
    return this.#configuration;
  }

  /** Everybody with a progress, ascending. */
  get members(): readonly RaftId[] {
    return this.#members;
  }

  progress(id: RaftId): Progress | undefined {
    return this.#progress.get(id);
  }

  isLearner(id: RaftId): boolean {
    return this.#configuration.learners.has(id);
  }

  isVoter(id: RaftId): boolean {
    const { incoming, outgoing } = this.#configuration.voters;
    return incoming.has(id) || outgoing.has(id);
  }

  /** Puts `changed` in force. Members who stay keep their progress; new ones are probed at `lastIndex`. */
  switchTo({ configuration, fresh }: Changed, lastIndex: number): void {
    const before = this.#progress;
    this.#configuration = configuration;
    this.#members = memberIds(configuration);
    this.#progress = new Map();
    for (const id of this.#members) {
      const kept = fresh.has(id) ? undefined : before.get(id);
      this.#progress.set(id, kept ?? new Progress(Math.max(lastIndex, 1), true, this.#limits));
    }
  }

  /** A new term: nothing is known of any member's log (paper, figure 2: reinitialised after election). */
  resetProgress(lastIndex: number): void {
    for (const id of this.#members) this.#progress.set(id, new Progress(lastIndex + 1, false, this.#limits));
  }

  /** The highest index that is on a quorum. */
  committedIndex(): number {
    return jointIndex(this.#configuration.voters, (id) => this.#progress.get(id)?.match);
  }

  /** A quorum, `self` in it, has answered since the last check (thesis, 6.2). */
  quorumActive(self: RaftId): boolean {
    const active = new Map<RaftId, boolean>();
    for (const [id, { recentActive }] of this.#progress) active.set(id, id === self || recentActive);
    return jointVote(this.#configuration.voters, active) === "won";
  }

  resetVotes(): void {
    this.#votes.clear();
  }

  /** A voter's first answer counts; later ones do not change it. */
  recordVote(id: RaftId, granted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
  }

  tallyVotes(): VoteResult {
    return jointVote(this.#configuration.voters, this.#votes);
  }
}
