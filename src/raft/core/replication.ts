/** A leader's side of the log: what it appends, sends to whom, and commits (paper, 5.3 and 5.4.2). */
import type { Progress } from "./progress.ts";
import type { Raft } from "./raft.ts";
import { payloadBytesOf } from "./size.ts";
import type { Entry, Proposal, RaftId } from "./types.ts";

/**
 * Puts proposals at the end of the leader's log; false when too much is uncommitted already. A single proposal
 * is taken by an empty tail whatever its size, and an empty payload always.
 */
export function appendProposals(raft: Raft, proposals: readonly Proposal[]): boolean {
  const bytes = payloadBytesOf(proposals);
  const wouldBe = raft.uncommittedBytes + bytes;
  if (raft.uncommittedBytes > 0 && bytes > 0 && wouldBe > raft.options.uncommittedBytesMax) return false;
  raft.uncommittedBytes = wouldBe;
  const { term } = raft;
  let index = raft.log.lastIndex;
  raft.log.append(proposals.map((proposal): Entry => ({ ...proposal, term, index: ++index })));
  // The leader counts itself once its own entries are stable, as it counts everybody else (thesis, 10.2.1).
  raft.send({
    type: "append-response",
    from: raft.id,
    to: raft.id,
    term,
    index,
    reject: false,
    hint: 0,
    hintTerm: 0,
  });
  return true;
}

/** Commits what a quorum has; true when that is more than before. */
export function maybeCommit(raft: Raft): boolean {
  return raft.log.maybeCommit(raft.tracker.committedIndex(), raft.term);
}

/** Sends `to` what comes next in its log, or nothing but the commit index. */
export function sendAppend(raft: Raft, to: RaftId): void {
  maybeSendAppend(raft, to, true);
}

/** The same; an append without entries only if `sendIfEmpty`. True when something was sent. */
export function maybeSendAppend(raft: Raft, to: RaftId, sendIfEmpty: boolean): boolean {
  const progress = raft.tracker.progress(to);
  if (progress === undefined || progress.isPaused) return false;
  const index = progress.next - 1;
  const logTerm = raft.log.term(index);
  if (logTerm === undefined) return sendSnapshot(raft, to, progress);
  // With a full window an empty append still goes: if all before it were lost, its rejection tells.
  const mayCarry = progress.state !== "replicate" || !progress.inflights.full;
  const entries = mayCarry ? raft.log.entries(progress.next, raft.options.messageBytesMax) : [];
  if (entries === undefined) return sendSnapshot(raft, to, progress);
  if (entries.length === 0 && !sendIfEmpty) return false;
  const commit = raft.log.committed;
  raft.send({ type: "append", from: raft.id, to, term: raft.term, index, logTerm, entries, commit });
  progress.sentEntries(entries.length, payloadBytesOf(entries));
  progress.sentCommit(commit);
  return true;
}

export function broadcastAppend(raft: Raft): void {
  for (const id of raft.tracker.members) if (id !== raft.id) sendAppend(raft, id);
}

/** Begins a round: every member is to say that this node still leads (paper, 5.2; thesis, 6.4). */
export function broadcastHeartbeat(raft: Raft): void {
  const round = raft.reads.begin(raft.now);
  for (const id of raft.tracker.members) {
    const progress = raft.tracker.progress(id);
    if (id === raft.id || progress === undefined) continue;
    // Beyond `match` the follower's entries may be another leader's: they must not be committed there.
    const commit = Math.min(progress.match, raft.log.committed);
    raft.send({ type: "heartbeat", from: raft.id, to: id, term: raft.term, commit, round });
    progress.sentCommit(commit);
  }
}

/** What the follower needs is compacted: it gets the state itself (paper, section 7). */
function sendSnapshot(raft: Raft, to: RaftId, progress: Progress): boolean {
  if (!progress.recentActive) return false;
  const snapshot = raft.log.snapshot();
  if (snapshot === undefined) return false;
  progress.becomeSnapshot(snapshot.index);
  raft.send({ type: "snapshot", from: raft.id, to, term: raft.term, snapshot });
  return true;
}
