/** What the Raft parts of two nodes say to each other beside Raft's own messages. */
import type { Bytes } from "../lib/bytes.ts";
import { concatBytes } from "../lib/bytes.ts";
import { decodeCbor, encodeCbor } from "../lib/cbor.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { asBoolean, asBytes, asList, asTuple } from "../lib/shape.ts";
import type { RaftId } from "./core/types.ts";
import type { Plan, PlannedMember } from "./formation.ts";
import {
  asClusterId,
  asIdentity,
  asNodeId,
  asPosition,
  asRaftId,
  type Identity,
  identityFields,
  MEMBERS_MAX,
} from "./identity.ts";
import { LINEAGE_MAX } from "./state/limits.ts";

/**
 * - `identity`: absolute state, sent when a session begins and when it changes.
 * - `propose`, `agree`, `withdraw`: a formation; who agrees stands still until it exists or is withdrawn.
 * - `welcome`: `cluster` exists, the receiver is a member of it, and `snapshot` (encoded) is where it begins.
 * - `retire`: the cluster goes on without `raftId`, as of the entry `index`; `again`: the receiver may come back under
 *   a new one.
 * - `message`: one of Raft's own that does not fit a datagram.
 * - `snapshot-taken`: the Raft message with the snapshot of `index` came through to `raftId`, whatever became of it.
 */
export type RaftFrame =
  | { readonly kind: "identity"; readonly identity: Identity }
  | { readonly kind: "propose"; readonly plan: Plan }
  | { readonly kind: "agree"; readonly clusterId: string }
  | { readonly kind: "withdraw"; readonly clusterId: string }
  | {
    readonly kind: "welcome";
    readonly clusterId: string;
    readonly lineage: readonly string[];
    readonly snapshot: Bytes;
  }
  | {
    readonly kind: "retire";
    readonly clusterId: string;
    readonly lineage: readonly string[];
    readonly raftId: RaftId;
    readonly index: number;
    readonly again: boolean;
  }
  | { readonly kind: "message"; readonly clusterId: string; readonly message: Bytes }
  | { readonly kind: "snapshot-taken"; readonly raftId: RaftId; readonly index: number };

const KINDS: readonly RaftFrame["kind"][] = [
  "identity",
  "propose",
  "agree",
  "withdraw",
  "welcome",
  "retire",
  "message",
  "snapshot-taken",
];

export function encodeFrame(frame: RaftFrame): Bytes {
  return concatBytes(Uint8Array.of(KINDS.indexOf(frame.kind)), encodeCbor(fieldsOf(frame)));
}

function fieldsOf(frame: RaftFrame): unknown[] {
  switch (frame.kind) {
    case "identity":
      return identityFields(frame.identity);
    case "propose": {
      const { clusterId, from, base, members } = frame.plan;
      const rows = members.map(({ nodeId, raftId, witness, voter }) => [nodeId, raftId, witness, voter]);
      return [clusterId, from, base.term, base.index, rows];
    }
    case "agree":
    case "withdraw":
      return [frame.clusterId];
    case "welcome":
      return [frame.clusterId, frame.lineage, frame.snapshot];
    case "retire":
      return [frame.clusterId, frame.lineage, frame.raftId, frame.index, frame.again];
    case "message":
      return [frame.clusterId, frame.message];
    case "snapshot-taken":
      return [frame.raftId, frame.index];
  }
}

/** Throws `malformed`. */
export function decodeFrame(bytes: Uint8Array): RaftFrame {
  const kind = KINDS[bytes[0] ?? -1];
  if (kind === undefined) throw new FlotillaError("malformed", `a Raft frame of kind ${shown(bytes[0])}`);
  const fields = decodeCbor(bytes.subarray(1));
  switch (kind) {
    case "identity":
      return { kind, identity: asIdentity(fields) };
    case "propose":
      return { kind, plan: asPlan(fields) };
    case "agree":
    case "withdraw":
      return { kind, clusterId: asClusterId(asTuple(fields, 1, "a formation")[0]) };
    case "welcome": {
      const [clusterId, lineage, snapshot] = asTuple(fields, 3, "a welcome");
      return {
        kind,
        clusterId: asClusterId(clusterId),
        lineage: asLineage(lineage),
        snapshot: asBytes(snapshot, "a snapshot"),
      };
    }
    case "retire": {
      const [clusterId, lineage, raftId, index, again] = asTuple(fields, 5, "a retirement");
      return {
        kind,
        clusterId: asClusterId(clusterId),
        lineage: asLineage(lineage),
        raftId: asRaftId(raftId),
        index: asPosition(index, "an index"),
        again: asBoolean(again, "whether it may come back"),
      };
    }
    case "message": {
      const [clusterId, message] = asTuple(fields, 2, "a message");
      return { kind, clusterId: asClusterId(clusterId), message: asBytes(message, "a message") };
    }
    case "snapshot-taken": {
      const [raftId, index] = asTuple(fields, 2, "a snapshot's arrival");
      return { kind, raftId: asRaftId(raftId), index: asPosition(index, "an index") };
    }
  }
}

function asLineage(value: unknown): string[] {
  return asList(value, "a lineage", LINEAGE_MAX).map(asClusterId);
}

function asPlan(value: unknown): Plan {
  const [clusterId, from, term, index, rows] = asTuple(value, 5, "a formation");
  return {
    clusterId: asClusterId(clusterId),
    from: from === null ? null : asClusterId(from),
    base: { term: asPosition(term, "a term"), index: asPosition(index, "an index") },
    members: asList(rows, "members", MEMBERS_MAX).map(asMember),
  };
}

function asMember(value: unknown): PlannedMember {
  const [nodeId, raftId, witness, voter] = asTuple(value, 4, "a member");
  return {
    nodeId: asNodeId(nodeId),
    raftId: asRaftId(raftId),
    witness: asBoolean(witness, "whether it is a witness"),
    voter: asBoolean(voter, "whether it votes"),
  };
}
