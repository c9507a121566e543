/** Majorities of one voter set and of two at once (thesis, 4.3). */
import type { RaftId } from "./types.ts";

export type Voters = ReadonlySet<RaftId>;

/** `outgoing` is empty unless the configuration is joint. */
export interface JointVoters {
  readonly incoming: Voters;
  readonly outgoing: Voters;
}

export type VoteResult = "won" | "lost" | "pending";

/** The index a voter is known to have, undefined when it has told none. */
export type AckedIndex = (id: RaftId) => number | undefined;

/**
 * The highest index that a majority of `voters` has. Infinity for no voters at all, so that an empty half of
 * a joint configuration decides nothing.
 */
export function majorityIndex(voters: Voters, acked: AckedIndex): number {
  if (voters.size === 0) return Infinity;
  const indexes: number[] = [];
  for (const id of voters) indexes.push(acked(id) ?? 0);
  indexes.sort((a, b) => b - a);
  return indexes[voters.size >> 1] ?? 0;
}

/** The highest index that majorities of both halves have. */
export function jointIndex(voters: JointVoters, acked: AckedIndex): number {
  return Math.min(majorityIndex(voters.incoming, acked), majorityIndex(voters.outgoing, acked));
}

/** An election among no voters at all is won, for the reason above. */
export function majorityVote(voters: Voters, votes: ReadonlyMap<RaftId, boolean>): VoteResult {
  if (voters.size === 0) return "won";
  const needed = (voters.size >> 1) + 1;
  let granted = 0, missing = 0;
  for (const id of voters) {
    const vote = votes.get(id);
    if (vote === undefined) missing++;
    else if (vote) granted++;
  }
  if (granted >= needed) return "won";
  return granted + missing >= needed ? "pending" : "lost";
}

/** Won in both halves; lost as soon as one half is. */
export function jointVote(voters: JointVoters, votes: ReadonlyMap<RaftId, boolean>): VoteResult {
  const incoming = majorityVote(voters.incoming, votes);
  const outgoing = majorityVote(voters.outgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === "lost" || outgoing === "lost" ? "lost" : "pending";
}

/** Everybody with a vote in either half, ascending. */
export function voterIds(voters: JointVoters): RaftId[] {
  return [...new Set([...voters.incoming, ...voters.outgoing])].sort((a, b) => a - b);
}
