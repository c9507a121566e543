/** What must hold whatever happens; asked after every step. */
import { confStateOf } from "../../../src/raft/core/configuration.ts";
import type { Ready } from "../../../src/raft/core/ready.ts";
import type { Entry, Message, RaftId, ReadState, Role } from "../../../src/raft/core/types.ts";
import { fail } from "./failure.ts";
import type { History } from "./history.ts";
import { type Machine, stateOf } from "./machine.ts";

/** What was last seen of one member. */
interface Seen {
  run: number;
  term: number;
  commit: number;
  role: Role;
  lastIndex: number;
  lastTerm: number;
  sentTerm: number;
  /** The newest configuration change in its log. */
  confIndex: number;
}

/** Above the largest entry that is proposed. */
const DATA_BYTES_MAX = 400;

export interface Limits {
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  readonly messageBytesMax: number;
}

export class Checker {
  readonly #machines: readonly Machine[];
  readonly #history: History;
  readonly #limits: Limits;
  readonly #seen = new Map<RaftId, Seen>();
  readonly #leaders = new Map<number, RaftId>();
  /** Whom a member voted for, by member and term. */
  readonly #votes = new Map<string, RaftId>();
  /** Every entry that was ever in a log, by term and index, with the term of the entry before it. */
  readonly #entries = new Map<number, { readonly entry: Entry; readonly before: number }>();
  readonly #reads = new Map<number, number>();

  constructor(machines: readonly Machine[], history: History, limits: Limits) {
    this.#machines = machines;
    this.#history = history;
    this.#limits = limits;
  }

  /** Looks at a member after it has done something; whether its role or term changed. */
  observe(machine: Machine): boolean {
    const { raw, raftId, run } = machine;
    if (raw === undefined) return false;
    const { term, commit, lastIndex, softState: { role } } = raw.status();
    let seen = this.#seen.get(raftId);
    if (seen === undefined) {
      seen = { run, term, commit: 0, role: "follower", lastIndex: 0, lastTerm: 0, sentTerm: 0, confIndex: 0 };
      this.#seen.set(raftId, seen);
    }
    // A crash may take back a term that nobody was told of.
    const lowest = run === seen.run ? seen.term : seen.sentTerm;
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

  /** A ready was handed out: its entries are in the member's log from now on. True when it votes or changes members. */
  handedOut(machine: Machine, { entries, snapshot, messages }: Ready): boolean {
    const { raw, raftId } = machine;
    let turning = messages.some((message) => message.type === "vote-response" && !message.reject);
    if (snapshot !== undefined && raw !== undefined) {
      const confState = confStateOf(raw.status().configuration);
      this.#history.checkState(raftId, { ...stateOf(snapshot), confState });
    }
    for (const entry of entries) {
      const before = raw?.termAt(entry.index - 1) ?? 0;
      const key = entry.term * 2 ** 20 + entry.index;
      const known = this.#entries.get(key);
      if (known === undefined) this.#entries.set(key, { entry, before });
      else if (known.entry !== entry) fail("log matching", `two entries ${entry.term}/${entry.index}`);
      else if (known.before !== before && raw?.termAt(entry.index - 1) !== undefined) {
        fail(
          "log matching",
          `entry ${entry.term}/${entry.index} follows terms ${known.before} and ${before}`,
        );
      }
      if (entry.type === "conf-change") {
        turning = true;
        this.#checkSingleChange(machine, entry);
      }
      const seen = this.#seen.get(raftId);
      if (seen !== undefined && seen.confIndex >= entry.index) seen.confIndex = 0;
      if (seen !== undefined && entry.type === "conf-change") seen.confIndex = entry.index;
    }
    return turning;
  }

  /** A member is back: its log must not have taught it less than that. */
  boots({ raw, raftId, disk }: Machine): void {
    const commit = raw?.status().commit ?? 0;
    const unsure = disk.entries(Math.max(disk.firstIndex(), commit + 1), disk.lastIndex() + 1, Infinity) ??
      [];
    const changes = unsure.filter(({ type }) => type === "conf-change").map(({ index }) => index);
    const seen = this.#seen.get(raftId);
    if (seen !== undefined) seen.confIndex = changes[0] ?? 0;
    if (changes.length > 1) {
      fail(
        "one uncommitted configuration change",
        `member ${raftId} comes back with ${changes}, commit ${commit}`,
      );
    }
  }

  /** A change of members is applied: a crash at this moment must not take back that it is committed. */
  comesInForce({ disk, raftId }: Machine, index: number): void {
    const commit = disk.durableHardState?.commit ?? 0;
    if (commit < index) {
      fail(
        "commits of changes are durable before they are in force",
        `member ${raftId}: ${index}, has ${commit}`,
      );
    }
  }

  /** A message leaves: everything it rests on must survive a crash at this moment. */
  sends(machine: Machine, message: Message): void {
    const { disk, raftId } = machine;
    const { term, vote } = disk.durableHardState ?? { term: 0, vote: 0 };
    const { type } = message;
    if (type === "pre-vote" || type === "pre-vote-response" || message.term === 0) return;
    if (term < message.term) {
      fail(
        "terms are durable before they are sent",
        `member ${raftId} sends ${type} of ${message.term}, has ${term}`,
      );
    }
    const seen = this.#seen.get(raftId);
    if (seen !== undefined) seen.sentTerm = Math.max(seen.sentTerm, message.term);
    switch (message.type) {
      case "vote":
        return this.#recordVote(raftId, message.term, raftId);
      case "vote-response":
        if (message.reject) return;
        if (term === message.term && vote !== message.to) {
          fail(
            "votes are durable before they are sent",
            `member ${raftId} votes for ${message.to}, has ${vote}`,
          );
        }
        return this.#recordVote(raftId, message.term, message.to);
      case "append-response":
        // Once a later term is durable, an acknowledgement of an older one says that the entry was taken in time.
        // It need not be there any more: whoever leads the later term was not elected by this member alone.
        if (!message.reject && term === message.term) this.#checkAcknowledged(machine, message.index, term);
        return;
      case "append":
      case "heartbeat":
        if (message.commit > this.#history.maxCommitted) {
          fail("only committed indexes are told", `member ${raftId} tells ${message.commit}`);
        }
        return;
      default:
        return;
    }
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

  #recordVote(raftId: RaftId, term: number, candidate: RaftId): void {
    const key = `${raftId}:${term}`;
    const earlier = this.#votes.get(key);
    if (earlier !== undefined && earlier !== candidate) {
      fail("one vote a term", `member ${raftId} votes for ${earlier} and ${candidate} in ${term}`);
    }
    this.#votes.set(key, candidate);
  }

  #checkAcknowledged({ raftId, disk, raw }: Machine, index: number, term: number): void {
    // While it was written, a snapshot may have covered the entry, or the leader of a later term replaced it.
    const replaced = (raw?.status().term ?? 0) > term;
    const expected = raw?.termAt(index) ?? this.#history.term(index);
    if (disk.isDurable(index, replaced ? disk.term(index) : expected)) return;
    fail("entries are durable before they are acknowledged", `member ${raftId} acknowledges ${index}`);
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
    const entry = term === undefined ? undefined : this.#entries.get(term * 2 ** 20 + index)?.entry;
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
    this.#history.commit(entry, byTerm);
  }

  /** Whoever has a change in its log must know that the one before is committed, or it counts the wrong votes. */
  #checkSingleChange({ raw, raftId }: Machine, { index }: Entry): void {
    const confIndex = this.#seen.get(raftId)?.confIndex ?? 0;
    if (confIndex < index && confIndex > (raw?.status().commit ?? Infinity)) {
      fail("one uncommitted configuration change", `member ${raftId} has ${confIndex} and adds ${index}`);
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
