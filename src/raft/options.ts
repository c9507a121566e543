/** What a node's part in Raft is told. Each default stands here once. */
import { FlotillaError } from "../lib/errors.ts";

export interface RaftNodeOptions {
  /** A follower that hears no leader for one to two times so many ms asks for an election. Default 500. */
  readonly electionTimeoutMs: number;
  /** A leader is heard every so many ms; at most a third of `electionTimeoutMs`. Default 100. */
  readonly heartbeatMs: number;
  /** Milliseconds from a proposal or a read to its last possible answer, where the call does not say. Default 5,000. */
  readonly proposalTimeoutMs: number;
  /** A voter that was down for so many ms is replaced by a learner that is up and has the log. Default 60,000. */
  readonly voterReplaceAfterMs: number;
  /** How many nodes must have found each other before the first leader; undefined: those of the list. */
  readonly bootstrapExpect: number | undefined;
}

export const RAFT_NODE_DEFAULTS: RaftNodeOptions = {
  electionTimeoutMs: 500,
  heartbeatMs: 100,
  proposalTimeoutMs: 5_000,
  voterReplaceAfterMs: 60_000,
  bootstrapExpect: undefined,
};

/** The most voters a cluster has; other members learn (thesis, 4.2.1). */
export const VOTERS_MAX = 5;

/** Timers are precise to some ms on every runtime; elections need some twenty steps to choose from. */
const TICK_MS_MIN = 5;
const TICKS_PER_ELECTION = 32;

/** How the options count in ticks of the core. */
export interface Ticks {
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
}

/** @throws FlotillaError `invalid-option` */
export function ticksOf(
  { electionTimeoutMs, heartbeatMs }: Pick<RaftNodeOptions, "electionTimeoutMs" | "heartbeatMs">,
): Ticks {
  if (heartbeatMs * 3 > electionTimeoutMs) {
    throw new FlotillaError(
      "invalid-option",
      `heartbeatMs ${heartbeatMs} must be at most a third of electionTimeoutMs ${electionTimeoutMs}`,
    );
  }
  const tickMs = Math.max(TICK_MS_MIN, Math.round(electionTimeoutMs / TICKS_PER_ELECTION));
  const electionTicks = Math.max(3, Math.round(electionTimeoutMs / tickMs));
  const heartbeatTicks = Math.max(1, Math.min(electionTicks - 1, Math.round(heartbeatMs / tickMs)));
  return { tickMs, electionTicks, heartbeatTicks };
}
