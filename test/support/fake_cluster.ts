import type {
  ClusterEvents,
  ClusterStats,
  ClusterView,
  ConnectionInfo,
  DeliverOptions,
  RejectionKind,
} from "../../src/cluster/contract.ts";
import type { ConnectionDetails, ConnectionSink } from "../../src/connection/sink.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { Emitter, type Unsubscribe } from "../../src/lib/events.ts";
import { silentLogger } from "../../src/lib/logger.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { arrived, type Outcome, OUTCOMES } from "../../src/router/outcome.ts";
import type { ServedCluster, Serving } from "../../src/server/serving.ts";
import type { SocketAcceptor } from "../../src/transport.ts";
import { emptyStats } from "../../src/link/stats.ts";
import { FakeState } from "./fake_state.ts";

interface Registered {
  readonly details: ConnectionDetails;
  readonly sink: ConnectionSink | undefined;
}

const REJECTIONS: readonly RejectionKind[] = [
  "unauthorized",
  "origin",
  "bad-request",
  "too-large",
  "slow-consumer",
  "replaced",
  "flooding",
  "vanished",
  "handler-failed",
];

const zeros = <Name extends string>(names: readonly Name[]): Record<Name, number> =>
  Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;

/**
 * A cluster of one node that keeps its connections in a Map and delivers straight to their sinks. A test may
 * decide the outcome for an id (`outcomes`), the message every call fails with (`failure`), and what
 * `serving` says.
 */
export class FakeCluster implements ServedCluster {
  readonly nodeId: string = "fake";
  running = true;
  secured = true;
  allowInsecure = false;
  acceptor: SocketAcceptor | null = null;
  messageBytesMax: number = 64 * 1024;
  goodbye: string | null = null;
  failure: Error | undefined;
  /** The port it is served on. */
  port = 0;
  readonly outcomes: Map<string, Outcome> = new Map();
  readonly delivered: { connectionIds: readonly string[]; data: string | Uint8Array }[] = [];
  readonly shutdowns: { force?: boolean }[] = [];
  readonly rejected: Record<RejectionKind, number> = zeros(REJECTIONS);
  readonly connections: Map<string, Registered> = new Map();
  readonly state: FakeState = new FakeState();
  readonly isLeader = false;
  readonly leaderId: string | null = null;
  readonly term = 0;
  readonly #events = new Emitter<ClusterEvents>(silentLogger);

  get serving(): Serving {
    return {
      secured: this.secured,
      allowInsecure: this.allowInsecure,
      acceptor: this.acceptor,
      messageBytesMax: this.messageBytesMax,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      turnAway: () => this.goodbye,
      listening: (port) => void (this.port = port),
    };
  }

  async start(): Promise<void> {
    this.running = true;
  }

  async shutdown(options: { force?: boolean } = {}): Promise<void> {
    this.shutdowns.push(options);
    this.running = false;
  }

  registerConnection(connectionId: string, details: Partial<ConnectionDetails>, sink?: ConnectionSink): void {
    this.connections.get(connectionId)?.sink?.close(4409, "replaced");
    const whole = { endpoint: "/", remoteAddress: null, connectedAt: 0, ownId: false, tags: {}, ...details };
    this.connections.set(connectionId, { details: whole, sink });
    this.#events.emit("connectionopen", { connectionId, endpoint: whole.endpoint });
  }

  unregisterConnection(connectionId: string, sink?: ConnectionSink): void {
    if (sink !== undefined && this.connections.get(connectionId)?.sink !== sink) return;
    if (this.connections.delete(connectionId)) this.#events.emit("connectionclose", { connectionId });
  }

  async deliver(
    connectionIds: readonly string[],
    data: string | Uint8Array,
    _options?: DeliverOptions,
  ): Promise<Map<string, Outcome>> {
    if (this.failure !== undefined) throw this.failure;
    this.delivered.push({ connectionIds, data });
    return new Map(connectionIds.map((id) => [id, this.outcomes.get(id) ?? this.#send(id, data)]));
  }

  async routeMessage(
    connectionId: string,
    data: string | Uint8Array,
    options?: DeliverOptions,
  ): Promise<boolean> {
    return arrived((await this.deliver([connectionId], data, options)).get(connectionId) ?? "not-found");
  }

  async routeMessages(
    connectionIds: readonly string[],
    data: string | Uint8Array,
    options?: DeliverOptions,
  ): Promise<Map<string, boolean>> {
    const outcomes = await this.deliver(connectionIds, data, options);
    return new Map([...outcomes].map(([id, outcome]) => [id, arrived(outcome)]));
  }

  getConnectionNodeId(connectionId: string): string | undefined {
    return this.connections.has(connectionId) ? this.nodeId : undefined;
  }

  async getConnection(connectionId: string): Promise<ConnectionInfo | undefined> {
    if (this.failure !== undefined) throw this.failure;
    const found = this.connections.get(connectionId);
    return found === undefined ? undefined : { connectionId, nodeId: this.nodeId, ...found.details };
  }

  listConnections(
    { limit, after = "" }: { limit: number; after?: string },
  ): { connectionId: string; nodeId: string }[] {
    const ids = [...this.connections.keys()].sort().filter((id) => id > after).slice(0, limit);
    return ids.map((connectionId) => ({ connectionId, nodeId: this.nodeId }));
  }

  async closeConnection(connectionId: string, code: number, reason: string): Promise<boolean> {
    const found = this.connections.get(connectionId);
    found?.sink?.close(code, reason);
    return found !== undefined;
  }

  async transferLeadership(): Promise<void> {}

  async removeNode(): Promise<void> {}

  view(): ClusterView {
    const local = this.connections.size;
    const node = {
      nodeId: this.nodeId,
      status: "up",
      latencyMs: 0,
      quality: 100,
      connections: local,
    } as const;
    return {
      nodeId: this.nodeId,
      incarnation: "0000000000000001",
      role: null,
      leaderId: null,
      term: null,
      commitIndex: null,
      raft: { status: "off", reason: "a fake has no Raft", members: [] },
      nodes: [{ ...node, publicUrl: null }],
      connections: { local, total: local },
    };
  }

  stats(): ClusterStats {
    return {
      connections: { [this.nodeId]: this.connections.size },
      routed: zeros(OUTCOMES),
      messagesOut: this.delivered.length,
      bytesOut: 0,
      queuedBytes: 0,
      links: emptyStats(),
      repairs: 0,
      rejected: this.rejected,
    };
  }

  countRejection(kind: RejectionKind): void {
    this.rejected[kind] += 1;
  }

  on<Name extends keyof ClusterEvents>(
    name: Name,
    listener: (event: ClusterEvents[Name]) => void,
  ): Unsubscribe {
    return this.#events.on(name, listener);
  }

  #send(connectionId: string, data: string | Uint8Array): Outcome {
    const sink = this.connections.get(connectionId)?.sink;
    if (sink === undefined) return "not-found";
    return sink.send(typeof data === "string" ? data : new Uint8Array(data)) ? "delivered" : "closed";
  }
}
