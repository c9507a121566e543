import type { Outboxes } from "../connection/outboxes.ts";
import type { ConnectionDetails, ConnectionProvider, ConnectionSink } from "../connection/sink.ts";
import type { LocalConnection } from "../directory/local.ts";
import { checkDetails } from "../directory/details.ts";
import type { Directory } from "../directory/directory.ts";
import { checkConnectionId } from "../directory/ids.ts";
import { every, type Timer } from "../lib/clock.ts";
import { CLOSE } from "../lib/close_codes.ts";
import { FlotillaError, reasonOf, shown } from "../lib/errors.ts";
import { TIMER_MS_MAX } from "../lib/limits.ts";
import { Emitter, type Unsubscribe } from "../lib/events.ts";
import type { ClusterLinks } from "../link/links.ts";
import type { ReplicatedMap, WaitOptions } from "../raft/contract.ts";
import type { RaftPart } from "../raft/part.ts";
import { RAFT_PORT } from "../raft/raft_port.ts";
import type { ClusterRouter } from "../router/router.ts";
import { ClusterStreams } from "../stream/streams.ts";
import type {
  Cluster,
  ClusterEvents,
  ClusterStats,
  ClusterView,
  ConnectionInfo,
  DrainReport,
  RejectionKind,
  ShutdownOptions,
} from "./contract.ts";
import type { Drain } from "./drain.ts";
import { drainOf } from "./leaving.ts";
import { ConnectionHealth } from "./health.ts";
import { NodeStatuses, STATUS_PORT } from "./node_status.ts";
import { type ResolvedOptions, streamOptionsOf } from "./options.ts";
import { Traffic } from "./traffic.ts";
import { NO_RAFT, Overview } from "./overview.ts";
import type { RankWeights } from "./rank_targets.ts";

/** Milliseconds for moving the clients, where `shutdown` is not told. */
const DRAIN_DEADLINE_MS_DEFAULT = 30_000;
/** Shared by all connections without any. */
const NO_TAGS: Readonly<Record<string, string>> = Object.freeze({});

/** The port of the manager itself: it sends nothing, and hears of sessions after all other services. */
const MANAGER_PORT = 4;

/** The parts, wired by `createCluster` or by hand; each is registered with the links before this. */
export interface ClusterParts {
  readonly links: ClusterLinks;
  readonly directory: Directory;
  readonly router: ClusterRouter;
  /** Default: made of the other parts. */
  readonly streams?: ClusterStreams;
  readonly outboxes: Outboxes;
  /** Undefined: this node takes no part in Raft. */
  readonly raft?: RaftPart | undefined;
  readonly options: ResolvedOptions;
}

/**
 * One node of the cluster, as its application sees it. `createCluster` makes one; `start` and `shutdown` it once each.
 * It ties the parts together; what each of them does stands in its own folder.
 */
export class ClusterManager extends Traffic implements Cluster, AsyncDisposable {
  readonly nodeId: string;
  readonly #parts: ClusterParts;
  readonly #streams: ClusterStreams;
  readonly #statuses: NodeStatuses;
  readonly #overview: Overview;
  readonly #connections: ConnectionHealth;
  readonly #events: Emitter<ClusterEvents>;
  readonly #rejected: Record<RejectionKind, number> = {
    "unauthorized": 0,
    "origin": 0,
    "bad-request": 0,
    "too-large": 0,
    "slow-consumer": 0,
    "replaced": 0,
    "flooding": 0,
    "vanished": 0,
    "handler-failed": 0,
  };
  /** Connections whose sink came from the provider. */
  readonly #provided = new Set<string>();
  #provider: ConnectionProvider | undefined;
  readonly #drain: Drain;
  #state: "new" | "running" | "leaving" | "stopped" = "new";
  #health: Timer | undefined;
  #repairs = 0;
  #stopping: Promise<DrainReport> | undefined;

  constructor(parts: ClusterParts) {
    const { links, options } = parts;
    const streams = parts.streams ?? streamsOf(parts);
    super(parts.router, streams);
    this.#parts = parts;
    this.#streams = streams;
    this.nodeId = links.nodeId;
    this.#events = new Emitter(options.logger);
    this.#statuses = new NodeStatuses(links);
    this.#overview = new Overview({ ...parts, statuses: this.#statuses });
    this.#connections = new ConnectionHealth({
      directory: parts.directory,
      outboxes: parts.outboxes,
      gone: (connectionId) => this.#gone(connectionId),
    });
    this.#drain = drainOf({
      ...parts,
      streams,
      statuses: this.#statuses,
      overview: this.#overview,
      progress: (progress) => this.#events.emit("drain", progress),
    });
    this.#statuses.own = { publicUrl: options.publicUrl ?? null, draining: options.witness === true };
    links.register(STATUS_PORT, this.#statuses);
    links.register(MANAGER_PORT, {
      up: ({ nodeId, incarnation }) => this.#events.emit("nodeup", { nodeId, incarnation }),
      down: ({ nodeId, incarnation }, reason) =>
        this.#events.emit("nodedown", { nodeId, incarnation, reason }),
    });
    // What nodes with Raft say to everybody does no harm here.
    if (parts.raft === undefined) links.register(RAFT_PORT, {});
    else parts.raft.knowledge = this.#overview;
    parts.raft?.events.on("leaderchange", (event) => this.#events.emit("leaderchange", event));
    parts.raft?.events.on("statechange", (event) => this.#events.emit("statechange", event));
    parts.directory.onLost((connection) => this.#lost(connection));
    links.onFatal = (error) => {
      this.#events.emit("fatal", error);
      this.shutdown({ force: true }).catch((thrown) =>
        options.logger.error("the shutdown failed", { reason: reasonOf(thrown) })
      );
    };
  }

  get running(): boolean {
    return this.#state === "running" || this.#state === "leaving";
  }

  /**
   * Starts the transport, links and timers. Rejects `not-running` the second time, and what the transport's start
   * rejects with; the node has stopped then.
   */
  async start(): Promise<void> {
    if (this.#state !== "new") throw new FlotillaError("not-running", "start: this node was started before");
    this.#state = "running";
    const { links, directory, raft, options } = this.#parts;
    directory.start();
    this.#health = every(options.clock, options.healthCheckIntervalMs, () => this.#checkHealth());
    try {
      await raft?.start();
      await links.start();
    } catch (thrown) {
      await this.shutdown({ force: true });
      throw thrown;
    }
  }

  /**
   * Moves the clients to the other nodes, hands Raft's leadership over, tells the peers and stops. The first call's
   * deadline counts; a later one with `force`, or a signal, ends the waiting. Idempotent.
   */
  async shutdown(options: ShutdownOptions = {}): Promise<DrainReport> {
    const { force = false, deadlineMs = DRAIN_DEADLINE_MS_DEFAULT, signal } = options;
    if (!(deadlineMs >= 0 && deadlineMs <= TIMER_MS_MAX)) {
      const rule = `deadlineMs must be from 0 to ${TIMER_MS_MAX}`;
      throw new FlotillaError("invalid-option", `shut down: ${rule}, not ${shown(deadlineMs)}`);
    }
    const hurry = (): void => this.#drain.hurry();
    if (force || signal?.aborted === true) hurry();
    signal?.addEventListener("abort", hurry, { once: true });
    try {
      return await (this.#stopping ??= this.#shutdown(force, deadlineMs));
    } finally {
      signal?.removeEventListener("abort", hurry);
    }
  }

  /**
   * The close reason for a client that comes anew to `endpoint`, with its own id or null, while this node leaves; null
   * while newcomers are welcome.
   */
  turnAway(endpoint: string, ownId: string | null): string | null {
    return this.#state === "leaving" ? this.#drain.turnAway(endpoint, ownId) : null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  // --- Connections of this node ---

  /** Where sinks of connections registered without one come from. */
  setConnectionProvider(provider: ConnectionProvider): void {
    this.#provider = provider;
  }

  /**
   * Announces a connection of this node. Its sink is `sink`, else what the connection provider has for it.
   * Throws `not-found` when there is neither, `invalid-option` for a bad id or details, `not-running` after shutdown.
   */
  registerConnection(
    connectionId: string,
    details: Partial<ConnectionDetails> = {},
    sink?: ConnectionSink,
  ): void {
    this.#checkNotStopped("register", connectionId);
    const { directory, outboxes, options } = this.#parts;
    const given = sink ?? this.#provider?.get(connectionId);
    if (given === undefined) {
      const why = "the connection provider has no such connection";
      throw new FlotillaError("not-found", `register ${shown(connectionId)}: ${why}`);
    }
    const { endpoint = "/ws", remoteAddress = null, ownId = false, tags = NO_TAGS } = details;
    const connectedAt = details.connectedAt ?? options.clock.wallTime();
    const complete = { endpoint, remoteAddress, connectedAt, ownId, tags };
    checkConnectionId(connectionId);
    checkDetails(connectionId, complete);
    if ((outboxes.get(connectionId)?.sink ?? given) !== given) this.#replaced(connectionId);
    if (sink === undefined) this.#provided.add(connectionId);
    else this.#provided.delete(connectionId);
    // Before it is announced: messages that wait for the announcement come at once.
    outboxes.open(connectionId, given);
    directory.register(connectionId, complete);
    this.#events.emit("connectionopen", { connectionId, endpoint });
  }

  /**
   * The connection's socket has closed, or is to be forgotten; nothing is closed here. With `sink`: only if that
   * is still the registered one.
   */
  unregisterConnection(connectionId: string, sink?: ConnectionSink): void {
    if (this.#parts.outboxes.remove(connectionId, sink)) this.#gone(connectionId);
  }

  // --- What is known ---

  getConnectionNodeId(connectionId: string): string | undefined {
    return this.#parts.directory.lookup(connectionId)?.nodeId;
  }

  async getConnection(connectionId: string): Promise<ConnectionInfo | undefined> {
    this.#checkNotStopped("look up", connectionId);
    const timeoutMs = this.#parts.options.deliveryTimeoutMs;
    const description = await this.#parts.directory.describe(connectionId, { timeoutMs });
    return description && { connectionId, nodeId: description.nodeId, ...description.details };
  }

  listConnections(options: { limit: number; after?: string }): { connectionId: string; nodeId: string }[] {
    return this.#parts.directory.list(options);
  }

  /** Pings a node: the round trip in ms. Rejects `node-lost` or `timeout`. 0 for this node. */
  async measureLatency(nodeId: string): Promise<number> {
    return nodeId === this.nodeId ? 0 : await this.#parts.links.measureLatency(nodeId);
  }

  /** 0 (unreachable or unknown) to 100. 100 for this node. */
  getNetworkQuality(nodeId: string): number {
    return nodeId === this.nodeId ? 100 : this.#parts.links.peer(nodeId)?.quality ?? 0;
  }

  /** The node a new client is best sent to, this one included; undefined while none qualifies. See `rankTargets`. */
  getOptimalNode(weights?: Partial<RankWeights>): string | undefined {
    return this.#overview.optimalNode(weights);
  }

  /** Peers with a live session, and this node, as connection counts by nodeId. */
  get connectionCounts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#overview.nodes().map(({ nodeId, connections }) => [nodeId, connections]));
  }

  // --- What all agree on: see RaftNode ---

  get state(): ReplicatedMap {
    return this.#raft.map;
  }

  get isLeader(): boolean {
    return this.#parts.raft?.isLeader ?? false;
  }

  get leaderId(): string | null {
    return this.#parts.raft?.leaderId ?? null;
  }

  get term(): number {
    return this.#parts.raft?.term ?? 0;
  }

  async transferLeadership(nodeId?: string, options?: WaitOptions): Promise<void> {
    await this.#raft.transferLeadership(nodeId, options);
  }

  async removeNode(nodeId: string, options?: WaitOptions): Promise<void> {
    await this.#raft.removeNode(nodeId, options);
  }

  view(): ClusterView {
    return this.#overview.view();
  }

  stats(): ClusterStats {
    const { links, directory, router, outboxes } = this.#parts;
    const { slowConsumers, ...out } = outboxes.counters;
    return {
      connections: this.connectionCounts,
      routed: { ...router.routed },
      ...out,
      streams: this.#streams.inFlight,
      links: links.stats(),
      repairs: this.#repairs + directory.stats().repairs,
      rejected: { ...this.#rejected, "slow-consumer": slowConsumers },
    };
  }

  countRejection(kind: RejectionKind): void {
    this.#rejected[kind]++;
  }

  on<Name extends keyof ClusterEvents>(
    name: Name,
    listener: (event: ClusterEvents[Name]) => void,
  ): Unsubscribe {
    return this.#events.on(name, listener);
  }

  /** Where clients reach this node, as other nodes are told: set when that is known only after listening. */
  set publicUrl(url: string | null) {
    this.#statuses.own = { ...this.#statuses.own, publicUrl: url };
  }

  get publicUrl(): string | null {
    return this.#statuses.own.publicUrl;
  }

  #checkNotStopped(action: string, connectionId: string): void {
    if (this.#state !== "stopped") return;
    throw new FlotillaError("not-running", `${action} ${shown(connectionId)}: this node has stopped`);
  }

  get #raft(): RaftPart {
    const { raft } = this.#parts;
    if (raft === undefined) {
      throw new FlotillaError("unsupported", `node ${shown(this.nodeId)}: ${NO_RAFT.reason}`);
    }
    return raft;
  }

  async #shutdown(force: boolean, deadlineMs: number): Promise<DrainReport> {
    const { links, directory, router, outboxes, raft } = this.#parts;
    if (this.#state === "running") this.#state = "leaving";
    const report = await this.#drain.run(deadlineMs);
    this.#state = "stopped";
    this.#health?.cancel();
    if (!force) await raft?.leave();
    router.stop();
    await links.stop();
    raft?.stop();
    // Last: the ends of the sessions still reach it.
    directory.stop();
    for (const connectionId of [...outboxes.ids()]) this.unregisterConnection(connectionId);
    return report;
  }

  /** A newer connection has taken this node's own one's id. */
  #replaced(connectionId: string): void {
    this.countRejection("replaced");
    this.#parts.outboxes.replace(connectionId, CLOSE.replaced, "a newer connection has this id");
    this.#provided.delete(connectionId);
    this.#events.emit("connectionclose", { connectionId });
  }

  /** A connection of this node whose outbox is gone. */
  #gone(connectionId: string): void {
    this.#parts.directory.unregister(connectionId);
    this.#provided.delete(connectionId);
    this.#events.emit("connectionclose", { connectionId });
  }

  #lost({ connectionId }: LocalConnection): void {
    if (this.#parts.outboxes.get(connectionId) !== undefined) this.#replaced(connectionId);
  }

  #checkHealth(): void {
    const { directory, options } = this.#parts;
    const before = directory.stats().repairs;
    try {
      const differences = this.#connections.repair(this.#provider, this.#provided);
      this.#repairs += differences - (directory.stats().repairs - before);
      if (differences > 0) options.logger.warn("the health check mended differences", { differences });
    } catch (thrown) {
      // The provider is the application's; what it throws must not end the process.
      options.logger.error("the health check failed", { reason: reasonOf(thrown) });
    }
  }
}

function streamsOf(parts: ClusterParts): ClusterStreams {
  const { outboxes, options } = parts;
  return new ClusterStreams({ ...parts, ...options, sockets: outboxes, options: streamOptionsOf(options) });
}
