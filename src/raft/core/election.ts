/** Elections: campaigns, votes and their count (paper, 5.2 and 5.4.1; thesis, 9.6 for the vote before the vote). */
import { voterIds } from "./quorum.ts";
import type { Raft } from "./raft.ts";
import { appendProposals, broadcastAppend } from "./replication.ts";
import { NO_ID, type RaftId, type StepResult, type VoteMessage, type VoteResponse } from "./types.ts";

/** `transfer`: the leader asked for it (thesis, 3.10). */
export type Campaign = "pre-vote" | "vote" | "transfer";

/** Campaigns if this member may: it is a voter and knows who else is. */
export function hup(raft: Raft, campaign: Campaign): StepResult {
  if (raft.role === "leader" || !raft.promotable) return "ignored";
  if (campaign !== "transfer" && raft.upholdsLease) return "ignored";
  // A committed change that is not in force here could make this an election among the wrong voters.
  if (raft.log.hasUnappliedConfChange()) return "ignored";
  startCampaign(raft, campaign);
  return "taken";
}

export function tickElection(raft: Raft): void {
  raft.electionElapsed++;
  if (!raft.promotable || raft.electionElapsed < raft.electionTimeout) return;
  raft.electionElapsed = 0;
  hup(raft, raft.options.preVote ? "pre-vote" : "vote");
}

function startCampaign(raft: Raft, campaign: Campaign): void {
  const pre = campaign === "pre-vote";
  if (pre) raft.becomePreCandidate();
  else raft.becomeCandidate();
  const term = pre ? raft.term + 1 : raft.term;
  const { id: from } = raft;
  const { lastIndex: index, lastTerm: logTerm } = raft.log;
  const type = pre ? "pre-vote" : "vote";
  for (const to of voterIds(raft.tracker.configuration.voters)) {
    // One's own vote counts when it is stable, so that no vote is ever cast twice (thesis, 3.8).
    if (to === from) {
      raft.send({ type: `${type}-response`, from, to, term, reject: false, commit: 0, commitTerm: 0 });
    } else raft.send({ type, from, to, term, index, logTerm, transfer: campaign === "transfer" });
  }
}

/**
 * Grants or refuses a vote. Learners vote too: one may have been promoted without knowing it yet, and the
 * candidate knows better (thesis, 4.2.1 has the same rule for servers that are not in their own configuration).
 */
export function handleVoteRequest(raft: Raft, message: VoteMessage): StepResult {
  const { type, from, term, index, logTerm } = message;
  const free = raft.vote === from || (raft.vote === NO_ID && raft.lead === NO_ID) ||
    (type === "pre-vote" && term > raft.term);
  const granted = free && raft.log.isUpToDate(index, logTerm);
  if (granted && type === "vote") {
    raft.electionElapsed = 0;
    raft.vote = from;
  }
  // A granted pre-vote carries the term it is for, which is not this member's own.
  const answer = granted ? term : raft.term;
  refuseOrGrant(raft, type, from, answer, !granted);
  return "taken";
}

/**
 * Answers a candidate. A leader that was removed may be the only one to know so: if a candidate without its last
 * entries still counts it, nobody could ever win. So a refusal by somebody who cannot lead says what is committed,
 * and the candidate gets to know the configuration in force (thesis, 4.2.2, has the removed leader step down).
 */
export function refuseOrGrant(
  raft: Raft,
  type: VoteMessage["type"],
  to: RaftId,
  term: number,
  reject: boolean,
): void {
  const commit = reject && !raft.promotable ? raft.log.committed : 0;
  const commitTerm = raft.log.term(commit) ?? 0;
  raft.send({ type: `${type}-response`, from: raft.id, to, term, reject, commit, commitTerm });
}

/** What is committed anywhere is committed here too, whatever the term of the news. */
export function learnCommit(raft: Raft, { commit, commitTerm }: VoteResponse): void {
  if (commit > 0 && raft.log.matches(commit, commitTerm)) raft.log.commitTo(commit);
}

/** Counts an answer; answers of the other kind belong to an earlier campaign. */
export function handleVoteResponse(raft: Raft, message: VoteResponse): StepResult {
  const pre = raft.role === "pre-candidate";
  if (message.type !== (pre ? "pre-vote-response" : "vote-response")) return "ignored";
  raft.tracker.recordVote(message.from, !message.reject);
  switch (raft.tracker.tallyVotes()) {
    case "won":
      if (pre) startCampaign(raft, "vote");
      else takeOver(raft);
      break;
    case "lost":
      raft.becomeFollower(raft.term, NO_ID);
      break;
    case "pending":
      break;
  }
  return "taken";
}

/** A new leader commits what it inherits by committing an empty entry of its own term (paper, section 8). */
function takeOver(raft: Raft): void {
  raft.becomeLeader();
  appendProposals(raft, [{ type: "normal", data: new Uint8Array() }]);
  broadcastAppend(raft);
}
