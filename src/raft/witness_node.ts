/**
 * A node that is nothing but a witness (witness.ts): it votes, notes how far the leader's log goes, and keeps no state.
 * Stands on the links where `RaftNode` does, speaks the same frames, and coordinates nothing.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { FlotillaError, reasonOf, shown } from "../lib/errors.ts";
import { Emitter } from "../lib/events.ts";
import type { Logger } from "../lib/logger.ts";
import type { Random } from "../lib/random.ts";
import type { Lane, Links, LinkService, Session } from "../link/contract.ts";
import type { RaftEvents, RaftView, ReplicatedMap } from "./contract.ts";
import { type Message, NO_ID, type RaftId } from "./core/types.ts";
import { compareEnds, judgeNewcomer, type Scene } from "./formation.ts";
import { Former } from "./former.ts";
import { decodeFrame, type RaftFrame } from "./frames.ts";
import type { Expectation, Identity } from "./identity.ts";
import { readWelcome, whyRetired } from "./invitations.ts";
import type { RaftPart } from "./part.ts";
import { PeerTable } from "./peer_table.ts";
import { Post } from "./post.ts";
import { BEAT_MS } from "./pulse.ts";
import { RAFT_PORT } from "./raft_port.ts";
import { NO_KNOWLEDGE, type NodeKnowledge } from "./roster.ts";
import { answerAll, type WitnessRecord } from "./witness.ts";
import type { WitnessStore } from "./witness_store.ts";

/** Messages of one turn; more are lost, which Raft bears. */
const MESSAGES_MAX = 1_024;
/** Beats between two looks at the scene. */
const LOOK_BEATS = 5;
/** For so many ms everybody must belong to no cluster before this node leaves its own. */
const DESERTED_MS = 3_000;
/** A witness sends nothing whose loss anybody must hear of. */
const NO_REPORTS = { reportUnreachable() {}, reportSnapshot() {} };

export interface WitnessNodeContext {
  readonly links: Pick<Links, "nodeId" | "incarnation" | "register">;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Opened once, when the node starts. */
  readonly openStore: () => WitnessStore | Promise<WitnessStore>;
  /** With whom this node is to form a cluster. */
  readonly expected: () => Expectation;
}

export class WitnessNode implements LinkService, RaftPart {
  readonly nodeId: string;
  readonly events: Emitter<RaftEvents>;
  readonly isLeader = false;
  knowledge: NodeKnowledge = NO_KNOWLEDGE;
  readonly #context: WitnessNodeContext;
  readonly #peers: PeerTable;
  readonly #post: Post;
  readonly #former: Former;
  #store: WitnessStore | undefined;
  #lineage: readonly string[] = [];
  #state: "new" | "running" | "stopped" = "new";
  #beat: Timer | undefined;
  #beats = 0;
  #turn: Timer | undefined;
  #inbox: { readonly session: Session; readonly message: Message }[] = [];
  #lead: { readonly raftId: RaftId; readonly term: number } = { raftId: NO_ID, term: 0 };
  #reason: string | undefined = "Raft has not started";
  #removed = false;
  /** In this run it had a leader: it was a member then. */
  #served = false;
  #desertedSince: number | undefined;
  /** Why it takes no part any more. */
  #suspended: string | undefined;
  /** What the peers were told last. */
  #told = "";

  /** Registers with the links. */
  constructor(context: WitnessNodeContext) {
    const { links, clock, random, logger } = context;
    this.#context = context;
    this.nodeId = links.nodeId;
    this.events = new Emitter(logger);
    this.#peers = new PeerTable(clock);
    this.#post = new Post(RAFT_PORT, this.#peers);
    this.#former = new Former({
      nodeId: this.nodeId,
      random,
      logger,
      scene: () => this.#scene(),
      send: (to, frame) => {
        const session = this.#peers.get(to)?.session;
        if (session !== undefined) this.#post.frame(session, frame);
      },
      // Whoever coordinates keeps the state: `judgeNewcomer` never chooses a witness.
      form: () => false,
    });
    links.register(RAFT_PORT, this);
  }

  /** Opens the store and begins; to be called before the links start. Rejects with what opening rejects with. */
  async start(): Promise<void> {
    if (this.#state !== "new") throw new FlotillaError("not-running", "start Raft: it starts once");
    this.#state = "running";
    const store = await this.#context.openStore();
    // It may have been stopped meanwhile.
    if (this.#isStopped()) return store.close();
    this.#store = store;
    this.#told = JSON.stringify(this.#identity());
    this.#pulse();
  }

  stop(): void {
    if (this.#state === "stopped") return;
    this.#state = "stopped";
    this.#beat?.cancel();
    this.#turn?.cancel();
    this.#store?.close();
  }

  async leave(): Promise<void> {}

  // --- How it stands ---

  get map(): ReplicatedMap {
    throw this.#unsupported("state");
  }

  get leaderId(): string | null {
    return this.#peers.byRaftId(this.#lead.raftId)?.session.nodeId ?? null;
  }

  get term(): number {
    return this.#store?.record?.term ?? 0;
  }

  view(): RaftView {
    const record = this.#store?.record;
    const { leaderId } = this;
    const reason = this.#obstacle() ?? (leaderId === null ? "no leader has been heard" : null);
    const status = reason === null ? "on" : "off";
    const role = record === undefined ? null : "witness";
    // Who the others are is in the state, which it does not keep.
    return { role, leaderId, term: record?.term ?? null, commitIndex: null, status, reason, members: [] };
  }

  async transferLeadership(): Promise<void> {
    throw this.#unsupported("transferLeadership");
  }

  async removeNode(): Promise<void> {
    throw this.#unsupported("removeNode");
  }

  // --- Of the links ---

  up(session: Session): void {
    this.#peers.up(session);
    if (this.#store !== undefined) {
      this.#post.frame(session, { kind: "identity", identity: this.#identity() });
    }
  }

  down(session: Session): void {
    this.#post.down(session, undefined);
    this.#former.down(session.nodeId);
    if (this.leaderId === null) this.#led(NO_ID);
    this.#look();
  }

  /** Throws `malformed`. */
  frame(session: Session, _lane: Lane, payload: Uint8Array<ArrayBuffer>): void {
    const frame = decodeFrame(payload);
    if (this.#state !== "running" || this.#suspended !== undefined) return;
    if (frame.kind === "message") this.#take(session, frame.clusterId, this.#post.open(frame.message));
    else this.#heard(session, frame);
  }

  /** Throws `malformed`. */
  datagram(session: Session, payload: Uint8Array<ArrayBuffer>): void {
    const { clusterId, message } = this.#post.openDatagram(payload);
    this.#take(session, clusterId, message);
  }

  #heard(session: Session, frame: RaftFrame): void {
    const { nodeId } = session;
    switch (frame.kind) {
      case "identity":
        this.#peers.identified(session, frame.identity);
        break;
      case "propose":
        this.#former.asked(nodeId, frame.plan);
        break;
      case "withdraw":
        this.#former.withdrawn(nodeId, frame.clusterId);
        break;
      case "welcome":
        this.#welcomed(nodeId, frame);
        break;
      case "retire":
        this.#retired(nodeId, frame);
        break;
    }
    this.#look();
  }

  // --- Its record ---

  #take(session: Session, clusterId: string, message: Message): void {
    if (this.#state !== "running" || this.#suspended !== undefined) return;
    if (this.#store?.record?.clusterId !== clusterId || this.#inbox.length >= MESSAGES_MAX) return;
    // Nobody speaks for another member, even if it knows the secret.
    if (this.#peers.identity(session)?.raftId !== message.from) return;
    this.#inbox.push({ session, message });
    this.#turn ??= this.#context.clock.timer(0, () => {
      this.#turn = undefined;
      this.#answer();
    });
  }

  /** All messages of a turn are one step, and one write. */
  #answer(): void {
    const inbox = this.#inbox;
    this.#inbox = [];
    const before = this.#store?.record;
    if (before === undefined || this.#suspended !== undefined) return;
    const { record, replies } = answerAll(before, inbox.map(({ message }) => message));
    if (record !== before && !this.#keep(() => this.#store?.save(record))) return;
    for (const reply of replies) this.#post.message(record.clusterId, reply, NO_REPORTS);
    for (const { session, message } of inbox) {
      if (message.type === "snapshot") {
        const { raftId } = record;
        this.#post.frame(session, { kind: "snapshot-taken", raftId, index: message.snapshot.index });
      }
      this.#notice(record, message);
    }
  }

  #notice(record: WitnessRecord, { type, from, term }: Message): void {
    const isLeader = type === "append" || type === "heartbeat" || type === "snapshot";
    if (isLeader && term === record.term) this.#led(from);
    else if (this.#lead.term < record.term) this.#led(NO_ID);
  }

  #led(raftId: RaftId): void {
    const { term } = this;
    if (raftId === this.#lead.raftId && (raftId === NO_ID || term === this.#lead.term)) return;
    this.#lead = { raftId, term };
    if (raftId !== NO_ID) this.#served = true;
    this.events.emit("leaderchange", { leaderId: this.leaderId, term });
  }

  /** False: the medium failed, and nothing that rests on it may be said. */
  #keep(change: () => void): boolean {
    try {
      change();
      return true;
    } catch (thrown) {
      this.#suspended = `its storage failed: ${reasonOf(thrown)}`;
      this.#context.logger.error("this node takes no part in Raft any more", { reason: this.#suspended });
      this.#led(NO_ID);
      return false;
    }
  }

  // --- Its way into a cluster ---

  #pulse(): void {
    this.#beat = this.#context.clock.timer(BEAT_MS, () => {
      this.#pulse();
      if (this.#beats++ % LOOK_BEATS === 0) this.#look();
    });
  }

  #look(): void {
    const store = this.#store;
    if (store === undefined || this.#suspended !== undefined || this.#removed) return;
    if (store.record === undefined) {
      const verdict = judgeNewcomer(this.#scene());
      if (verdict.kind === "wait") this.#waits(verdict.reason, verdict.refused);
      else this.#waits("the members are agreeing to form the cluster", false);
    } else if (!this.#isDeserted()) this.#desertedSince = undefined;
    else {
      const now = this.#context.clock.now();
      this.#desertedSince ??= now;
      if (now - this.#desertedSince >= DESERTED_MS) {
        this.#startOver("no node has the state that it was a witness of");
      }
    }
    this.#tell();
  }

  #waits(reason: string, refused: boolean): void {
    if (reason === this.#reason) return;
    this.#reason = reason;
    this.#context.logger[refused ? "error" : "info"]("no Raft yet", { reason });
  }

  /** Everybody it is to form a cluster with is there and belongs to none: what they had is gone for good. */
  #isDeserted(): boolean {
    const expects = this.#context.expected();
    const peers = this.#peers.identities();
    const others = expects.kind === "count"
      ? peers.size + 1 >= expects.count ? [...peers.keys()] : []
      : expects.unresolved.length > 0
      ? []
      : expects.nodeIds.filter((nodeId) => nodeId !== this.nodeId);
    return others.length > 0 && others.every((nodeId) => peers.get(nodeId)?.clusterId === null) &&
      [...peers.values()].every(({ clusterId }) => clusterId === null);
  }

  /** Throws `malformed`. */
  #welcomed(nodeId: string, frame: RaftFrame & { kind: "welcome" }): void {
    const { clusterId, lineage } = frame;
    const store = this.#store, own = store?.record;
    if (store === undefined || !this.#former.mayJoin(clusterId) || own?.clusterId === clusterId) return;
    if (this.#removed && !this.#former.agreedTo(clusterId)) return;
    const { term, index } = readWelcome(frame, this.#identity());
    if (own !== undefined) {
      const end = { term: own.lastTerm, index: own.lastIndex };
      if (!lineage.includes(own.clusterId) || compareEnds(end, { term, index }) > 0) return;
    }
    this.#former.reset();
    if (!this.#keep(() => store.begin(clusterId, { term, index }))) return;
    this.#lineage = lineage;
    this.#removed = false;
    this.#reason = undefined;
    this.#context.logger.info("became a witness", { cluster: clusterId, by: nodeId });
  }

  #retired(nodeId: string, frame: RaftFrame & { kind: "retire" }): void {
    const { clusterId, lineage, raftId, again } = frame;
    if (raftId !== this.#store?.raftId) return;
    const own = this.#store.record?.clusterId;
    if (own === undefined) {
      if (again && this.#former.free) this.#startOver("the cluster has forgotten its raftId");
      return;
    }
    if (own !== clusterId && !lineage.includes(own)) return;
    // Of a cluster with a leader, only that one knows.
    if (own === clusterId && this.leaderId !== null && this.leaderId !== nodeId) return;
    this.#removed ||= this.#served && !again;
    this.#startOver(whyRetired(own, frame, this.#served));
  }

  /** Becomes a newcomer again. */
  #startOver(reason: string): void {
    this.#context.logger.warn("left the cluster", { reason });
    this.#former.reset();
    this.#reason = reason;
    this.#desertedSince = undefined;
    this.#lineage = [];
    this.#keep(() => this.#store?.reset());
    this.#led(NO_ID);
  }

  #identity(): Identity {
    const store = this.#store, record = store?.record;
    return {
      raftId: store?.raftId ?? 1,
      clusterId: record?.clusterId ?? null,
      lineage: this.#lineage,
      lastTerm: record?.lastTerm ?? 0,
      lastIndex: record?.lastIndex ?? 0,
      members: record === undefined ? 0 : 1,
      hasData: false,
      led: this.#lead.raftId !== NO_ID,
      out: this.#removed || this.#suspended !== undefined,
      witness: true,
      expects: this.#context.expected(),
      score: 0,
    };
  }

  #scene(): Scene {
    return { nodeId: this.nodeId, own: this.#identity(), peers: this.#peers.identities() };
  }

  /** Says who it is when that has changed; how far its record goes matters to nobody who does not lead. */
  #tell(): void {
    const identity = this.#identity();
    const told = JSON.stringify({ ...identity, lastTerm: 0, lastIndex: 0 });
    if (told === this.#told) return;
    this.#told = told;
    for (const { session } of this.#peers.values()) {
      this.#post.frame(session, { kind: "identity", identity });
    }
  }

  #obstacle(): string | undefined {
    if (this.#state !== "running") return "this node is not running";
    return this.#suspended ?? (this.#store?.record === undefined ? this.#reason : undefined);
  }

  #isStopped(): boolean {
    return this.#state === "stopped";
  }

  #unsupported(what: string): FlotillaError {
    return new FlotillaError("unsupported", `${what} of node ${shown(this.nodeId)}: it is a witness`);
  }
}
