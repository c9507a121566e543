/** Clusters that have nothing to do with each other, and meet all the same: they never mix, and one gives way. Pure. */
import type { Identity } from "./identity.ts";

export interface Meeting {
  readonly peerId: string;
  readonly clusterId: string;
  /** - `stay`: the other one gives way. - `dissolve`: this node's gives way, and loses nothing. - `refuse`: it gives way. */
  readonly own: "stay" | "dissolve" | "refuse";
  /** Which lists differ, or what else can be the reason, for people. */
  readonly lists: string;
}

/** The peers that are in a cluster of their own, as a node that is in one sees them. */
export function* meetings(
  nodeId: string,
  own: Identity,
  peers: ReadonlyMap<string, Identity>,
): Generator<Meeting> {
  for (const [peerId, peer] of peers) {
    const { clusterId } = peer;
    if (clusterId === null || related(own, peer)) continue;
    const lists = differenceOf(listOf(nodeId, own), listOf(peerId, peer));
    const yielding = own.members === 1 && !own.hasData ? "dissolve" : "refuse";
    // What has no leader accepts nothing: the disk of a cluster long gone must not end one that serves.
    const stays = !peer.led || compareClusters(own, peer) > 0;
    yield { peerId, clusterId, own: stays ? "stay" : yielding, lists };
  }
}

/** The one with fewer members, or without data, or with the higher id gives way. Above 0: `own` stays. */
function compareClusters(own: Identity, other: Identity): number {
  if (own.members !== other.members) return own.members - other.members;
  if (own.hasData !== other.hasData) return own.hasData ? 1 : -1;
  return (own.clusterId ?? "") < (other.clusterId ?? "") ? 1 : -1;
}

function differenceOf(own: string, other: string): string {
  const [mine, theirs] = [own, other].map((list) => list.slice(list.indexOf(" ")));
  if (mine !== theirs) return `node lists differ: ${own}; ${other}`;
  return `their node lists are the same, so the disk of one of them is old: ${own}; ${other}`;
}

/**
 * The peer with this node's raftId, if this node is to give it up: nobody may vote as two. `holder` is the node to which
 * the raftId belongs, as the cluster has it.
 */
export function twinOf(
  nodeId: string,
  own: Identity,
  peers: ReadonlyMap<string, Identity>,
  holder: string | undefined,
): { readonly own: "dissolve" | "refuse"; readonly reason: string } | undefined {
  for (const [peerId, peer] of peers) {
    if (peer.raftId !== own.raftId) continue;
    const reason = `${peerId} has the same raftId: one of the two disks is a copy of the other`;
    if (own.clusterId === null) {
      if (peer.clusterId !== null || peerId < nodeId) return { own: "dissolve", reason };
    } else if (peer.clusterId === own.clusterId && holder === peerId) return { own: "refuse", reason };
  }
  return undefined;
}

/** Whether one of the two clusters was re-formed from the other, or they are the same. */
export function related(a: Identity, b: Identity): boolean {
  if (a.clusterId === null || b.clusterId === null) return false;
  return a.clusterId === b.clusterId || a.lineage.includes(b.clusterId) || b.lineage.includes(a.clusterId);
}

/** `a expects [a, b]`, for people. */
export function listOf(nodeId: string, { expects }: Identity): string {
  if (expects.kind === "count") return `${nodeId} expects any ${expects.count} nodes`;
  return `${nodeId} expects [${[...expects.nodeIds, ...expects.unresolved].join(", ")}]`;
}
