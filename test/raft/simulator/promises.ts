/** What members say and do must rest on what a crash at this moment would leave. */
import type { Message, RaftId } from "../../../src/raft/core/types.ts";
import { fail } from "./failure.ts";
import type { History } from "./history.ts";
import type { Machine } from "./machine.ts";

export class Promises {
  readonly #history: History;
  /** Whom a member voted for, by member and term. */
  readonly #votes = new Map<string, RaftId>();
  readonly #sentTerms = new Map<RaftId, number>();

  constructor(history: History) {
    this.#history = history;
  }

  /** The highest term that a member told anybody of; 0 for none. */
  sentTerm(raftId: RaftId): number {
    return this.#sentTerms.get(raftId) ?? 0;
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
    this.#sentTerms.set(raftId, Math.max(this.sentTerm(raftId), message.term));
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
}
