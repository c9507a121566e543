/** What a leader does with ticks, proposals, reads and the answers of its followers. */
import { leaveJointIfDue, whyNotPropose } from "./members.ts";
import type { Progress } from "./progress.ts";
import type { Raft } from "./raft.ts";
import { readIndex, releaseReads } from "./read_index.ts";
import {
  appendProposals,
  broadcastAppend,
  broadcastHeartbeat,
  maybeCommit,
  maybeSendAppend,
  sendAppend,
} from "./replication.ts";
import {
  type AppendResponse,
  type HeartbeatResponse,
  type Message,
  NO_ID,
  type Proposal,
  type RaftId,
  type StepResult,
} from "./types.ts";

export function tickLeader(raft: Raft): void {
  raft.heartbeatElapsed++;
  raft.electionElapsed++;
  if (raft.electionElapsed >= raft.options.electionTicks) {
    raft.electionElapsed = 0;
    if (raft.options.checkQuorum) checkQuorum(raft);
    // A transfer that took so long has failed: the leader serves again (thesis, 3.10).
    if (raft.transferee !== NO_ID) {
      raft.transferee = NO_ID;
      leaveJointIfDue(raft);
    }
  }
  if (raft.role !== "leader" || raft.heartbeatElapsed < raft.options.heartbeatTicks) return;
  raft.heartbeatElapsed = 0;
  broadcastHeartbeat(raft);
}

/** Without a quorum in the last election timeout, another may lead by now: step down (thesis, 6.2). */
function checkQuorum(raft: Raft): void {
  if (!raft.tracker.quorumActive(raft.id)) raft.becomeFollower(raft.term, NO_ID);
  for (const id of raft.tracker.members) {
    const progress = raft.tracker.progress(id);
    if (progress !== undefined && id !== raft.id) progress.recentActive = false;
  }
}

export function stepLeader(raft: Raft, message: Message): StepResult {
  switch (message.type) {
    case "propose":
      return propose(raft, message.proposals);
    case "read-index":
      return readIndex(raft, message);
    case "append-response":
      return withProgress(raft, message.from, (progress) => handleAppendResponse(raft, progress, message));
    case "heartbeat-response":
      return withProgress(raft, message.from, (progress) => handleHeartbeatResponse(raft, progress, message));
    case "transfer-leader":
      return transferLeader(raft, message.transferee);
    default:
      return "ignored";
  }
}

function withProgress(raft: Raft, id: RaftId, handle: (progress: Progress) => void): StepResult {
  const progress = raft.tracker.progress(id);
  if (progress === undefined) return "unknown-peer";
  handle(progress);
  return "taken";
}

function propose(raft: Raft, proposals: readonly Proposal[]): StepResult {
  if (raft.tracker.progress(raft.id) === undefined) return "not-member";
  if (raft.transferee !== NO_ID) return "transferring";
  const taken: Proposal[] = [];
  let pendingConfIndex = raft.pendingConfIndex;
  for (const proposal of proposals) {
    const isChange = proposal.type === "conf-change";
    const second = isChange && pendingConfIndex !== raft.pendingConfIndex;
    const refused = isChange && raft.options.validateConfChanges &&
      (second || whyNotPropose(raft, proposal.change) !== undefined);
    // A refused change becomes an empty entry, so that whoever proposed it sees its place go by.
    taken.push(refused ? { type: "normal", data: new Uint8Array() } : proposal);
    if (isChange && !refused) pendingConfIndex = raft.log.lastIndex + taken.length;
  }
  if (!appendProposals(raft, taken)) return "full";
  raft.pendingConfIndex = pendingConfIndex;
  broadcastAppend(raft);
  return "taken";
}

function handleAppendResponse(raft: Raft, progress: Progress, message: AppendResponse): void {
  const { from } = message;
  progress.recentActive = true;
  if (message.reject) {
    // Where our term is above the follower's, its entry cannot be ours: the next probe skips that whole term.
    const hint = message.hintTerm > 0
      ? raft.log.lastNotAfter(Math.min(message.hint, raft.log.lastIndex), message.hintTerm).index
      : message.hint;
    if (!progress.maybeDecreaseTo(message.index, hint)) return;
    if (progress.state === "replicate") progress.becomeProbe();
    sendAppend(raft, from);
    return;
  }
  if (message.index > raft.log.lastIndex) return;
  // A caught-up follower in `probe` brings no new index, but its answer ends the probing.
  const news = progress.maybeUpdate(message.index) ||
    (progress.match === message.index && progress.state === "probe");
  if (!news) return;
  if (progress.state === "replicate") progress.inflights.freeTo(message.index);
  else if (progress.state === "probe") progress.becomeReplicate();
  // Whatever index its snapshot had, it can go on once our log continues it.
  else if (progress.match + 1 >= raft.log.firstIndex) progress.becomeReplicate();
  if (maybeCommit(raft)) {
    releaseReads(raft);
    broadcastAppend(raft);
  } else if (from !== raft.id && progress.canBumpCommit(raft.log.committed)) {
    sendAppend(raft, from);
  }
  if (from === raft.id) return;
  while (maybeSendAppend(raft, from, false));
  if (from === raft.transferee && progress.match === raft.log.lastIndex) sendTimeoutNow(raft, from);
}

function handleHeartbeatResponse(raft: Raft, progress: Progress, message: HeartbeatResponse): void {
  progress.recentActive = true;
  progress.paused = false;
  // An empty append to a full window or a probed follower finds out what became of the appends before it.
  if (progress.match < raft.log.lastIndex || progress.state === "probe") sendAppend(raft, message.from);
  raft.reads.acknowledge(message.from, message.round);
  releaseReads(raft);
}

/** Hands the leadership to a voter who has the whole log (thesis, 3.10). */
export function transferLeader(raft: Raft, transferee: RaftId): StepResult {
  const progress = raft.tracker.progress(transferee);
  if (progress === undefined) return "unknown-peer";
  if (raft.tracker.isLearner(transferee) || raft.transferee === transferee) return "ignored";
  raft.transferee = NO_ID;
  if (transferee === raft.id) return "ignored";
  // It has one election timeout from now.
  raft.electionElapsed = 0;
  raft.transferee = transferee;
  if (progress.match === raft.log.lastIndex) sendTimeoutNow(raft, transferee);
  else sendAppend(raft, transferee);
  return "taken";
}

function sendTimeoutNow(raft: Raft, to: RaftId): void {
  // The message may come late, even after the transfer was given up: the lease is gone for this term.
  raft.leaseGivenAway = true;
  raft.send({ type: "timeout-now", from: raft.id, to, term: raft.term });
}
