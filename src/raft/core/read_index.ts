/** Reads that a leader answers when it is proven that it leads: by a round of heartbeats or by a lease. */
import { jointVote } from "./quorum.ts";
import type { Raft } from "./raft.ts";
import type { WaitingRead } from "./reads.ts";
import { broadcastHeartbeat } from "./replication.ts";
import type { StepResult } from "./types.ts";

/** A linearizable read (thesis, 6.4): its index is the commit index now, once it is proven who leads. */
export function readIndex(raft: Raft, read: WaitingRead): StepResult {
  if (raft.reads.full) return "full";
  // Until an entry of its own term is committed a leader may not know how far its predecessors committed.
  if (raft.log.matches(raft.log.committed, raft.term)) openRead(raft, read);
  else raft.reads.addEarly(read);
  return "taken";
}

function openRead(raft: Raft, read: WaitingRead): void {
  if (hasLease(raft)) return answerRead(raft, read, raft.log.committed);
  const alone = jointVote(raft.tracker.configuration.voters, new Map([[raft.id, true]])) === "won";
  if (!alone) broadcastHeartbeat(raft);
  raft.reads.add(read, raft.log.committed);
  if (alone) releaseReads(raft);
}

/** A quorum answered so recently that it elects nobody else yet (thesis, 6.4.1); never after a transfer. */
function hasLease(raft: Raft): boolean {
  if (raft.options.leaseTicks === 0 || raft.leaseGivenAway) return false;
  const start = raft.reads.leaseStart(raft.tracker.configuration.voters);
  return start !== undefined && raft.now - start < raft.options.leaseTicks;
}

/** What an answer, a commit or a new configuration has made possible: reads waiting for it are answered. */
export function releaseReads(raft: Raft): void {
  if (raft.log.matches(raft.log.committed, raft.term)) {
    for (const read of raft.reads.takeEarly()) openRead(raft, read);
  }
  for (const read of raft.reads.takeConfirmed(raft.tracker.configuration.voters)) {
    answerRead(raft, read, read.index);
  }
}

function answerRead(raft: Raft, { from: to, context }: WaitingRead, index: number): void {
  if (to === raft.id) raft.readStates.push({ index, context });
  else raft.send({ type: "read-index-response", from: raft.id, to, term: raft.term, index, context });
}
