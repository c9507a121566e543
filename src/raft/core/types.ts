/**
 * The words of the Raft core. This room is pure: no clock, randomness, I/O or `await`; it takes ticks and
 * messages and returns what to persist, send and apply. It may import `src/lib` and nothing else.
 *
 * Sources cited in this room: "paper" is Ongaro and Ousterhout, "In Search of an Understandable Consensus
 * Algorithm (Extended Version)", 2014; "thesis" is Ongaro, "Consensus: Bridging Theory and Practice", 2014.
 */

/** Names one member for ever: a positive safe integer, drawn when its storage is made and never reused. */
export type RaftId = number;

/** Stands where there is no member: no vote cast, no leader known. */
export const NO_ID: RaftId = 0;

export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

/** What one operation of a configuration change does to a member. `update` changes nothing in the core. */
export type ConfOperation = "add-voter" | "add-learner" | "remove" | "update";

export interface ConfStep {
  readonly operation: ConfOperation;
  /** 0 makes the step an empty one. */
  readonly id: RaftId;
}

/**
 * One change of the members (thesis, 4.3). `auto` goes without a joint configuration when there is a single
 * step; `implicit` is always joint and left by the leader itself, `explicit` is left by an empty `auto`
 * change that the application proposes.
 */
export interface ConfChange {
  readonly transition: "auto" | "implicit" | "explicit";
  readonly steps: readonly ConfStep[];
  /** The application's own; the core only carries it. */
  readonly context: Uint8Array;
}

export type Entry =
  | { readonly type: "normal"; readonly term: number; readonly index: number; readonly data: Uint8Array }
  | {
    readonly type: "conf-change";
    readonly term: number;
    readonly index: number;
    readonly change: ConfChange;
  };

/** An entry before a leader gives it its place. */
export type Proposal =
  | { readonly type: "normal"; readonly data: Uint8Array }
  | { readonly type: "conf-change"; readonly change: ConfChange };

/** What must survive a restart besides the log (paper, figure 2). `commit` may lag behind. */
export interface HardState {
  readonly term: number;
  readonly vote: RaftId;
  readonly commit: number;
}

export interface SoftState {
  readonly lead: RaftId;
  readonly role: Role;
}

/** A configuration as snapshots carry it; every list ascends. `votersOutgoing` is empty unless joint. */
export interface ConfState {
  readonly voters: readonly RaftId[];
  readonly votersOutgoing: readonly RaftId[];
  readonly learners: readonly RaftId[];
  readonly learnersNext: readonly RaftId[];
  readonly autoLeave: boolean;
}

/** The state machine and the configuration after the entry `index` of `term` (paper, section 7). */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  readonly data: Uint8Array;
}

/** A read may be answered once the state machine has applied `index` (thesis, 6.4). */
export interface ReadState {
  readonly index: number;
  /** The number given to `readIndex`. */
  readonly context: number;
}

interface Envelope {
  readonly from: RaftId;
  readonly to: RaftId;
  /** The sender's term; of a pre-vote the term it would campaign at; 0 in `propose` and `read-index`. */
  readonly term: number;
}

export interface AppendMessage extends Envelope {
  readonly type: "append";
  /** The entry before `entries`. */
  readonly index: number;
  readonly logTerm: number;
  readonly entries: readonly Entry[];
  readonly commit: number;
}

export interface AppendResponse extends Envelope {
  readonly type: "append-response";
  /** Accepted: the last entry known to match. Rejected: `index` of the message that was. */
  readonly index: number;
  readonly reject: boolean;
  /** Rejected: the entry to try next, and its term (0 when unknown). */
  readonly hint: number;
  readonly hintTerm: number;
}

export interface HeartbeatMessage extends Envelope {
  readonly type: "heartbeat";
  readonly commit: number;
  /** Counts a leader's broadcasts; an answer carries it back, which confirms reads and leases. */
  readonly round: number;
}

export interface HeartbeatResponse extends Envelope {
  readonly type: "heartbeat-response";
  readonly round: number;
}

export interface VoteMessage extends Envelope {
  readonly type: "vote" | "pre-vote";
  /** The candidate's last entry. */
  readonly index: number;
  readonly logTerm: number;
  /** The leader asked for this election (thesis, 3.10), so that its lease does not forbid it. */
  readonly transfer: boolean;
}

export interface VoteResponse extends Envelope {
  readonly type: "vote-response" | "pre-vote-response";
  readonly reject: boolean;
  /** A refusal by a member that cannot lead itself: the last entry it knows to be committed; else 0 and 0. */
  readonly commit: number;
  readonly commitTerm: number;
}

export interface SnapshotMessage extends Envelope {
  readonly type: "snapshot";
  readonly snapshot: Snapshot;
}

export interface TimeoutNowMessage extends Envelope {
  readonly type: "timeout-now";
}

export interface TransferMessage extends Envelope {
  readonly type: "transfer-leader";
  readonly transferee: RaftId;
}

export interface ProposeMessage extends Envelope {
  readonly type: "propose";
  readonly proposals: readonly Proposal[];
}

export interface ReadIndexMessage extends Envelope {
  readonly type: "read-index";
  readonly context: number;
}

export interface ReadIndexResponse extends Envelope {
  readonly type: "read-index-response";
  readonly index: number;
  readonly context: number;
}

export type Message =
  | AppendMessage
  | AppendResponse
  | HeartbeatMessage
  | HeartbeatResponse
  | VoteMessage
  | VoteResponse
  | SnapshotMessage
  | TimeoutNowMessage
  | TransferMessage
  | ProposeMessage
  | ReadIndexMessage
  | ReadIndexResponse;

/**
 * What became of a call or a message. Only `taken` may have changed anything.
 * - `ignored`: stale, or not for this role; Raft expects such messages.
 * - `malformed`: its fields contradict each other, or a limit; no correct member sends it.
 * - `unknown-peer`: an answer of somebody who is not in the configuration.
 * - `no-leader`, `not-member`, `transferring`, `full`: a proposal or read that was dropped, and why.
 */
export type StepResult =
  | "taken"
  | "ignored"
  | "malformed"
  | "unknown-peer"
  | "no-leader"
  | "not-member"
  | "transferring"
  | "full";
