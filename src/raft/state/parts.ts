/** What the replicated state is made of. */
import type { KeyValues } from "./key_values.ts";
import type { Leases } from "./leases.ts";
import type { Members } from "./members.ts";
import type { Sessions } from "./sessions.ts";

export interface Parts {
  readonly clusterId: string;
  /** Ids of the clusters that this one was re-formed from, the oldest first, at most 16. */
  readonly lineage: readonly string[];
  readonly values: KeyValues;
  readonly leases: Leases;
  readonly sessions: Sessions;
  readonly members: Members;
}

/** What counts against `STATE_BYTES_MAX`. */
export function stateBytesOf({ values, leases }: Parts): number {
  return values.bytes + leases.bytes;
}
