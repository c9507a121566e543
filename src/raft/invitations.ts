/** What a member tells its peers of their membership: that they have one, with a state to begin from, or none any more. */
import type { Clock } from "../lib/clock.ts";
import { FlotillaError } from "../lib/errors.ts";
import type { Session } from "../link/contract.ts";
import { configurationOf, memberIds } from "./core/configuration.ts";
import type { Snapshot } from "./core/types.ts";
import type { RaftFrame } from "./frames.ts";
import type { Identity } from "./identity.ts";
import { placeOf, type RaftMember, stateFault } from "./member.ts";
import { decodeSnapshot, encodeSnapshot } from "./message_codec.ts";
import type { PeerTable } from "./peer_table.ts";
import type { Post } from "./post.ts";
import type { Retirement } from "./steward.ts";
import { snapshotFault } from "./stored_member.ts";

/** A peer that was welcomed is not welcomed again for so many ms: a welcome carries the whole state. */
const WELCOME_AGAIN_MS = 5_000;

export interface InvitationsContext {
  readonly clock: Clock;
  readonly peers: PeerTable;
  readonly post: Pick<Post, "frame">;
  /** This node's member while it takes part. */
  active(): RaftMember | undefined;
}

export class Invitations {
  readonly #context: InvitationsContext;
  /** What a peer was welcomed as, into which cluster and when, in this session. */
  readonly #welcomed = new WeakMap<Session, { readonly as: string; readonly at: number }>();

  constructor(context: InvitationsContext) {
    this.#context = context;
  }

  /** Tells a peer that it is a member. */
  welcome(nodeId: string): void {
    const { clock, peers, post } = this.#context;
    const member = this.#context.active(), peer = peers.get(nodeId);
    if (member === undefined || peer?.identity === undefined) return;
    const { clusterId, lineage } = member.state;
    const as = `${clusterId} ${peer.identity.raftId}`, now = clock.now();
    const last = this.#welcomed.get(peer.session);
    if (last?.as === as && now < last.at + WELCOME_AGAIN_MS) return;
    this.#welcomed.set(peer.session, { as, at: now });
    post.frame(peer.session, {
      kind: "welcome",
      clusterId,
      lineage,
      snapshot: encodeSnapshot(peer.identity.witness ? placeOf(member) : member.snapshot()),
    });
  }

  /** Tells a peer that the cluster goes on without its raftId. */
  retire({ nodeId, raftId, again }: Retirement): void {
    const { peers, post } = this.#context;
    const member = this.#context.active(), session = peers.get(nodeId)?.session;
    if (member === undefined || session === undefined) return;
    const { clusterId, lineage } = member.state;
    post.frame(session, { kind: "retire", clusterId, lineage, raftId, index: member.applied, again });
  }

  /** Without a leader, whose errand it is, every member tells its peers what it knows of them. */
  tell(): void {
    const member = this.#context.active();
    if (member === undefined || member.raw.status().softState.lead !== 0) return;
    const { clusterId, lineage } = member.state, members = new Set(member.members);
    for (const [nodeId, identity] of this.#context.peers.identities()) {
      const { raftId, clusterId: theirs } = identity;
      const isOurs = theirs === clusterId, wasOurs = theirs !== null && lineage.includes(theirs);
      if (members.has(raftId)) {
        if (theirs === null || wasOurs) this.welcome(nodeId);
      } else if (isOurs || wasOurs) this.retire({ nodeId, raftId, again: true });
    }
  }
}

/**
 * The snapshot of a welcome to `own`; a witness's has no state. Throws `malformed` for one from which nobody could
 * begin, or not this node.
 */
export function readWelcome(
  { clusterId, snapshot }: RaftFrame & { kind: "welcome" },
  own: Pick<Identity, "raftId" | "witness">,
): Snapshot {
  const decoded = decodeSnapshot(snapshot), { confState, data } = decoded;
  const configuration = configurationOf(confState);
  const isNamed = typeof configuration !== "string" && memberIds(configuration).includes(own.raftId);
  const fault = snapshotFault(decoded) ?? (isNamed ? undefined : `raftId ${own.raftId} is no member`) ??
    (own.witness ? undefined : stateFault(data, clusterId));
  if (fault !== undefined) throw new FlotillaError("malformed", fault);
  return decoded;
}

/** For the log: why a node of the cluster `own` that was told to retire leaves it. `served`: it was a member in this run. */
export function whyRetired(
  own: string,
  { clusterId, again }: RaftFrame & { kind: "retire" },
  served: boolean,
): string {
  if (again) {
    return own === clusterId
      ? "its place in the cluster was taken by a newer self"
      : "the cluster was formed anew without it";
  }
  return served
    ? "this node was removed from the cluster; it joins again when it is started again"
    : "it was removed from the cluster while it was away";
}
