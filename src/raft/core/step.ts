/** The rules that hold in every role: terms, and who may ask for votes. Then the role decides. */
import { handleVoteRequest, learnCommit, refuseOrGrant } from "./election.ts";
import { stepCandidate, stepFollower } from "./follower.ts";
import { stepLeader } from "./leader.ts";
import type { Raft } from "./raft.ts";
import { type Message, NO_ID, type StepResult } from "./types.ts";

/** Takes a sound message. */
export function step(raft: Raft, message: Message): StepResult {
  if (message.type === "vote-response" || message.type === "pre-vote-response") learnCommit(raft, message);
  // Proposals and reads have no term: they may be of any.
  if (message.term > raft.term) {
    if (!meetHigherTerm(raft, message)) return "ignored";
  } else if (message.term < raft.term && message.term !== 0) {
    return meetLowerTerm(raft, message);
  }
  if (message.type === "vote" || message.type === "pre-vote") return handleVoteRequest(raft, message);
  switch (raft.role) {
    case "leader":
      return stepLeader(raft, message);
    case "follower":
      return stepFollower(raft, message);
    case "candidate":
    case "pre-candidate":
      return stepCandidate(raft, message);
  }
}

/** A higher term makes everybody a follower in it (paper, 5.1), but for what follows; false to ignore. */
function meetHigherTerm(raft: Raft, message: Message): boolean {
  const { type, term, from } = message;
  switch (type) {
    case "vote":
    case "pre-vote":
      // With a leader there is nothing to vote about (thesis, 4.2.3), unless it is the leader's own wish.
      if (raft.hasLiveLeader && !message.transfer) return false;
      // A pre-vote asks about a term that nobody is in yet.
      if (type === "vote") raft.becomeFollower(term, NO_ID);
      return true;
    case "pre-vote-response":
      // Granted, it carries the term asked about; the term rises when a quorum has granted.
      if (message.reject) raft.becomeFollower(term, NO_ID);
      return true;
    case "append":
    case "heartbeat":
    case "snapshot":
      raft.becomeFollower(term, from);
      return true;
    default:
      raft.becomeFollower(term, NO_ID);
      return true;
  }
}

/** Messages of lower terms are stale (paper, 5.1); some senders must be told, or they stay behind for ever. */
function meetLowerTerm(raft: Raft, { type, from }: Message): StepResult {
  const { id, term, options } = raft;
  if ((type === "heartbeat" || type === "append") && (options.checkQuorum || options.preVote)) {
    // This member campaigned alone and its votes were ignored; the answer's term ends the stalemate.
    raft.send({
      type: "append-response",
      from: id,
      to: from,
      term,
      index: 0,
      reject: false,
      hint: 0,
      hintTerm: 0,
    });
    return "taken";
  }
  if (type === "pre-vote") {
    refuseOrGrant(raft, type, from, term, true);
    return "taken";
  }
  return "ignored";
}
