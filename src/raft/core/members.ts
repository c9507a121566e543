/** Configurations coming into force: by an applied entry or by a snapshot (thesis, chapter 4). */
import { changeConfiguration, type Changed } from "./conf_change.ts";
import { configurationOf, confStateOf } from "./configuration.ts";
import type { Raft } from "./raft.ts";
import { releaseReads } from "./read_index.ts";
import { appendProposals, broadcastAppend, maybeCommit, maybeSendAppend } from "./replication.ts";
import { type ConfChange, type ConfState, NO_ID, type Snapshot } from "./types.ts";

/** The change that leaves a joint configuration. */
export const LEAVE_JOINT: ConfChange = { transition: "auto", steps: [], context: new Uint8Array() };

/**
 * Puts a committed change in force. One that cannot be made changes nothing: every member sees it at the same
 * place in the log with the same configuration before it, so all agree that it is void.
 */
export function applyConfChange(raft: Raft, change: ConfChange): ConfState {
  const result = changeConfiguration(raft.tracker.configuration, change);
  if (!("refused" in result)) switchTo(raft, result);
  return confStateOf(raft.tracker.configuration);
}

/** Why a leader must not propose `change` now (a reason for people); undefined when it may. */
export function whyNotPropose(raft: Raft, change: ConfChange): string | undefined {
  if (raft.pendingConfIndex > raft.log.applied) return "another change is not in force yet";
  const result = changeConfiguration(raft.tracker.configuration, change);
  return "refused" in result ? result.refused : undefined;
}

/** The application has applied everything up to `index`; `bytes` of what it was given are done. */
export function appliedTo(raft: Raft, index: number, bytes: number): void {
  raft.log.appliedTo(index, bytes);
  leaveJointIfDue(raft);
}

/** A leader ends a joint configuration that is to end by itself, as soon as it is in force (thesis, 4.3). */
export function leaveJointIfDue(raft: Raft): void {
  const { configuration } = raft.tracker;
  const due = raft.role === "leader" && configuration.autoLeave && raft.log.applied >= raft.pendingConfIndex;
  // While the leadership is being handed over, the next leader does it.
  if (!due || raft.transferee !== NO_ID || raft.tracker.progress(raft.id) === undefined) return;
  raft.pendingConfIndex = raft.log.lastIndex + 1;
  appendProposals(raft, [{ type: "conf-change", change: LEAVE_JOINT }]);
  broadcastAppend(raft);
}

/**
 * Takes over the log and the members of a leader's snapshot; false when it brings nothing new. This member need
 * not be among them: the entry that adds it may be behind the snapshot.
 */
export function restore(raft: Raft, snapshot: Snapshot): boolean {
  // Changes among the entries being applied would come into force over the snapshot's: it has to come again.
  if (snapshot.index <= raft.log.committed || raft.log.isApplying) return false;
  const configuration = configurationOf(snapshot.confState);
  if (typeof configuration === "string") return false;
  if (raft.log.matches(snapshot.index, snapshot.term)) {
    // The log has it all and more: only the commit index is news.
    raft.log.commitTo(snapshot.index);
    return false;
  }
  raft.log.restore(snapshot);
  switchTo(raft, { configuration, fresh: new Set(raft.tracker.members) });
  return true;
}

function switchTo(raft: Raft, changed: Changed): void {
  raft.tracker.switchTo(changed, raft.log.lastIndex);
  if (raft.role !== "leader") {
    // A candidate that learns in the middle of its campaign that it is no voter must not win.
    if (raft.role !== "follower" && !raft.tracker.isVoter(raft.id)) raft.becomeFollower(raft.term, NO_ID);
    return;
  }
  if (!raft.tracker.isVoter(raft.id)) {
    // It led until here without counting itself (thesis, 4.2.2).
    if (raft.options.stepDownOnRemoval) raft.becomeFollower(raft.term, NO_ID);
    return;
  }
  if (maybeCommit(raft)) broadcastAppend(raft);
  else for (const id of raft.tracker.members) if (id !== raft.id) maybeSendAppend(raft, id, false);
  // Those whose answers reads have waited for may be members no more.
  releaseReads(raft);
  if (raft.transferee !== NO_ID && !raft.tracker.isVoter(raft.transferee)) raft.transferee = NO_ID;
}
