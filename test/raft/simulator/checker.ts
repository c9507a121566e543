/** What must hold whatever happens; asked after every step. */
import type { RaftId, ReadState, Role } from "../../../src/raft/core/types.ts";
import { fail } from "./failure.ts";
import type { History } from "./history.ts";
import { Logs } from "./logs.ts";
import type { Machine } from "./machine.ts";
import { Promises } from "./promises.ts";

/** What was last seen of one member. */
interface Seen {
  run: number;
  term: number;
  commit: number;
  role: Role;
  lastIndex: number;
  lastTerm: number;
}

/** Above the largest entry that is proposed. */
const DATA_BYTES_MAX = 400;

export interface Limits {
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  readonly messageBytesMax: number;
}

export class Checker {
  readonly logs: Logs;
  readonly promises: Promises;
  readonly #machines: readonly Machine[];
  readonly #history: History;
  readonly #limits: Limits;
  readonly #seen = new Map<RaftId, Seen>();
  readonly #leaders = new Map<number, RaftId>();
  readonly #reads = new Map<number, number>();

  constructor(machines: readonly Machine[], history: History, limits: Limits) {
    this.#machines = machines;
    this.#history = history;
    this.#limits = limits;
    this.logs = new Logs(history);
    this.promises = new Promises(history);
  }

  /** Looks at a member after it has done something; whether its role or term changed. */
  observe(machine: Machine): boolean {
    const { raw, raftId, run } = machine;
    if (raw === undefined) return false;
    const { term, commit, lastIndex, softState: { role } } = raw.status();
    let seen = this.#seen.get(raftId);
    if (seen === undefined) {
      seen = { run, term, commit: 0, role: "follower", lastIndex: 0, lastTerm: 0 };
      this.#seen.set(raftId, seen);
    }
    // A crash may take back a term that nobody was told of.
    const lowest = run === seen.run ? seen.term : this.promises.sentTerm(raftId);
    if (term < lowest) fail("terms never fall", `member ${raftId} went from ${lowest} to ${term}`);
    if (run === seen.run && commit < seen.commit) {
      fail("commits never fall", `member ${raftId} went from ${seen.commit} to ${commit}`);
    }
    const stillLeads = role === "leader" && seen.role === "leader" && run === seen.run && term === seen.term;
    if (stillLeads && lastIndex !== seen.lastIndex) {
      const kept = lastIndex > seen.lastIndex && raw.termAt(seen.lastIndex) === seen.lastTerm;
      if (!kept) fail("a leader only appends", `leader ${raftId} changed entry ${seen.lastIndex}`);
    }
    if (role === "leader" && !stillLeads) this.#newLeader(machine, term, lastIndex);
    if (commit > seen.commit) this.#checkCommits(machine, seen.commit, commit, term, role);
    if (role === "leader") this.#checkWindows(machine);
    const changed = role !== seen.role || term !== seen.term;
    seen.run = run;
    seen.term = term;
    seen.commit = commit;
    seen.role = role;
    if (lastIndex !== seen.lastIndex || changed) {
      seen.lastIndex = lastIndex;
      seen.lastTerm = raw.termAt(lastIndex) ?? 0;
    }
    return changed;
  }

  /** A pre-vote asks; it must leave the term of whoever is asked alone (thesis, 9.6). */
  preVoteHandled({ raw, raftId }: Machine, termBefore: number): void {
    const term = raw?.status().term;
    if (term !== termBefore) {
      fail("pre-votes raise no term", `member ${raftId} went from ${termBefore} to ${term}`);
    }
  }

  /** A read begins: its answer must not be older than what is committed now. */
  readBegins(context: number): void {
    this.#reads.set(context, this.#history.maxCommitted);
  }

  readEnds(raftId: RaftId, { context, index }: ReadState): void {
    const atCall = this.#reads.get(context);
    if (atCall === undefined) fail("reads", `member ${raftId} answers a read ${context} that nobody began`);
    if (index < atCall) {
      fail("reads are not stale", `member ${raftId} answers ${index}, committed was ${atCall}`);
    }
  }

  #newLeader({ raw, raftId }: Machine, term: number, lastIndex: number): void {
    const other = this.#leaders.get(term);
    if (other !== undefined && other !== raftId) {
      fail("one leader a term", `${other} and ${raftId} lead ${term}`);
    }
    this.#leaders.set(term, raftId);
    const index = this.#history.lastBefore(term);
    const has = raw?.termAt(index), wanted = this.#history.term(index);
    if (index > lastIndex || (has !== undefined && has !== wanted)) {
      fail("leader completeness", `leader ${raftId} of ${term} lacks committed entry ${wanted}/${index}`);
    }
  }

  #checkCommits(machine: Machine, from: number, to: number, term: number, role: Role): void {
    const { raw, raftId } = machine;
    for (let index = from + 1; index <= to; index++) {
      const ours = raw?.termAt(index);
      const known = this.#history.term(index);
      if (known === undefined) this.#commit(machine, index, to, ours, term, role);
      else if (ours !== undefined && ours !== known) {
        fail(
          "one value for each committed index",
          `member ${raftId} has ${ours}/${index}, not ${known}/${index}`,
        );
      }
    }
  }

  #commit(
    machine: Machine,
    index: number,
    to: number,
    term: number | undefined,
    byTerm: number,
    role: Role,
  ): void {
    const { raw, raftId } = machine;
    if (role !== "leader") {
      fail("leaders commit", `${role} ${raftId} knows of commit ${index} before any leader`);
    }
    const entry = term === undefined ? undefined : this.logs.entry(term, index);
    if (entry === undefined) fail("only known entries commit", `leader ${raftId}: entry ${term}/${index}`);
    const voters = raw?.status().configuration.voters;
    for (const half of voters === undefined ? [] : [voters.incoming, voters.outgoing]) {
      // A member that lost its disk had the entry when it said so.
      const has = (id: RaftId): boolean => {
        const holder = this.#machines.find((each) => each.raftId === id);
        return holder === undefined || holder.disk.isDurable(index, term);
      };
      const holders = [...half].filter(has).length;
      if (half.size > 0 && holders * 2 <= half.size) {
        fail("commits are durable on a quorum", `entry ${term}/${index} is on ${holders} of ${[...half]}`);
      }
    }
    if (index === to && entry.term !== byTerm) {
      // Paper, 5.4.2: entries of earlier terms are committed only along with one of the leader's own.
      fail(
        "leaders count copies of their own entries only",
        `leader ${raftId} of ${byTerm}: ${entry.term}/${index}`,
      );
    }
    this.#checkLaterLeaders(index, entry.term, byTerm);
    this.#history.commit(entry, byTerm);
  }

  /** Whoever leads a later term already was elected with what is committed only now. */
  #checkLaterLeaders(index: number, entryTerm: number, byTerm: number): void {
    for (const { raw, raftId } of this.#machines) {
      const status = raw?.status();
      if (status?.softState.role !== "leader" || status.term <= byTerm) continue;
      const has = raw?.termAt(index);
      if (index > status.lastIndex || (has !== undefined && has !== entryTerm)) {
        fail(
          "leader completeness",
          `leader ${raftId} of ${status.term} lacks entry ${entryTerm}/${index}, committed by ${byTerm}`,
        );
      }
    }
  }

  #checkWindows({ raw, raftId }: Machine): void {
    if (raw === undefined) return;
    const { inflightMessagesMax, inflightBytesMax, messageBytesMax } = this.#limits;
    for (const [id, { inflights, match, next }] of raw.progress()) {
      // The last message may go over the limit of bytes, and be one entry larger than a message should be.
      const bytesMax = inflightBytesMax + Math.max(messageBytesMax, DATA_BYTES_MAX);
      if (inflights.count > inflightMessagesMax || inflights.bytes > bytesMax) {
        fail(
          "windows hold",
          `leader ${raftId} sent ${id} ${inflights.count} messages, ${inflights.bytes} bytes`,
        );
      }
      if (match >= next) fail("match is below next", `leader ${raftId} about ${id}: ${match}, ${next}`);
    }
  }
}
