/** What a core can be told at its start. Each default stands here once. */
import { FlotillaError } from "../../lib/errors.ts";
import type { Storage } from "./storage.ts";
import type { RaftId } from "./types.ts";

export interface RaftOptions {
  readonly id: RaftId;
  readonly storage: Storage;
  /**
   * The ticks until the next election if no leader is heard, drawn anew with every change of role or term
   * (paper, 5.2). The core has no randomness of its own. Results below `electionTicks` count as that.
   */
  readonly electionTimeoutTicks: () => number;
  /**
   * The last entry the state machine has after a restart; default: the one before the log's first. The stored
   * configuration must be that of this entry.
   */
  readonly applied?: number;
  /** A leader not heard for so long may be replaced; default 10. */
  readonly electionTicks?: number;
  /** Between heartbeats; default 1. */
  readonly heartbeatTicks?: number;
  /** Entries in one append; one entry may be larger. Default 64 KiB. */
  readonly messageBytesMax?: number;
  /** Committed entries handed out and not yet applied; default 1 MiB. */
  readonly applyingBytesMax?: number;
  /** Entries a leader takes beyond its commit index before proposals are `full`; default 16 MiB. */
  readonly uncommittedBytesMax?: number;
  /** Appends on their way to one follower; default 256. */
  readonly inflightMessagesMax?: number;
  /** The same in bytes; default 4 MiB. */
  readonly inflightBytesMax?: number;
  /** Reads waiting for their proof; more are `full`. Default 4,096. */
  readonly readsMax?: number;
  /** Ask whether an election could be won before raising the term (thesis, 9.6); default true. */
  readonly preVote?: boolean;
  /** A leader without a quorum steps down, and its followers refuse other candidates (thesis, 6.2, 6.4.1). */
  readonly checkQuorum?: boolean;
  /**
   * Answer reads without a round of heartbeats for so many ticks after one that a quorum answered began
   * (thesis, 6.4.1). 0, the default, always asks. Sound only while no clock runs `electionTicks / leaseTicks` times
   * as fast as another, and while a driver that stood still ticks for that time before it does anything else.
   */
  readonly leaseTicks?: number;
  /** A leader that leaves the voters stops leading (thesis, 4.2.2); default true. */
  readonly stepDownOnRemoval?: boolean;
  /**
   * Refuse configuration changes that cannot be made now; default true. Without it, on any member, nothing else keeps a
   * second change from being under way with the first, and so no two leaders from each other.
   */
  readonly validateConfChanges?: boolean;
}

export const RAFT_DEFAULTS = {
  electionTicks: 10,
  heartbeatTicks: 1,
  messageBytesMax: 65_536,
  applyingBytesMax: 1_048_576,
  uncommittedBytesMax: 16_777_216,
  inflightMessagesMax: 256,
  inflightBytesMax: 4_194_304,
  readsMax: 4_096,
  preVote: true,
  checkQuorum: true,
  leaseTicks: 0,
  stepDownOnRemoval: true,
  validateConfChanges: true,
} as const;

export type ResolvedRaftOptions = Required<Omit<RaftOptions, "applied">> & Pick<RaftOptions, "applied">;

/** Fills in defaults. Throws `invalid-option` for values that no core can run with. */
export function resolveRaftOptions(options: RaftOptions): ResolvedRaftOptions {
  const resolved: ResolvedRaftOptions = { ...RAFT_DEFAULTS, ...options };
  const { id, electionTicks, heartbeatTicks, leaseTicks, checkQuorum } = resolved;
  demand(Number.isSafeInteger(id) && id > 0, `id ${id}: must be a positive safe integer`);
  demand(heartbeatTicks >= 1, `heartbeatTicks ${heartbeatTicks}: must be at least 1`);
  demand(
    electionTicks > heartbeatTicks,
    `electionTicks ${electionTicks}: must be more than heartbeatTicks, which is ${heartbeatTicks}`,
  );
  demand(
    leaseTicks < electionTicks,
    `leaseTicks ${leaseTicks}: must be less than electionTicks, which is ${electionTicks}`,
  );
  demand(leaseTicks === 0 || checkQuorum, `leaseTicks ${leaseTicks}: leases need checkQuorum`);
  for (
    const name of [
      "messageBytesMax",
      "applyingBytesMax",
      "uncommittedBytesMax",
      "inflightMessagesMax",
      "inflightBytesMax",
      "readsMax",
    ] as const
  ) demand(resolved[name] > 0, `${name} ${resolved[name]}: must be more than 0`);
  return resolved;
}

function demand(holds: boolean, message: string): void {
  if (!holds) throw new FlotillaError("invalid-option", message);
}
