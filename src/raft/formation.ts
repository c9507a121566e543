/**
 * When nodes become a cluster, and when what is left of one becomes another. Pure: it looks at what this node and
 * its peers say of themselves and decides; `RaftNode` acts.
 *
 * A formation is unanimous. The coordinator names every member by its raftId, each of them agrees while it belongs
 * to no cluster (or, to re-form, to the one that cannot go on), and only then does the cluster exist, first at the
 * coordinator, in its storage. A raftId belongs to one cluster at a time and returns to none, and two formations
 * that name the same raftIds cannot both be agreed to by all: so two clusters never share a quorum of nodes.
 */
import { EMPTY_CONF_STATE } from "./core/configuration.ts";
import { jointVote, type JointVoters, voterIds } from "./core/quorum.ts";
import type { ConfState, RaftId } from "./core/types.ts";
import type { Identity } from "./identity.ts";
import { VOTERS_MAX } from "./options.ts";
import { listOf, related } from "./strangers.ts";

export interface PlannedMember {
  readonly nodeId: string;
  readonly raftId: RaftId;
  readonly witness: boolean;
  readonly voter: boolean;
}

/** A cluster that does not exist yet. */
export interface Plan {
  readonly clusterId: string;
  /** The cluster it is to be re-formed from; null for one that begins empty. */
  readonly from: string | null;
  /** The end of the coordinator's log, which becomes everybody's beginning. */
  readonly base: LogEnd;
  readonly members: readonly PlannedMember[];
}

export interface LogEnd {
  readonly term: number;
  readonly index: number;
}

/** What this node knows. */
export interface Scene {
  readonly nodeId: string;
  readonly own: Identity;
  /** Peers with a live session that have said who they are, by nodeId. */
  readonly peers: ReadonlyMap<string, Identity>;
}

/** A member's scene: with the members as its log has them. */
export interface MemberScene extends Scene {
  readonly voters: JointVoters;
  /** Everybody, with a vote or without. */
  readonly members: ReadonlySet<RaftId>;
  nodeOf(raftId: RaftId): string | undefined;
}

export type Verdict =
  /** Nothing to do but to wait; the reason is for people. `refused`: no waiting helps, somebody must act. */
  | { readonly kind: "wait"; readonly reason: string; readonly refused: boolean }
  /** This node coordinates: it proposes these members. */
  | { readonly kind: "form"; readonly members: readonly PlannedMember[] }
  /** The cluster can go on as it is. */
  | { readonly kind: "run" };

/** Of a node without a cluster. */
export function judgeNewcomer(scene: Scene): Verdict {
  const formed = [...scene.peers].filter(([, { clusterId }]) => clusterId !== null);
  const [first, second] = strangers(formed);
  if (first !== undefined && second !== undefined) {
    return refuses(
      `${first[0]} and ${second[0]} are in different clusters: their node lists differ: ` +
        `${listOf(...first)}; ${listOf(...second)}`,
    );
  }
  if (formed[0] !== undefined) return waits(`waiting to be added to the cluster of ${formed[0][0]}`);
  const { expects } = scene.own;
  return expects.kind === "list" ? judgeList(scene, expects) : judgeCount(scene, expects.count);
}

type Listed = Identity["expects"] & { readonly kind: "list" };

function judgeList(scene: Scene, expects: Listed): Verdict {
  const { nodeId, peers } = scene;
  for (const [peerId, peer] of peers) {
    if (!expects.nodeIds.includes(peerId) || sameExpectation(peer.expects, expects)) continue;
    const mine = listOf(nodeId, scene.own), theirs = listOf(peerId, peer);
    // Entries that nobody has answered for yet may turn out to be the same node: only lengths tell now.
    if (
      entryCount(peer.expects) !== entryCount(expects) || (isResolved(peer.expects) && isResolved(expects))
    ) {
      return refuses(`refused to form a cluster: node lists differ: ${mine}; ${theirs}`);
    }
  }
  const [unresolved] = expects.unresolved;
  if (unresolved !== undefined) return waits(`waiting for ${unresolved}`);
  const absent = expects.nodeIds.filter((id) => id !== nodeId && !peers.has(id));
  if (absent.length > 0) return waits(`waiting for ${absent.join(", ")}`);
  for (const [peerId, peer] of peers) {
    if (!expects.nodeIds.includes(peerId) || isResolved(peer.expects)) continue;
    return waits(`waiting for ${peerId}, which does not know all of its list yet`);
  }
  return begin(scene, expects.nodeIds);
}

function judgeCount(scene: Scene, count: number): Verdict {
  const found = [scene.nodeId, ...scene.peers.keys()];
  if (found.length < count) return waits(`found ${found.length} of ${count} nodes`);
  for (const [peerId, { expects }] of scene.peers) {
    if (expects.kind === "count" && expects.count === count) continue;
    return refuses(
      `refused to form a cluster: node lists differ: ${listOf(scene.nodeId, scene.own)}; ` +
        listOf(peerId, scene.peers.get(peerId) as Identity),
    );
  }
  return begin(scene, found);
}

function begin(scene: Scene, nodeIds: readonly string[]): Verdict {
  const members = plannedMembers(scene, nodeIds);
  const coordinator = members.find(({ witness }) => !witness);
  if (coordinator === undefined) return waits("a witness alone keeps no state: waiting for other nodes");
  if (coordinator.nodeId !== scene.nodeId) {
    return waits(`waiting for ${coordinator.nodeId} to form the cluster`);
  }
  return { kind: "form", members };
}

/** Of a member: whether its cluster can go on, or must be re-formed because a quorum of it is gone for good. */
export function judgeMember(scene: MemberScene): Verdict {
  const { nodeId, own, peers, voters } = scene;
  const named = voterIds(voters).map((raftId) => ({ raftId, nodeId: scene.nodeOf(raftId) }));
  const present = (id: string | undefined): Identity | undefined =>
    id === nodeId ? own : id === undefined ? undefined : peers.get(id);
  const everybody = new Map([...peers, [nodeId, own] as const]);
  const here = new Set([...everybody.values()].map(({ raftId }) => raftId));
  // A node that is there under another raftId has lost what the former one stood for: if it is in no cluster, or a
  // member under that one; else it may know more of the members than this node, and speak for both.
  const lost = named.filter(({ raftId, nodeId: id }) => {
    const identity = present(id);
    return identity !== undefined && !here.has(raftId) &&
      (identity.clusterId === null || scene.members.has(identity.raftId));
  });
  const possible = new Map(named.map(({ raftId }) => [raftId, !lost.some((one) => one.raftId === raftId)]));
  if (jointVote(voters, possible) === "won") return { kind: "run" };
  const nodeIds = [...new Set(named.map((one) => one.nodeId ?? `member ${one.raftId}`))];
  const absent = nodeIds.filter((id) => present(id) === undefined);
  const gone = `a quorum of the members is gone for good (${lost.map((one) => one.nodeId).join(", ")})`;
  if (absent.length > 0) {
    return waits(`${gone}; to re-form, all must be there: waiting for ${absent.join(", ")}`);
  }
  // Whoever is left has a say, with a vote or without: a learner may have what all voters have lost.
  const survivors = [...everybody].filter(([, { clusterId, out, witness }]) =>
    clusterId === own.clusterId && !out && !witness
  );
  let best = nodeId;
  for (const [id, identity] of survivors) {
    const order = compareEnds(endOf(identity), endOf(present(best) as Identity));
    if (order > 0 || (order === 0 && id < best)) best = id;
  }
  if (best !== nodeId) {
    return waits(`${gone}; waiting for ${best}, which has the longest log, to re-form the cluster`);
  }
  const everyone = new Set([...nodeIds, ...survivors.map(([id]) => id)]);
  return { kind: "form", members: plannedMembers(scene, [...everyone]) };
}

/** Why this node does not agree to `plan` (for the log); undefined when it does. */
export function objectionTo(
  plan: Plan,
  coordinatorId: string,
  scene: Scene | MemberScene,
): string | undefined {
  const { nodeId, own } = scene;
  if (!plan.members.some((member) => member.nodeId === nodeId && member.raftId === own.raftId)) {
    return "it names another raftId for this node";
  }
  const coordinator = scene.peers.get(coordinatorId);
  if (coordinator === undefined || !plan.members.some(({ raftId }) => raftId === coordinator.raftId)) {
    return "its coordinator is not a member of it";
  }
  for (const [peerId, peer] of scene.peers) {
    if (plan.from === null || peer.clusterId !== plan.from || peer.out || peer.witness) continue;
    if (compareEnds(endOf(peer), plan.base) > 0) {
      return `${peerId} has a longer log`;
    }
  }
  if (own.clusterId !== null) {
    if (plan.from !== own.clusterId) return "this node is in another cluster";
    if (!("voters" in scene) || judgeMember(scene).kind === "run") return "its cluster can go on";
    if (compareEnds(endOf(own), plan.base) > 0) return "this node has a longer log";
    return undefined;
  }
  if (plan.from !== null) return undefined;
  for (const [peerId, peer] of scene.peers) {
    if (peer.clusterId !== null) return `${peerId} is in a cluster already`;
  }
  const { expects } = own;
  const nodeIds = plan.members.map((member) => member.nodeId).sort();
  if (expects.kind === "count") {
    return nodeIds.length >= expects.count ? undefined : `it has fewer than ${expects.count} members`;
  }
  const same = expects.unresolved.length === 0 && sameList(nodeIds, expects.nodeIds);
  return same ? undefined : `node lists differ: ${listOf(nodeId, own)}`;
}

/** The configuration that `members` begin with. */
export function confStateOf(members: readonly PlannedMember[]): ConfState {
  const ids = (voter: boolean): RaftId[] =>
    members.filter((member) => member.voter === voter).map(({ raftId }) => raftId).sort((a, b) => a - b);
  return { ...EMPTY_CONF_STATE, voters: ids(true), learners: ids(false) };
}

/** Above 0 when `a` is the longer log (paper, 5.4.1). */
export function compareEnds(a: LogEnd, b: LogEnd): number {
  return a.term - b.term || a.index - b.index;
}

export function endOf({ lastTerm, lastIndex }: Identity): LogEnd {
  return { term: lastTerm, index: lastIndex };
}

/** Two nodes of clusters that have nothing to do with each other, if there are any. */
function strangers(formed: readonly [string, Identity][]): [string, Identity][] {
  const [first] = formed;
  const other = formed.find(([, identity]) => first !== undefined && !related(first[1], identity));
  return first === undefined || other === undefined ? [] : [first, other];
}

function plannedMembers({ nodeId, own, peers }: Scene, nodeIds: readonly string[]): PlannedMember[] {
  const members = [...nodeIds].sort().map((id) => {
    const { raftId, witness } = id === nodeId ? own : peers.get(id) as Identity;
    return { nodeId: id, raftId, witness };
  });
  const keepers = members.filter(({ witness }) => !witness);
  return members.map((member) => ({
    ...member,
    voter: member.witness ? keepers.length === 2 : keepers.indexOf(member) < VOTERS_MAX,
  }));
}

function isResolved(expects: Identity["expects"]): boolean {
  return expects.kind === "count" || expects.unresolved.length === 0;
}

function entryCount(expects: Identity["expects"]): number {
  return expects.kind === "count" ? -1 : expects.nodeIds.length + expects.unresolved.length;
}

function sameExpectation(a: Identity["expects"], b: Listed): boolean {
  return a.kind === "list" && a.unresolved.length === 0 && b.unresolved.length === 0 &&
    sameList(a.nodeIds, b.nodeIds);
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

function waits(reason: string): Verdict {
  return { kind: "wait", reason, refused: false };
}

function refuses(reason: string): Verdict {
  return { kind: "wait", reason, refused: true };
}
