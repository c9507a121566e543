/**
 * A node's way into a cluster, and out of it: it begins as a newcomer, forms a cluster with others or is welcomed
 * into theirs, and is a member until it is retired. Says who it is to its peers, and why it waits.
 */
import type { Clock } from "../lib/clock.ts";
import { reasonOf } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { Random } from "../lib/random.ts";
import type { Session } from "../link/contract.ts";
import type { RaftId, Snapshot } from "./core/types.ts";
import {
  compareEnds,
  endOf,
  judgeMember,
  judgeNewcomer,
  type MemberScene,
  type Plan,
  type Scene,
} from "./formation.ts";
import { Former } from "./former.ts";
import { foundingSnapshot } from "./founding.ts";
import type { RaftFrame } from "./frames.ts";
import type { Expectation, Identity } from "./identity.ts";
import { Invitations, readWelcome, whyRetired } from "./invitations.ts";
import { type MemberHost, RaftMember } from "./member.ts";
import type { Ticks } from "./options.ts";
import type { PeerTable } from "./peer_table.ts";
import type { Post } from "./post.ts";
import type { MemberRecord } from "./state/commands.ts";
import type { Retirement } from "./steward.ts";
import type { RaftStorage } from "./storage.ts";
import { meetings, twinOf } from "./strangers.ts";

/** Beats between two looks at who has not agreed yet. */
const REMIND_BEATS = 5;

export interface ClusterLifeContext {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly ticks: Ticks;
  readonly peers: PeerTable;
  readonly post: Pick<Post, "frame">;
  readonly expected: () => Expectation;
  readonly describe: (nodeId: string) => { readonly publicUrl: string | null; readonly draining: boolean };
  readonly score: () => number;
  readonly member: MemberHost;
  /** This node's member is no more. */
  readonly left: (reason: string) => void;
  /** It has a member now. */
  readonly entered: () => void;
  readonly schedule: () => void;
}

export class ClusterLife {
  readonly #context: ClusterLifeContext;
  readonly #former: Former;
  readonly #invitations: Invitations;
  #storage: RaftStorage | undefined;
  #member: RaftMember | undefined;
  /** Why this node takes no part, until it starts again. */
  #suspended: string | undefined;
  #removed = false;
  /** In this run it had a leader: it was a member then. */
  #served = false;
  #reason = "Raft has not started";
  /** What the peers were told last. */
  #told = "";
  #beats = 0;
  /** Nodes in clusters that are none of ours, and what was said of it last. */
  readonly #met = new Map<string, string>();
  /** Something may have changed since the last look. */
  #unseen = true;

  constructor(context: ClusterLifeContext) {
    this.#context = context;
    const { nodeId, random, logger } = context;
    this.#former = new Former({
      nodeId,
      random,
      logger,
      scene: () => this.#scene(),
      send: (to, frame) => this.#send(to, frame),
      form: (plan) => this.#form(plan),
    });
    const { clock, peers, post } = context;
    this.#invitations = new Invitations({ clock, peers, post, active: () => this.active });
  }

  /** What this node keeps, whether or not it takes part now. */
  get member(): RaftMember | undefined {
    return this.#member;
  }

  /** The same while it takes part. */
  get active(): RaftMember | undefined {
    return this.#suspended === undefined && !this.#former.frozen ? this.#member : undefined;
  }

  /** Why this node has no part in a cluster; undefined when it has. */
  obstacle(): string | undefined {
    if (this.#suspended !== undefined) return this.#suspended;
    return this.#member === undefined || this.#former.frozen ? this.#reason : undefined;
  }

  open(storage: RaftStorage): void {
    this.#storage = storage;
    if (storage.clusterId !== undefined) this.#enter(storage);
    this.#told = JSON.stringify(this.identity());
  }

  close(): void {
    this.#storage?.close();
  }

  identity(): Identity {
    const { expected, score } = this.#context;
    const storage = this.#storage;
    const lastIndex = storage?.lastIndex() ?? 0;
    const state = this.#member?.state;
    return {
      raftId: storage?.raftId ?? 1,
      clusterId: storage?.clusterId ?? null,
      lineage: state?.lineage ?? [],
      lastTerm: storage?.term(lastIndex) ?? 0,
      lastIndex,
      members: this.#member === undefined ? 0 : this.#member.members.length,
      hasData: state?.hasUserData ?? false,
      led: this.active?.led ?? false,
      out: this.#removed || this.#suspended !== undefined,
      witness: false,
      expects: expected(),
      score: Math.round(score() / 5) * 5,
    };
  }

  /** A session begins: says who this node is. */
  introduce(session: Session): void {
    if (this.#storage !== undefined) {
      this.#context.post.frame(session, { kind: "identity", identity: this.identity() });
    }
  }

  down(nodeId: string): void {
    this.#unseen = true;
    this.#met.delete(nodeId);
    this.#former.down(nodeId);
  }

  frame(session: Session, frame: RaftFrame): void {
    const { nodeId } = session;
    this.#unseen = true;
    switch (frame.kind) {
      case "identity":
        this.#context.peers.identified(session, frame.identity);
        break;
      case "propose":
        if (this.#suspended === undefined) this.#former.asked(nodeId, frame.plan);
        break;
      case "agree":
        this.#former.agreed(nodeId, frame.clusterId);
        break;
      case "withdraw":
        this.#former.withdrawn(nodeId, frame.clusterId);
        break;
      case "welcome":
        this.#takeWelcome(nodeId, frame);
        break;
      case "retire":
        this.#retired(frame);
        break;
    }
  }

  /** Looks at the scene, if something may have changed in it, and acts on what it sees. */
  look(): void {
    if (!this.#unseen) return;
    this.#unseen = false;
    if (this.#storage === undefined || this.#suspended !== undefined || this.#removed) return;
    if (this.#meetTwin() || (this.#member !== undefined && this.#meetStrangers())) return;
    const scene = this.#scene();
    const verdict = "voters" in scene ? judgeMember(scene) : judgeNewcomer(scene);
    if (verdict.kind === "wait" && verdict.reason !== this.#reason) {
      this.#reason = verdict.reason;
      this.#context.logger[verdict.refused ? "error" : "info"]("no Raft yet", { reason: verdict.reason });
    }
    if (verdict.kind === "form") this.#reason = "the members are agreeing to form the cluster";
    this.#former.follow(verdict);
  }

  beat(): void {
    this.#unseen = true;
    if (this.#beats++ % REMIND_BEATS === 0) this.#former.remind();
    this.#invitations.tell();
    const identity = this.identity();
    if (identity.led) this.#served = true;
    // With a leader nobody needs to know how far each log goes.
    const told = JSON.stringify(identity.led ? { ...identity, lastIndex: 0, lastTerm: 0 } : identity);
    if (told === this.#told) return;
    this.#tell(told, identity);
  }

  /** Tells a peer that it is a member. */
  welcome(nodeId: string): void {
    this.#invitations.welcome(nodeId);
  }

  /** Tells a peer that the cluster goes on without its raftId. */
  retire(retirement: Retirement): void {
    this.#invitations.retire(retirement);
  }

  /** Takes no part any more until the node starts again. */
  suspend(reason: string): void {
    if (this.#suspended !== undefined) return;
    this.#suspended = reason;
    this.#former.reset();
    this.#context.logger.error("this node takes no part in Raft any more", { reason });
    this.#context.left(reason);
  }

  #takeWelcome(nodeId: string, frame: RaftFrame & { kind: "welcome" }): void {
    const storage = this.#storage;
    if (storage === undefined || !this.#former.mayJoin(frame.clusterId)) return;
    // To what it has agreed itself, it belongs.
    if (this.#removed && !this.#former.agreedTo(frame.clusterId)) return;
    if (storage.clusterId === frame.clusterId || this.#suspended !== undefined) return;
    let snapshot: Snapshot;
    try {
      snapshot = readWelcome(frame, { raftId: storage.raftId, witness: false });
    } catch (thrown) {
      this.#context.logger.warn("refused a welcome", { from: nodeId, reason: reasonOf(thrown) });
      return;
    }
    if (storage.clusterId !== undefined) {
      const ours = endOf(this.identity()), theirs = { term: snapshot.term, index: snapshot.index };
      if (!frame.lineage.includes(storage.clusterId) || compareEnds(ours, theirs) > 0) return;
    }
    this.#begin(frame.clusterId, snapshot);
    this.#context.logger.info("became a member", { cluster: frame.clusterId, by: nodeId });
  }

  #retired(frame: RaftFrame & { kind: "retire" }): void {
    const { clusterId, lineage, raftId, index, again } = frame;
    const storage = this.#storage;
    if (storage === undefined || raftId !== storage.raftId) return;
    const own = storage.clusterId, member = this.#member;
    if (own === undefined) {
      // It went away while it was about to be added.
      if (again && this.#former.free) this.#startOver("the cluster has forgotten its raftId");
      return;
    }
    if (own !== clusterId && !lineage.includes(own)) return;
    // Who says so may be a leader that is none any more: it does not know what this node knows.
    if (own === clusterId && member?.members.includes(raftId) === true && member.applied >= index) return;
    // Where it was removed before this run, it has been started again since.
    this.#removed ||= this.#served && !again;
    this.#startOver(whyRetired(own, frame, this.#served));
  }

  /** Becomes a newcomer, under a new raftId. What the storage held is kept aside. */
  #startOver(reason: string): void {
    this.#leave(reason);
    try {
      this.#storage?.reset();
    } catch (thrown) {
      return this.suspend(`its storage failed: ${reasonOf(thrown)}`);
    }
    this.#announce();
  }

  #leave(reason: string): void {
    this.#reason = reason;
    this.#member = undefined;
    this.#former.reset();
    this.#context.logger.warn("left the cluster", { reason });
    this.#context.left(reason);
  }

  /** Two nodes have one raftId, since a disk was copied: one gives it up. True: this one did. */
  #meetTwin(): boolean {
    const { nodeId, peers } = this.#context, own = this.identity();
    const holder = this.#member?.state.member(own.raftId)?.nodeId;
    const twin = twinOf(nodeId, own, peers.identities(), holder);
    if (twin === undefined) return false;
    if (twin.own === "dissolve") this.#startOver(twin.reason);
    else this.suspend(twin.reason);
    return true;
  }

  /** Two clusters that have nothing to do with each other met: one gives way. True: this one did. */
  #meetStrangers(): boolean {
    const { nodeId, peers, logger } = this.#context;
    for (const { peerId, clusterId, own, lists } of meetings(nodeId, this.identity(), peers.identities())) {
      if (own === "stay") {
        if (this.#met.get(peerId) !== clusterId) {
          logger.error("met a node of another cluster", { peer: peerId, reason: lists });
        }
        this.#met.set(peerId, clusterId);
        continue;
      }
      const reason = `refused: ${peerId} is in another cluster; ${lists}`;
      if (own === "dissolve") this.#startOver(reason);
      else this.suspend(reason);
      return true;
    }
    return false;
  }

  /** The coordinator's step: from here on the cluster exists. */
  #form(plan: Plan): boolean {
    const { clusterId, from, members } = plan;
    const { clock, logger } = this.#context;
    const records = members.map((member) => this.#record(member));
    const former = from === null ? undefined : this.#member;
    this.#begin(clusterId, foundingSnapshot(plan, records, clock.wallTime(), former));
    if (this.#storage?.clusterId !== clusterId) return false;
    logger.info("formed a cluster", {
      cluster: clusterId,
      from,
      members: records.map(({ nodeId }) => nodeId).join(", "),
    });
    for (const { nodeId } of members) if (nodeId !== this.#context.nodeId) this.welcome(nodeId);
    this.#member?.raw.campaign();
    return true;
  }

  #record({ nodeId, raftId, witness }: Plan["members"][number]): MemberRecord {
    const { describe, incarnation: own, peers } = this.#context;
    const { publicUrl, draining } = describe(nodeId);
    const incarnation = nodeId === this.#context.nodeId ? own : peers.get(nodeId)?.session.incarnation ?? "";
    return { raftId, nodeId, publicUrl, incarnation, status: draining ? "draining" : "up", witness };
  }

  #begin(clusterId: string, snapshot: Snapshot): void {
    const storage = this.#storage;
    if (storage === undefined) return;
    if (this.#member !== undefined) this.#context.left("the cluster was re-formed");
    this.#former.reset();
    try {
      storage.begin(clusterId, snapshot);
    } catch (thrown) {
      return this.suspend(`its storage failed: ${reasonOf(thrown)}`);
    }
    this.#removed = false;
    this.#enter(storage);
    this.#announce();
  }

  #enter(storage: RaftStorage): void {
    const { ticks, random, member } = this.#context;
    try {
      this.#member = new RaftMember(storage, ticks, random, member);
      this.#context.entered();
    } catch (thrown) {
      this.suspend(`its storage cannot be used: ${reasonOf(thrown)}`);
    }
  }

  #scene(): Scene | MemberScene {
    const { nodeId, peers } = this.#context;
    const scene = { nodeId, own: this.identity(), peers: peers.identities() };
    const member = this.#member;
    if (member === undefined) return scene;
    const { voters } = member.raw.status().configuration;
    return {
      ...scene,
      voters,
      members: new Set(member.members),
      nodeOf: (raftId: RaftId) => member.state.member(raftId)?.nodeId,
    };
  }

  #announce(): void {
    this.#unseen = true;
    const identity = this.identity();
    this.#tell(JSON.stringify(identity), identity);
    this.#context.schedule();
  }

  #tell(told: string, identity: Identity): void {
    this.#told = told;
    for (const { session } of this.#context.peers.values()) {
      this.#context.post.frame(session, { kind: "identity", identity });
    }
  }

  #send(nodeId: string, frame: RaftFrame): void {
    const session = this.#context.peers.get(nodeId)?.session;
    if (session !== undefined) this.#context.post.frame(session, frame);
  }
}
