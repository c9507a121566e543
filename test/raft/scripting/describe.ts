/** Prints what the core says in the words of etcd's interaction scripts. */
import type { Configuration } from "../../../src/raft/core/configuration.ts";
import type { Progress } from "../../../src/raft/core/progress.ts";
import type { Ready } from "../../../src/raft/core/ready.ts";
import type {
  ConfState,
  ConfStep,
  Entry,
  HardState,
  Message,
  Proposal,
  Role,
  Snapshot,
} from "../../../src/raft/core/types.ts";

/** Scripts tell old changes from new ones; the core has one kind, so the old kind is marked in its context. */
export const V1_CONTEXT: Uint8Array = new TextEncoder().encode("v1");

const ROLES: Record<Role, string> = {
  follower: "StateFollower",
  "pre-candidate": "StatePreCandidate",
  candidate: "StateCandidate",
  leader: "StateLeader",
};

/** The message types by their names in scripts. */
export const MESSAGE_NAMES: Record<Message["type"], string> = {
  append: "MsgApp",
  "append-response": "MsgAppResp",
  heartbeat: "MsgHeartbeat",
  "heartbeat-response": "MsgHeartbeatResp",
  vote: "MsgVote",
  "vote-response": "MsgVoteResp",
  "pre-vote": "MsgPreVote",
  "pre-vote-response": "MsgPreVoteResp",
  snapshot: "MsgSnap",
  "timeout-now": "MsgTimeoutNow",
  "transfer-leader": "MsgTransferLeader",
  propose: "MsgProp",
  "read-index": "MsgReadIndex",
  "read-index-response": "MsgReadIndexResp",
};

const OPERATIONS: Record<ConfStep["operation"], string> = {
  "add-voter": "v",
  "add-learner": "l",
  remove: "r",
  update: "u",
};

export function describeRole(role: Role): string {
  return ROLES[role];
}

/** `mustSync` is given because scripts do not count snapshots, which the core does. */
export function describeReady(ready: Ready, mustSync: boolean): string {
  const lines: string[] = [];
  const { softState, hardState, readStates, entries, snapshot, committedEntries, messages } = ready;
  if (softState !== undefined) lines.push(`Lead:${softState.lead} State:${ROLES[softState.role]}`);
  if (hardState !== undefined) lines.push(`HardState ${describeHardState(hardState)}`);
  if (readStates.length > 0) {
    lines.push(`ReadStates [${readStates.map(({ index, context }) => `{${index} ${context}}`).join(" ")}]`);
  }
  if (entries.length > 0) lines.push("Entries:", ...entries.map(describeEntry));
  if (snapshot !== undefined) lines.push(`Snapshot ${describeSnapshot(snapshot)}`);
  if (committedEntries.length > 0) lines.push("CommittedEntries:", ...committedEntries.map(describeEntry));
  if (messages.length > 0) lines.push("Messages:", ...messages.map(describeMessage));
  return lines.length === 0 ? "<empty Ready>" : `Ready MustSync=${mustSync}:\n${lines.join("\n")}\n`;
}

export function describeHardState({ term, vote, commit }: HardState): string {
  return `Term:${term}${vote === 0 ? "" : ` Vote:${vote}`} Commit:${commit}`;
}

export function describeEntry(entry: Entry): string {
  return `${entry.term}/${entry.index} ${describePayload(entry)}`;
}

function describePayload(entry: Entry | Proposal): string {
  if (entry.type === "normal") return `EntryNormal ${JSON.stringify(new TextDecoder().decode(entry.data))}`;
  const { steps, context } = entry.change;
  const type = new TextDecoder().decode(context) === "v1" ? "EntryConfChange" : "EntryConfChangeV2";
  return [type, ...steps.map(({ operation, id }) => `${OPERATIONS[operation]}${id}`)].join(" ");
}

export function describeSnapshot({ index, term, confState }: Snapshot): string {
  return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`;
}

function describeConfState(state: ConfState): string {
  const list = (ids: readonly number[]): string => `[${ids.join(" ")}]`;
  return `Voters:${list(state.voters)} VotersOutgoing:${list(state.votersOutgoing)} ` +
    `Learners:${list(state.learners)} LearnersNext:${list(state.learnersNext)} AutoLeave:${state.autoLeave}`;
}

export function describeMessage(message: Message): string {
  const from = message.type === "transfer-leader" ? message.transferee : message.from;
  const head = `${hex(from)}->${hex(message.to)} ${MESSAGE_NAMES[message.type]} Term:${message.term}`;
  switch (message.type) {
    case "append":
      return `${head} Log:${message.logTerm}/${message.index}${commitOf(message.commit)}` +
        describeEntries(message.entries.map(describeEntry));
    case "append-response":
      return `${head} Log:${message.hintTerm}/${message.index}` +
        (message.reject ? ` Rejected (Hint: ${message.hint})` : "");
    case "heartbeat":
      return `${head} Log:0/0${commitOf(message.commit)}`;
    case "vote":
    case "pre-vote":
      return `${head} Log:${message.logTerm}/${message.index}`;
    case "vote-response":
    case "pre-vote-response":
      return `${head} Log:0/0${message.reject ? " Rejected (Hint: 0)" : ""}`;
    case "snapshot":
      return `${head} Log:0/0\n  Snapshot: ${describeSnapshot(message.snapshot)}`;
    case "propose":
      return `${head} Log:0/0${
        describeEntries(message.proposals.map((each) => `0/0 ${describePayload(each)}`))
      }`;
    case "read-index":
      return `${head} Log:0/0${describeEntries([`0/0 EntryNormal "${message.context}"`])}`;
    case "read-index-response":
      return `${head} Log:0/${message.index}${describeEntries([`0/0 EntryNormal "${message.context}"`])}`;
    case "heartbeat-response":
    case "timeout-now":
    case "transfer-leader":
      return `${head} Log:0/0`;
  }
}

function describeEntries(lines: readonly string[]): string {
  if (lines.length === 0) return "";
  return lines.length === 1 ? ` Entries:[${lines[0]}]` : ` Entries:[\n  ${lines.join("\n  ")}\n]`;
}

function commitOf(commit: number): string {
  return commit === 0 ? "" : ` Commit:${commit}`;
}

function hex(id: number): string {
  return id === 0 ? "None" : id.toString(16);
}

export function describeProgress(progress: Readonly<Progress>, isLearner: boolean): string {
  const { state, match, next, isPaused, pendingSnapshot, recentActive, inflights } = progress;
  const name = `State${state[0]?.toUpperCase()}${state.slice(1)}`;
  return `${name} match=${match} next=${next}${isLearner ? " learner" : ""}${isPaused ? " paused" : ""}` +
    (pendingSnapshot > 0 ? ` pendingSnap=${pendingSnapshot}` : "") + (recentActive ? "" : " inactive") +
    (inflights.count > 0 ? ` inflight=${inflights.count}${inflights.full ? "[full]" : ""}` : "");
}

export function describeConfiguration({ voters, learners, learnersNext, autoLeave }: Configuration): string {
  const set = (ids: ReadonlySet<number>): string => `(${[...ids].sort((a, b) => a - b).join(" ")})`;
  return `voters=${set(voters.incoming)}${voters.outgoing.size > 0 ? `&&${set(voters.outgoing)}` : ""}` +
    (learners.size > 0 ? ` learners=${set(learners)}` : "") +
    (learnersNext.size > 0 ? ` learners_next=${set(learnersNext)}` : "") + (autoLeave ? " autoleave" : "");
}
