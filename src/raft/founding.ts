/** What a new cluster begins with, once all have agreed to it. */
import type { Snapshot } from "./core/types.ts";
import { confStateOf, type Plan } from "./formation.ts";
import type { RaftMember } from "./member.ts";
import type { MemberRecord } from "./state/commands.ts";
import { ReplicatedState } from "./state/replicated_state.ts";

/** Fencing tokens of a new cluster begin here: above all that one formed earlier can have given, 1,024 a ms. */
const TOKENS_PER_MS = 1_024;

/** Nothing, or all that `former`, the coordinator's member, has in its log: it must do nothing else afterwards. */
export function foundingSnapshot(
  { clusterId, members }: Plan,
  records: readonly MemberRecord[],
  wallMs: number,
  former: RaftMember | undefined,
): Snapshot {
  const formation = { clusterId, tokenFloor: Math.floor(wallMs) * TOKENS_PER_MS, members: records };
  const confState = confStateOf(members);
  if (former === undefined) {
    const data = ReplicatedState.begin({ ...formation, lineage: [] }).snapshot();
    return { index: 1, term: 1, confState, data };
  }
  const { state, term, index } = former.wholeState();
  return { index: index + 1, term: term + 1, confState, data: state.reform(formation).snapshot() };
}
