/** What followers and candidates do with a leader's messages, and what they pass on to it. */
import { handleVoteResponse, hup } from "./election.ts";
import { restore } from "./members.ts";
import type { Raft } from "./raft.ts";
import {
  type AppendMessage,
  type HeartbeatMessage,
  type Message,
  NO_ID,
  type SnapshotMessage,
  type StepResult,
} from "./types.ts";

type LeaderMessage = AppendMessage | HeartbeatMessage | SnapshotMessage;

export function stepFollower(raft: Raft, message: Message): StepResult {
  switch (message.type) {
    case "append":
    case "heartbeat":
    case "snapshot":
      // There is one leader a term (paper, 5.2): a second one is none.
      if (raft.lead !== NO_ID && raft.lead !== message.from) return "malformed";
      raft.heardLeader(message.from);
      return handleLeader(raft, message);
    case "timeout-now":
      if (raft.lead !== NO_ID && raft.lead !== message.from) return "malformed";
      // The leader knows that this log is complete, and wants it: no pre-vote (thesis, 3.10).
      return hup(raft, "transfer");
    case "propose":
      if (raft.lead === NO_ID) return "no-leader";
      raft.send({ ...message, from: raft.id, to: raft.lead });
      return "taken";
    case "transfer-leader":
      if (raft.lead === NO_ID) return "no-leader";
      raft.send({ ...message, from: raft.id, to: raft.lead, term: raft.term });
      return "taken";
    case "read-index":
      if (raft.lead === NO_ID) return "no-leader";
      // The answer goes to whoever sent the request, so only one's own is passed on.
      if (message.from !== raft.id) return "ignored";
      raft.send({ ...message, to: raft.lead });
      return "taken";
    case "read-index-response":
      raft.readStates.push({ index: message.index, context: message.context });
      return "taken";
    default:
      return "ignored";
  }
}

/** Of a candidate or pre-candidate. */
export function stepCandidate(raft: Raft, message: Message): StepResult {
  switch (message.type) {
    case "append":
    case "heartbeat":
    case "snapshot":
      // Somebody else has won this term (paper, 5.2).
      raft.becomeFollower(message.term, message.from);
      raft.heardLeader(message.from);
      return handleLeader(raft, message);
    case "vote-response":
    case "pre-vote-response":
      return handleVoteResponse(raft, message);
    case "propose":
    case "read-index":
    case "transfer-leader":
      return "no-leader";
    default:
      return "ignored";
  }
}

function handleLeader(raft: Raft, message: LeaderMessage): StepResult {
  switch (message.type) {
    case "append":
      return handleAppend(raft, message);
    case "heartbeat":
      raft.log.commitTo(message.commit);
      raft.send({
        type: "heartbeat-response",
        from: raft.id,
        to: message.from,
        term: raft.term,
        round: message.round,
      });
      return "taken";
    case "snapshot": {
      const restored = restore(raft, message.snapshot);
      acknowledge(raft, message, restored ? raft.log.lastIndex : raft.log.committed);
      return "taken";
    }
  }
}

function handleAppend(raft: Raft, message: AppendMessage): StepResult {
  const { from, index, logTerm, commit, entries } = message;
  if (index < raft.log.committed) {
    acknowledge(raft, message, raft.log.committed);
    return "taken";
  }
  const last = raft.log.maybeAppend(index, logTerm, commit, entries);
  if (last === "contradiction") return "malformed";
  if (last !== "mismatch") {
    acknowledge(raft, message, last);
    return "taken";
  }
  // Our entries of later terms than the leader's cannot be in its log: it need not try them.
  const { index: hint, term: hintTerm } = raft.log.lastNotAfter(Math.min(index, raft.log.lastIndex), logTerm);
  raft.send({
    type: "append-response",
    from: raft.id,
    to: from,
    term: raft.term,
    index,
    reject: true,
    hint,
    hintTerm,
  });
  return "taken";
}

/** Tells the leader that everything up to `index` is here; sent when it is stable. */
function acknowledge(raft: Raft, { from: to }: LeaderMessage, index: number): void {
  raft.send({
    type: "append-response",
    from: raft.id,
    to,
    term: raft.term,
    index,
    reject: false,
    hint: 0,
    hintTerm: 0,
  });
}
