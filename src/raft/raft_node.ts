/**
 * One node's part in Raft: drives the core over the links, and brings the node into a cluster. What is decided
 * stands elsewhere: consensus in `core`, when a cluster forms in `formation.ts`, what a leader does about its
 * members in `steward.ts`, what entries do in `state`.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { FlotillaError, reasonOf } from "../lib/errors.ts";
import { Emitter } from "../lib/events.ts";
import type { Logger } from "../lib/logger.ts";
import type { Random } from "../lib/random.ts";
import type { Lane, Links, LinkService, Session } from "../link/contract.ts";
import { ClusterLife } from "./cluster_life.ts";
import type { RaftEvents, RaftView, ReplicatedMap, WaitOptions } from "./contract.ts";
import type { Message } from "./core/types.ts";
import { decodeFrame } from "./frames.ts";
import type { Expectation } from "./identity.ts";
import { LeaderDuties } from "./leader_duties.ts";
import type { RaftMember } from "./member.ts";
import { MemberRequests } from "./member_requests.ts";
import { RAFT_NODE_DEFAULTS, type RaftNodeOptions, type Ticks, ticksOf } from "./options.ts";
import type { RaftPart } from "./part.ts";
import { PeerTable } from "./peer_table.ts";
import { Post } from "./post.ts";
import { Proposer } from "./proposer.ts";
import { Pulse } from "./pulse.ts";
import { RAFT_PORT } from "./raft_port.ts";
import { Reads } from "./reads.ts";
import type { Records } from "./records.ts";
import { NodeReplicatedMap } from "./replicated_map.ts";
import { NO_KNOWLEDGE, type NodeKnowledge, Roster } from "./roster.ts";
import { patienceOf, scoreOf } from "./score.ts";
import { SharedWitness } from "./shared_witness.ts";
import type { Applied } from "./state/replicated_state.ts";
import type { RaftStorage } from "./storage.ts";
import { Watches } from "./watches.ts";

export interface RaftNodeContext {
  readonly links: Pick<Links, "nodeId" | "incarnation" | "register" | "peer">;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly options?: Partial<RaftNodeOptions>;
  /** Opened once, when the node starts. */
  readonly openStorage: () => RaftStorage | Promise<RaftStorage>;
  /** With whom this node is to form a cluster; asked again whenever that matters. */
  readonly expected: () => Expectation;
  /** Where two nodes have a witness that is a record; opened once, when the node starts. Default: nowhere. */
  readonly openRecords?: (() => Records) | undefined;
}

export class RaftNode implements LinkService, RaftPart {
  readonly nodeId: string;
  /** The replicated map. */
  readonly map: ReplicatedMap;
  readonly events: Emitter<RaftEvents>;
  readonly #context: RaftNodeContext;
  readonly #options: RaftNodeOptions;
  readonly #ticks: Ticks;
  readonly #peers: PeerTable;
  readonly #post: Post;
  readonly #life: ClusterLife;
  readonly #proposer: Proposer;
  readonly #reads: Reads;
  readonly #watches = new Watches();
  readonly #pulse: Pulse;
  readonly #roster: Roster;
  readonly #duties: LeaderDuties;
  readonly #requests: MemberRequests;
  #shared: SharedWitness | undefined;
  /** For the members' records and this node's score; replaced by the manager. */
  knowledge: NodeKnowledge = NO_KNOWLEDGE;
  #state: "new" | "running" | "stopped" = "new";
  /** The end of this turn, when there is work for it. */
  #turn: Timer | undefined;
  #lead = { raftId: 0, term: 0 };

  /** Registers with the links. Throws `invalid-option`. */
  constructor(context: RaftNodeContext) {
    const { links, clock, random, logger } = context;
    this.#context = context;
    this.nodeId = links.nodeId;
    this.#options = { ...RAFT_NODE_DEFAULTS, ...context.options };
    this.#ticks = ticksOf(this.#options);
    this.events = new Emitter(logger);
    this.#peers = new PeerTable(clock);
    this.#post = new Post(RAFT_PORT, this.#peers);
    const waits = { clock, timeoutMs: this.#options.proposalTimeoutMs, obstacle: () => this.#obstacle() };
    const schedule = (): void => this.#schedule();
    this.#proposer = new Proposer({
      ...waits,
      random,
      schedule,
      propose: (payloads) => this.#life.active?.propose(payloads),
    });
    this.#reads = new Reads({
      ...waits,
      random,
      schedule,
      readIndex: (context) => this.#life.active?.raw.readIndex(context),
      applied: () => this.#life.member?.applied ?? 0,
    });
    this.#life = this.#newLife();
    this.#pulse = this.#newPulse();
    this.#roster = new Roster({
      links,
      peers: this.#peers,
      knowledge: () => this.knowledge,
      identity: () => this.#life.identity(),
      member: () => this.#life.member,
      shared: () => this.#shared,
    });
    this.#duties = new LeaderDuties({
      clock,
      peers: this.#peers,
      voterReplaceAfterMs: this.#options.voterReplaceAfterMs,
      present: () => this.#roster.present(),
      score: () => this.#score(),
      welcome: (nodeId) => this.#life.welcome(nodeId),
      retire: (retirement) => this.#life.retire(retirement),
    });
    this.#requests = new MemberRequests({
      nodeId: this.nodeId,
      ...waits,
      peers: this.#peers,
      active: () => this.#life.active,
      running: () => this.#state === "running",
      nodeOf: (raftId) => this.#roster.nodeOf(raftId),
      schedule,
    });
    this.map = new NodeReplicatedMap({
      nodeId: this.nodeId,
      proposer: this.#proposer,
      reads: this.#reads,
      watches: this.#watches,
      state: () => this.#life.member?.state,
    });
    links.register(RAFT_PORT, this);
  }

  /** Opens the storage and begins; to be called before the links start. Rejects with what opening rejects with. */
  async start(): Promise<void> {
    if (this.#state !== "new") throw new FlotillaError("not-running", "start Raft: it starts once");
    this.#state = "running";
    const storage = await this.#context.openStorage();
    if (this.#stopped()) return storage.close();
    this.#life.open(storage);
    this.#shared = SharedWitness.open(this.#context, () => this.#life.active, () => this.#schedule());
    this.#pulse.start();
    this.#schedule();
  }

  /** Ends every wait with `not-running` and closes the storage. Idempotent. */
  stop(): void {
    if (this.#state === "stopped") return;
    this.#state = "stopped";
    this.#pulse.stop();
    this.#turn?.cancel();
    for (const part of [this.#proposer, this.#reads]) part.stop("this node has stopped");
    this.#watches.stop();
    this.#shared?.close();
    this.#life.close();
  }

  // --- How it stands ---

  get isLeader(): boolean {
    return this.#life.active?.leads === true;
  }

  get leaderId(): string | null {
    return this.#lead.raftId === 0 ? null : this.#roster.nodeOf(this.#lead.raftId) ?? null;
  }

  /** 0 while this node belongs to no cluster. */
  get term(): number {
    return this.#life.member?.raw.status().term ?? 0;
  }

  view(): RaftView {
    const { member } = this.#life;
    const reason = this.#obstacle() ?? null;
    const status = reason === null ? "on" : "off", { leaderId } = this;
    const { term = null, commit: commitIndex = null } = member?.raw.status() ?? {};
    return {
      role: member?.role ?? null,
      leaderId,
      term,
      commitIndex,
      status,
      reason,
      members: this.#roster.members(),
    };
  }

  // --- What can be asked of it ---

  /**
   * Hands the leadership to `nodeId`, else to the voter with the longest log that is there. Resolves when it leads.
   * Rejects `not-found` when there is no such voter, `no-leader`, `timeout`.
   */
  async transferLeadership(nodeId?: string, options: WaitOptions = {}): Promise<void> {
    await this.#requests.transferLeadership(nodeId, options);
  }

  /** Takes a node out of the members until it starts again. Rejects `not-found`, `timeout`. */
  async removeNode(nodeId: string, options: WaitOptions = {}): Promise<void> {
    await this.#requests.removeNode(nodeId, options);
  }

  /**
   * Before this node stops: hands the leadership over, and, if it keeps nothing on disk, leaves the members, since
   * it comes back as another one. The last voter stays. Gives up after some seconds; never rejects.
   */
  async leave(): Promise<void> {
    await this.#requests.leave();
  }

  // --- Of the links ---

  up(session: Session): void {
    this.#peers.up(session);
    this.#life.introduce(session);
    this.#schedule();
  }

  down(session: Session): void {
    this.#post.down(session, this.#life.member?.raw);
    this.#life.down(session.nodeId);
    this.#schedule();
  }

  /** Throws `malformed`. */
  frame(session: Session, _lane: Lane, payload: Uint8Array<ArrayBuffer>): void {
    const frame = decodeFrame(payload), raw = this.#life.member?.raw;
    if (this.#state !== "running") return;
    if (frame.kind === "message") this.#message(session, frame.clusterId, this.#post.open(frame.message));
    else if (frame.kind === "snapshot-taken") this.#post.snapshotTaken(session, frame.raftId, raw);
    else this.#life.frame(session, frame);
    this.#schedule();
  }

  /** Throws `malformed`. */
  datagram(session: Session, payload: Uint8Array<ArrayBuffer>): void {
    const { clusterId, message } = this.#post.openDatagram(payload);
    this.#message(session, clusterId, message);
  }

  #message(session: Session, clusterId: string, message: Message): void {
    if (this.#state !== "running") return;
    const { active } = this.#life, isItself = this.#peers.identity(session)?.raftId === message.from;
    // Nobody speaks for another member, even if it knows the secret.
    if (isItself && active?.state.clusterId === clusterId) active.step(message);
    this.#schedule();
    if (message.type !== "snapshot") return;
    // What comes behind it in this turn should find the new state.
    this.#work();
    // Until it hears that, the leader sends nothing else; if it was not taken in, it will send it again.
    this.#post.frame(session, { kind: "snapshot-taken", raftId: message.to, index: message.snapshot.index });
  }

  // --- Its turns ---

  /** All work of a turn is done together at its end. */
  #schedule(): void {
    if (this.#turn !== undefined || this.#state !== "running") return;
    this.#turn = this.#context.clock.timer(0, () => {
      this.#turn = undefined;
      this.#life.look();
      this.#proposer.flush();
      this.#reads.flush();
      this.#work();
    });
  }

  #work(): void {
    const { active } = this.#life;
    if (active === undefined) return;
    try {
      active.work();
    } catch (thrown) {
      // Nothing that rests on what could not be kept was sent.
      return this.#life.suspend(`its storage failed: ${reasonOf(thrown)}`);
    }
    this.#watches.wake();
    this.#noticeLeader(active);
  }

  #noticeLeader(active: RaftMember): void {
    const { softState: { lead }, term } = active.raw.status();
    const before = this.#lead;
    if (lead === before.raftId && (lead === 0 || term === before.term)) return;
    this.#lead = { raftId: lead, term };
    this.#duties.reset();
    if (lead !== 0) { for (const part of [this.#proposer, this.#reads]) part.leaderChanged(); }
    this.#context.logger.info("the leader changed", { leader: this.leaderId, term });
    this.events.emit("leaderchange", { leaderId: this.leaderId, term });
    this.#schedule();
  }

  #beat(): void {
    const { electionTimeoutMs } = this.#options;
    this.#life.beat();
    this.#proposer.retry(electionTimeoutMs);
    this.#reads.retry(electionTimeoutMs);
    const { active } = this.#life;
    if (active?.leads === true) this.#duties.attend(active);
    this.#schedule();
  }

  // --- Its parts ---

  #newLife(): ClusterLife {
    const { links, clock, random, logger, expected } = this.#context;
    return new ClusterLife({
      nodeId: this.nodeId,
      incarnation: links.incarnation,
      clock,
      random,
      logger,
      ticks: this.#ticks,
      peers: this.#peers,
      post: this.#post,
      expected,
      describe: (nodeId) => this.knowledge.describe(nodeId),
      score: () => this.#score(),
      member: {
        send: (message) => this.#send(message),
        applied: (applied) => this.#applied(applied),
        restored: () => this.#restored(),
        readable: (context, index) => this.#reads.readable(context, index),
        patience: () => patienceOf(this.#life.member?.keepers.length ?? 0, this.#score()),
      },
      left: (reason) => {
        this.#proposer.reset(reason);
        this.#reads.reset(reason);
        if (this.#lead.raftId !== 0) {
          this.#lead = { raftId: 0, term: 0 };
          this.events.emit("leaderchange", { leaderId: null, term: 0 });
        }
      },
      entered: () => this.#restored(),
      schedule: () => this.#schedule(),
    });
  }

  #newPulse(): Pulse {
    const { tickMs, electionTicks } = this.#ticks;
    return new Pulse({
      clock: this.#context.clock,
      tickMs,
      ticksMax: Math.max(1, electionTicks >> 1),
      tick: (count) => {
        const { active } = this.#life;
        if (active === undefined) return;
        for (let tick = 0; tick < count; tick++) active.raw.tick();
        this.#work();
      },
      beat: () => this.#beat(),
    });
  }

  #send(message: Message): void {
    const { member } = this.#life;
    if (member === undefined || this.#shared?.takes(member, message) === true) return;
    this.#post.message(member.state.clusterId, message, member.raw);
  }

  #applied(applied: Applied): void {
    this.#proposer.applied(applied);
    this.#reads.applied();
    if (applied.change === undefined) return;
    this.#watches.changed(applied.change);
    this.events.emit("statechange", applied.change);
  }

  #restored(): void {
    this.#watches.restored(this.#life.member?.state.revision ?? 0);
    this.#schedule();
    this.#reads.applied();
  }

  #score(): number {
    const { links } = this.#context, sessions = [...this.#peers.values()].map(({ session }) => session);
    const qualities = sessions.map(({ nodeId }) => links.peer(nodeId)?.quality ?? 0);
    return scoreOf({ qualities, latenessMs: this.#pulse.latenessMs, load: this.knowledge.load() });
  }

  /** Why there is no leader to turn to. */
  #obstacle(): string | undefined {
    if (this.#state !== "running") return "this node is not running";
    return this.#life.obstacle() ?? (this.#lead.raftId === 0 ? this.#roster.whyNoLeader() : undefined);
  }

  #stopped(): boolean {
    return this.#state === "stopped";
  }
}
