/**
 * Rounds of heartbeats, and what their answers prove: that this node was still the leader when a round began.
 * Reads wait for that proof (thesis, 6.4); a lease lets later reads live on an old one (thesis, 6.4.1).
 */
import { Deque } from "../../lib/deque.ts";
import { jointIndex, type JointVoters } from "./quorum.ts";
import type { RaftId } from "./types.ts";

/** Rounds whose start is remembered for leases; without an answer in so many there is no lease anyway. */
const ROUNDS_REMEMBERED_MAX = 1_024;

export interface WaitingRead {
  readonly from: RaftId;
  readonly context: number;
}

interface OpenRead extends WaitingRead {
  readonly round: number;
  /** The commit index when the read was asked for. */
  readonly index: number;
}

/** Of one node in one term as leader. */
export class ReadRounds {
  readonly #self: RaftId;
  readonly #readsMax: number;
  #round = 0;
  #open = new Deque<OpenRead>();
  /** Reads from before the first commit of this term: the commit index may still be behind (thesis, 6.4). */
  #early: WaitingRead[] = [];
  readonly #acks = new Map<RaftId, number>();
  #starts = new Deque<{ readonly round: number; readonly tick: number }>();

  constructor(self: RaftId, readsMax: number) {
    this.#self = self;
    this.#readsMax = readsMax;
  }

  get full(): boolean {
    return this.#open.size + this.#early.length >= this.#readsMax;
  }

  /** A round of heartbeats goes out at `tick`; its number. */
  begin(tick: number): number {
    this.#round++;
    if (this.#starts.size === ROUNDS_REMEMBERED_MAX) this.#starts.popFront();
    this.#starts.pushBack({ round: this.#round, tick });
    return this.#round;
  }

  addEarly(read: WaitingRead): void {
    this.#early.push(read);
  }

  takeEarly(): WaitingRead[] {
    const early = this.#early;
    if (early.length > 0) this.#early = [];
    return early;
  }

  /** `read` waits for the answers to the round that began last. */
  add(read: WaitingRead, index: number): void {
    this.#open.pushBack({ ...read, index, round: this.#round });
  }

  /** A member answered `round`; one that never began is no answer. */
  acknowledge(from: RaftId, round: number): void {
    if (round <= this.#round && round > (this.#acks.get(from) ?? 0)) this.#acks.set(from, round);
  }

  /** The reads that a quorum has confirmed by now. */
  takeConfirmed(voters: JointVoters): readonly OpenRead[] {
    const confirmed = this.#confirmedRound(voters);
    const taken: OpenRead[] = [];
    for (
      let read = this.#open.front();
      read !== undefined && read.round <= confirmed;
      read = this.#open.front()
    ) {
      this.#open.popFront();
      taken.push(read);
    }
    return taken;
  }

  /** The tick at which the newest round that a quorum answered began; undefined when there is none. */
  leaseStart(voters: JointVoters): number | undefined {
    const confirmed = this.#confirmedRound(voters);
    let start = this.#starts.front();
    while (start !== undefined && start.round < confirmed) {
      this.#starts.popFront();
      start = this.#starts.front();
    }
    return start?.round === confirmed ? start.tick : undefined;
  }

  #confirmedRound(voters: JointVoters): number {
    const acked = (id: RaftId): number | undefined => id === this.#self ? this.#round : this.#acks.get(id);
    return Math.min(this.#round, jointIndex(voters, acked));
  }
}
