/** What a node tells its peers of its part in Raft, and what it expects of them. */
import { asBoolean, asList, asText, asTuple, asWhole } from "../lib/shape.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { NODE_ID_BYTES_MAX } from "../lib/limits.ts";
import { POSITION_MAX } from "./core/message_check.ts";
import type { RaftId } from "./core/types.ts";
import { LINEAGE_MAX } from "./state/limits.ts";
import { CLUSTER_ID, RAFT_ID_MAX } from "./stored_member.ts";

/** Entries of a node list, and with them members of a formation. */
export const MEMBERS_MAX = 256;
const ENTRY_BYTES_MAX = 2_048;

/** With whom a node without a cluster is ready to form one. */
export type Expectation =
  /** With the nodes of its list: their ids with its own, ascending, and the entries whose node is not known yet. */
  | { readonly kind: "list"; readonly nodeIds: readonly string[]; readonly unresolved: readonly string[] }
  /** With whomever it finds, as soon as they are so many. */
  | { readonly kind: "count"; readonly count: number };

export interface Identity {
  readonly raftId: RaftId;
  /** 16 hexadecimal digits; null: it belongs to no cluster yet. */
  readonly clusterId: string | null;
  /** The clusters that its own was re-formed from, oldest first. */
  readonly lineage: readonly string[];
  /** The end of its log; 0 and 0 without one. */
  readonly lastTerm: number;
  readonly lastIndex: number;
  /** Members of its cluster; 0 without one. */
  readonly members: number;
  /** Somebody has written to the state it holds. */
  readonly hasData: boolean;
  /** It knows a leader of its cluster. */
  readonly led: boolean;
  /** It takes no part until it starts again: it was removed while it ran, or cannot go on. */
  readonly out: boolean;
  readonly witness: boolean;
  readonly expects: Expectation;
  /** How well it is placed to lead, 0–100. */
  readonly score: number;
}

/** The identity as plain values for CBOR. */
export function identityFields(identity: Identity): unknown[] {
  const { raftId, clusterId, lineage, lastTerm, lastIndex, members, hasData, led, out, witness } = identity;
  const { expects, score } = identity;
  const expected = expects.kind === "list" ? [expects.nodeIds, expects.unresolved] : expects.count;
  return [
    raftId,
    clusterId,
    lineage,
    lastTerm,
    lastIndex,
    members,
    hasData,
    led,
    out,
    witness,
    expected,
    score,
  ];
}

/** Throws `malformed`. */
export function asIdentity(value: unknown): Identity {
  const [
    raftId,
    clusterId,
    lineage,
    lastTerm,
    lastIndex,
    members,
    hasData,
    led,
    out,
    witness,
    expected,
    score,
  ] = asTuple(value, 12, "an identity");
  return {
    raftId: asRaftId(raftId),
    clusterId: clusterId === null ? null : asClusterId(clusterId),
    lineage: asList(lineage, "a lineage", LINEAGE_MAX).map(asClusterId),
    lastTerm: asPosition(lastTerm, "a term"),
    lastIndex: asPosition(lastIndex, "an index"),
    members: asWhole(members, 0, Number.MAX_SAFE_INTEGER, "a number of members"),
    hasData: asBoolean(hasData, "whether there is data"),
    led: asBoolean(led, "whether it has a leader"),
    out: asBoolean(out, "whether it takes no part"),
    witness: asBoolean(witness, "whether it is a witness"),
    expects: asExpectation(expected),
    score: asWhole(score, 0, 100, "a score"),
  };
}

export function asRaftId(value: unknown): RaftId {
  return asWhole(value, 1, RAFT_ID_MAX, "a raftId");
}

export function asClusterId(value: unknown): string {
  if (typeof value === "string" && CLUSTER_ID.test(value)) return value;
  throw new FlotillaError("malformed", `expected a cluster id of 16 hexadecimal digits, got ${shown(value)}`);
}

export function asPosition(value: unknown, what: string): number {
  return asWhole(value, 0, POSITION_MAX, what);
}

export function asNodeId(value: unknown): string {
  return asText(value, NODE_ID_BYTES_MAX, "a nodeId");
}

function asExpectation(value: unknown): Expectation {
  if (typeof value === "number") {
    return { kind: "count", count: asWhole(value, 1, MEMBERS_MAX, "a number of expected nodes") };
  }
  const [nodeIds, unresolved] = asTuple(value, 2, "expected nodes");
  return {
    kind: "list",
    nodeIds: asList(nodeIds, "expected nodes", MEMBERS_MAX).map(asNodeId),
    unresolved: asList(unresolved, "unknown entries", MEMBERS_MAX).map((entry) =>
      asText(entry, ENTRY_BYTES_MAX, "an entry")
    ),
  };
}
