/**
 * What a leader does about the members. Pure: from what its log says and what it sees of its peers it decides the
 * next change; `RaftNode` proposes it. Who votes follows from the log alone; presence only gives reasons to change it.
 */
import type { Configuration } from "./core/configuration.ts";
import { isJoint, memberIds } from "./core/configuration.ts";
import type { ConfChange, ConfStep, RaftId } from "./core/types.ts";
import type { Identity } from "./identity.ts";
import { VOTERS_MAX } from "./options.ts";
import { SHARED_WITNESS } from "./shared_witness_id.ts";
import type { Command, MemberRecord } from "./state/commands.ts";

/** A learner whose log lacks no more than so many entries can vote. */
const CAUGHT_UP_ENTRIES = 256;
/** Data voters whose third vote may be a witness's. */
const WITNESSED_VOTERS = 2;

/** A node with a live session, or this node itself. */
export interface PresentNode {
  readonly identity: Identity;
  readonly incarnation: string;
  readonly publicUrl: string | null;
  readonly draining: boolean;
}

export interface Estate {
  readonly clusterId: string;
  readonly lineage: readonly string[];
  readonly configuration: Configuration;
  readonly records: ReadonlyMap<RaftId, MemberRecord>;
  /** A record that was there once is never taken in again. */
  isForgotten(raftId: RaftId): boolean;
  /** By nodeId, this node among them. */
  readonly present: ReadonlyMap<string, PresentNode>;
  readonly commit: number;
  /** The last entry known to be in a member's log. */
  match(raftId: RaftId): number;
  /** For how long a node that is not present has been away, ms. */
  awayMs(nodeId: string): number;
  readonly voterReplaceAfterMs: number;
}

export interface Retirement {
  readonly nodeId: string;
  readonly raftId: RaftId;
  /** It may come back under another raftId. */
  readonly again: boolean;
}

export interface Errands {
  /** Peers that are members and do not know it yet. */
  readonly welcome: readonly string[];
  /** Peers whose raftId the cluster goes on without. */
  readonly retire: readonly Retirement[];
  readonly commands: readonly Command[];
  readonly change: ConfChange | undefined;
}

export function errandsOf(estate: Estate): Errands {
  const members = new Set(memberIds(estate.configuration));
  const welcome: string[] = [], retire: Retirement[] = [];
  const newcomers: [string, PresentNode][] = [];
  for (const [nodeId, node] of estate.present) {
    const { clusterId, raftId, out } = node.identity;
    const isMember = members.has(raftId);
    if (clusterId === estate.clusterId) {
      if (!isMember && !out) {
        retire.push({ nodeId, raftId, again: memberAt(estate, members, nodeId) !== undefined });
      }
    } else if (clusterId !== null) {
      if (!estate.lineage.includes(clusterId)) continue;
      if (isMember) welcome.push(nodeId);
      else retire.push({ nodeId, raftId, again: true });
    } else if (isMember) welcome.push(nodeId);
    else if (out) continue;
    // It went away before it was a member, and its record with it.
    else if (estate.isForgotten(raftId)) retire.push({ nodeId, raftId, again: true });
    else newcomers.push([nodeId, node]);
  }
  return {
    welcome,
    retire,
    commands: recordsToWrite(estate, members, newcomers),
    change: isJoint(estate.configuration) ? undefined : nextChange(estate, members, newcomers),
  };
}

/** The member that stands for `nodeId`. */
function memberAt({ records }: Estate, members: ReadonlySet<RaftId>, nodeId: string): RaftId | undefined {
  for (const raftId of members) if (records.get(raftId)?.nodeId === nodeId) return raftId;
  return undefined;
}

function recordsToWrite(
  { records, present }: Estate,
  members: ReadonlySet<RaftId>,
  newcomers: readonly [string, PresentNode][],
): Command[] {
  const commands: Command[] = [];
  const wanted = new Set([...members, ...newcomers.map(([, { identity }]) => identity.raftId)]);
  const nodes = new Map<RaftId, PresentNode & { readonly nodeId: string }>();
  for (const [nodeId, node] of present) {
    const { raftId, out } = node.identity;
    // Where a disk was copied, the node that has the raftId already keeps it.
    const isTaken = nodes.get(raftId)?.nodeId === records.get(raftId)?.nodeId && nodes.has(raftId);
    if (!out && !isTaken) nodes.set(raftId, { nodeId, ...node });
  }
  for (const raftId of wanted) {
    const record = records.get(raftId), node = nodes.get(raftId);
    if (node !== undefined) {
      const { nodeId, incarnation, publicUrl, draining, identity: { witness } } = node;
      const status = draining ? "draining" : "up";
      const member: MemberRecord = { raftId, nodeId, publicUrl, incarnation, status, witness };
      if (record === undefined || !sameRecord(record, member)) commands.push({ kind: "set-member", member });
    } else if (record !== undefined && record.status !== "down") {
      commands.push({ kind: "set-member", member: { ...record, status: "down" } });
    }
  }
  for (const raftId of records.keys()) {
    if (!wanted.has(raftId)) commands.push({ kind: "forget-member", raftId });
  }
  return commands;
}

function nextChange(
  estate: Estate,
  members: ReadonlySet<RaftId>,
  newcomers: readonly [string, PresentNode][],
): ConfChange | undefined {
  const { configuration: { voters: { incoming: voters }, learners }, records } = estate;
  for (const [nodeId, { identity: { raftId } }] of newcomers) {
    // Only when everybody can tell from the log who that is.
    if (records.get(raftId)?.nodeId !== nodeId) continue;
    const former = memberAt(estate, members, nodeId);
    if (former === undefined) return changeOf({ operation: "add-learner", id: raftId });
    const operation = voters.has(former) ? "add-voter" : "add-learner";
    return changeOf({ operation: "remove", id: former }, { operation, id: raftId });
  }
  const isWitness = (id: RaftId): boolean => records.get(id)?.witness === true;
  const keepers = [...voters].filter((id) => !isWitness(id));
  const witness = [...voters].find(isWitness);
  const candidate = [...learners].sort((a, b) => a - b).find((id) => !isWitness(id) && isReady(estate, id));
  if (candidate !== undefined && keepers.length < VOTERS_MAX) {
    const dismissed: ConfStep[] = witness === undefined ? [] : [{ operation: "add-learner", id: witness }];
    return changeOf({ operation: "add-voter", id: candidate }, ...dismissed);
  }
  if (candidate !== undefined) {
    const dead = keepers.find((id) => {
      const nodeId = records.get(id)?.nodeId ?? "", node = estate.present.get(nodeId);
      return node?.identity.out ?? estate.awayMs(nodeId) > estate.voterReplaceAfterMs;
    });
    if (dead !== undefined) {
      return changeOf({ operation: "add-voter", id: candidate }, { operation: "add-learner", id: dead });
    }
  }
  if (witness !== undefined && keepers.length !== WITNESSED_VOTERS) {
    return changeOf({ operation: "add-learner", id: witness });
  }
  const waiting = [...learners].find((id) => isWitness(id) && isReady(estate, id));
  if (witness === undefined && waiting !== undefined && keepers.length === WITNESSED_VOTERS) {
    return changeOf({ operation: "add-voter", id: waiting });
  }
  // A record that nobody needs is made anew when somebody does.
  const idle = [...learners].find((id) => records.get(id)?.nodeId === SHARED_WITNESS);
  if (idle !== undefined && keepers.length !== WITNESSED_VOTERS) {
    return changeOf({ operation: "remove", id: idle });
  }
  return undefined;
}

/** A learner that could vote: it is there, to stay, and has the log. */
function isReady({ records, present, match, commit }: Estate, raftId: RaftId): boolean {
  const node = present.get(records.get(raftId)?.nodeId ?? "");
  if (node === undefined || node.identity.raftId !== raftId || node.identity.out) return false;
  // A witness counts as draining always, so that no client is sent to it.
  return (node.identity.witness || !node.draining) &&
    match(raftId) + CAUGHT_UP_ENTRIES >= commit;
}

export function changeOf(...steps: readonly ConfStep[]): ConfChange {
  return { transition: "auto", steps, context: new Uint8Array() };
}

function sameRecord(a: MemberRecord, b: MemberRecord): boolean {
  return a.nodeId === b.nodeId && a.publicUrl === b.publicUrl && a.incarnation === b.incarnation &&
    a.status === b.status && a.witness === b.witness;
}
