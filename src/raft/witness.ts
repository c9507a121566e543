/**
 * The third vote for two nodes that keep a state: a member that keeps none. Pure: from its record and a message of
 * the core it makes the next record and the answers. Whoever runs it makes the record durable first and answers then
 * (paper, 5.1 and figure 2), and runs one message, or one batch of them, at a time. ("Voting with Witnesses", Pâris,
 * 1986, has the idea; "paper" and "thesis" are those of core/types.ts.)
 *
 * Why it is safe. A witness does what a follower F would do that never campaigns, whose log ends where the record
 * says, and that catches up in no time:
 *
 * - *One leader a term* (paper, 5.2) needs one vote a term of each voter: `term` never falls, and `vote` is set once
 *   in each. Nothing else of this member can elect anybody, since it never campaigns.
 * - *The promise.* An acknowledgement says that the end of the append, (term, index) of its last entry, is at or below
 *   `last` in the order of 5.4.1. Votes go only to logs that end at or above `last`, and `last` never falls in that order.
 * - *What is committed stays* (paper, 5.4.3). Let the leader of term U commit its entry (U, j) with the witness. Terms
 *   in its log do not fall, so an append that ends at j or beyond ends in an entry of U: with the acknowledgement `last`
 *   is at least (U, j). A later leader needs two of the three. If the two nodes are among them, the other one voted, or
 *   the leader itself, as always. If it is one node and the witness, the witness came to the later term after it had
 *   acknowledged, for it answers no append of a term below its own; so that node's log ends at or above (U, j). If it
 *   ends in an entry of U, it has (U, j) by log matching (5.3). If in one of a later term, the leader of that term had it,
 *   by induction over the terms, and so has this log. Entries of earlier terms are committed with one of U (5.4.2).
 * - *Appends are not rejected.* F rejects one that does not continue its log, and the leader goes back until it does;
 *   then F holds the leader's log up to there. The leader itself has all those entries, so nobody needs them here, and
 *   the proof above asks only for the end. Where a leader of term T2 has the log (T1, 8) and `last` is (T1, 10), a probe
 *   that ends at (T1, 8) is acknowledged as 8: it moves nothing, as in F, whose entries 9 and 10 stay until others
 *   conflict with them. No leader commits by an entry of a former term (5.4.2), so that 8 alone commits nothing. Its
 *   entry (T2, 9) is above (T1, 10): `lastIndex` goes back to 9 there, and only so, when `lastTerm` rises. 9 and 10 of
 *   T1 were not committed, since the leader of T2 was elected without this vote by a quorum that lacked them.
 *
 * The price: between (T1, 10) noted and (T2, 9) noted, a node that ends at (T1, 8) gets no vote here, though 9 and 10 may
 * be on no other node. The witness cannot tell that case from the one in which they are committed.
 *
 * Heartbeats change the record only by a higher term. They confirm reads (thesis, 6.4): an answer in term T means that
 * this member had not voted in a later term, whose record would be durable. It has no clock, so it keeps nobody's lease
 * (thesis, 6.4.1: `leaseTicks` must be 0 beside a witness) and refuses no election because a leader is alive (4.2.3). A
 * node that is cut off from a living leader can therefore take over once, by a pre-vote that it wins with a log that
 * lacks nothing; from its first entry on the former leader lacks one, and gets no vote back.
 *
 * What it cannot do: with the witness an entry may be on a single node. If that one is lost for good, so is the entry.
 */
import { isSound } from "./core/message_check.ts";
import {
  type AppendMessage,
  type HeartbeatMessage,
  type Message,
  NO_ID,
  type RaftId,
  type SnapshotMessage,
  type VoteMessage,
} from "./core/types.ts";

export interface WitnessRecord {
  readonly raftId: RaftId;
  readonly clusterId: string;
  readonly term: number;
  /** Who has its vote of `term`; 0: nobody. */
  readonly vote: RaftId;
  /** The end of the best log of which it has acknowledged something; 0 and 0 before that. */
  readonly lastTerm: number;
  readonly lastIndex: number;
}

export interface WitnessAnswer {
  /** The same object when nothing changed. */
  readonly record: WitnessRecord;
  /** To be sent when `record` is durable. */
  readonly replies: readonly Message[];
}

/** What becomes of `record` with `message`. One that no correct member sends changes nothing and is not answered. */
export function answer(record: WitnessRecord, message: Message): WitnessAnswer {
  if (!isSound(message, record.raftId, record.term)) return { record, replies: [] };
  switch (message.type) {
    case "vote":
      return vote(record, message);
    case "pre-vote":
      return { record, replies: [voteResponse(record, message, mayVote(record, message))] };
    case "append":
    case "heartbeat":
    case "snapshot":
      return follow(record, message);
    default:
      // `timeout-now` among them: it never campaigns.
      return { record, replies: [] };
  }
}

/** The same for several, which are one step to everybody else. */
export function answerAll(record: WitnessRecord, messages: readonly Message[]): WitnessAnswer {
  const replies: Message[] = [];
  let current = record;
  for (const message of messages) {
    const next = answer(current, message);
    current = next.record;
    replies.push(...next.replies);
  }
  return { record: current, replies };
}

function vote(record: WitnessRecord, message: VoteMessage): WitnessAnswer {
  if (message.term < record.term) return { record, replies: [] };
  const raised = inTerm(record, message.term);
  const granted = mayVote(raised, message);
  const next = granted && raised.vote !== message.from ? { ...raised, vote: message.from } : raised;
  return { record: next, replies: [voteResponse(next, message, granted)] };
}

/** One vote a term, and for no log that lacks what may be committed (paper, 5.2 and 5.4.1). */
function mayVote(record: WitnessRecord, { type, from, term, logTerm, index }: VoteMessage): boolean {
  const free = term === record.term
    ? record.vote === NO_ID || record.vote === from
    : type === "pre-vote" && term > record.term;
  return free && !isAbove(record, logTerm, index);
}

function voteResponse(
  record: WitnessRecord,
  { type, from: to, term }: VoteMessage,
  granted: boolean,
): Message {
  return {
    type: `${type}-response`,
    from: record.raftId,
    to,
    // A granted pre-vote carries the term it is for, which this member is not in.
    term: granted ? term : record.term,
    reject: !granted,
    commit: 0,
    commitTerm: 0,
  };
}

function follow(
  record: WitnessRecord,
  message: AppendMessage | HeartbeatMessage | SnapshotMessage,
): WitnessAnswer {
  if (message.term < record.term) {
    // The former leader hears of the later term by it (paper, 5.1).
    return { record, replies: message.type === "snapshot" ? [] : [acknowledgement(record, message.from, 0)] };
  }
  const current = inTerm(record, message.term);
  if (message.type === "heartbeat") {
    const { from: to, round } = message;
    const reply: Message = { type: "heartbeat-response", from: record.raftId, to, term: current.term, round };
    return { record: current, replies: [reply] };
  }
  const { term, index } = endOf(message);
  const next = isAbove(current, term, index) || isAt(current, term, index)
    ? current
    : { ...current, lastTerm: term, lastIndex: index };
  return { record: next, replies: [acknowledgement(next, message.from, index)] };
}

function endOf(message: AppendMessage | SnapshotMessage): { term: number; index: number } {
  if (message.type === "snapshot") return message.snapshot;
  return message.entries.at(-1) ?? { term: message.logTerm, index: message.index };
}

function acknowledgement({ raftId: from, term }: WitnessRecord, to: RaftId, index: number): Message {
  return { type: "append-response", from, to, term, index, reject: false, hint: 0, hintTerm: 0 };
}

function inTerm(record: WitnessRecord, term: number): WitnessRecord {
  return term > record.term ? { ...record, term, vote: NO_ID } : record;
}

/** Whether what was noted lies beyond a log that ends at `index` of `term`. */
function isAbove({ lastTerm, lastIndex }: WitnessRecord, term: number, index: number): boolean {
  return lastTerm > term || (lastTerm === term && lastIndex > index);
}

function isAt({ lastTerm, lastIndex }: WitnessRecord, term: number, index: number): boolean {
  return lastTerm === term && lastIndex === index;
}
