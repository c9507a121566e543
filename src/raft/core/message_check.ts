/** Which messages could have been sent by a correct member. Others are dropped before they change anything. */
import { configurationOf } from "./configuration.ts";
import type { ConfChange, Entry, Message, Proposal, RaftId, Snapshot } from "./types.ts";

/** No term or index is larger: sums of them stay safe integers, and no cluster ever gets there. */
export const POSITION_MAX: number = 2 ** 48;
/** A message so far ahead of the receiver's term is no message of this cluster. */
export const TERMS_AHEAD_MAX: number = 2 ** 32;
export const CONF_STEPS_MAX = 64;
export const PROPOSALS_PER_MESSAGE_MAX = 4_096;

const OPERATIONS: ReadonlySet<string> = new Set(["add-voter", "add-learner", "remove", "update"]);
const TRANSITIONS: ReadonlySet<string> = new Set(["auto", "implicit", "explicit"]);

/** Whether `message`, which arrived at `self` in `term`, is well formed in itself. */
export function isSound(message: Message, self: RaftId, term: number): boolean {
  if (message.to !== self || message.from === self || !isMember(message.from)) return false;
  const local = message.type === "propose" || message.type === "read-index";
  if (!isPosition(message.term) || (message.term === 0) !== local) return false;
  if (message.term > term + TERMS_AHEAD_MAX) return false;
  switch (message.type) {
    case "append":
      return isPosition(message.commit) && isTip(message.index, message.logTerm) &&
        areConsecutive(message.entries, message.index, message.logTerm, message.term);
    case "append-response":
      return isPosition(message.index) && isPosition(message.hint) && isPosition(message.hintTerm);
    case "heartbeat":
      return isPosition(message.commit) && isPosition(message.round);
    case "heartbeat-response":
      return isPosition(message.round);
    case "vote":
    case "pre-vote":
      return isTip(message.index, message.logTerm) && message.logTerm <= message.term;
    case "snapshot":
      return isSoundSnapshot(message.snapshot, message.term);
    case "propose":
      return areSoundProposals(message.proposals);
    case "transfer-leader":
      return isMember(message.transferee);
    case "read-index":
      return Number.isSafeInteger(message.context);
    case "read-index-response":
      return isPosition(message.index) && Number.isSafeInteger(message.context);
    case "vote-response":
    case "pre-vote-response":
      return isPosition(message.commit) && isPosition(message.commitTerm);
    case "timeout-now":
      return true;
  }
}

/** Answers whose sender must be a member, for the leader or candidate counts them. */
export function isResponse({ type }: Message): boolean {
  switch (type) {
    case "append-response":
    case "heartbeat-response":
    case "vote-response":
    case "pre-vote-response":
    case "read-index-response":
      return true;
    default:
      return false;
  }
}

export function areSoundProposals(proposals: readonly Proposal[]): boolean {
  return proposals.length > 0 && proposals.length <= PROPOSALS_PER_MESSAGE_MAX &&
    proposals.every((proposal) => proposal.type === "normal" || isSoundChange(proposal.change));
}

/** Whether it can be read as a change; whether it can be made is for the configuration to say. */
export function isSoundChange({ transition, steps }: ConfChange): boolean {
  return TRANSITIONS.has(transition) && steps.length <= CONF_STEPS_MAX &&
    steps.every(({ operation, id }) => OPERATIONS.has(operation) && (id === 0 || isMember(id)));
}

function isMember(id: number): boolean {
  return Number.isSafeInteger(id) && id > 0;
}

function isPosition(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= POSITION_MAX;
}

/** The end of a log: an index with its term, or 0 and 0 before the first entry. */
function isTip(index: number, term: number): boolean {
  return isPosition(index) && isPosition(term) && (index === 0) === (term === 0);
}

/** The next entries of a leader of `term`: without a gap, their terms never falling. */
function areConsecutive(entries: readonly Entry[], index: number, logTerm: number, term: number): boolean {
  let nextIndex = index + 1, lowest = Math.max(1, logTerm);
  if (logTerm > term) return false;
  for (const entry of entries) {
    if (entry.index !== nextIndex || !isPosition(entry.index)) return false;
    if (!isPosition(entry.term) || entry.term < lowest || entry.term > term) return false;
    if (entry.type === "conf-change" && !isSoundChange(entry.change)) return false;
    nextIndex++;
    lowest = entry.term;
  }
  return true;
}

function isSoundSnapshot({ index, term, confState }: Snapshot, leaderTerm: number): boolean {
  const { voters, votersOutgoing, learners, learnersNext } = confState;
  return index > 0 && isTip(index, term) && term <= leaderTerm && voters.length > 0 &&
    [...voters, ...votersOutgoing, ...learners, ...learnersNext].every(isMember) &&
    typeof configurationOf(confState) !== "string";
}
