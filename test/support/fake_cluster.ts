import type {
  ClusterEvents,
  ClusterStats,
  ClusterView,
  ConnectionInfo,
  DeliverOptions,
  DrainReport,
  RejectionKind,
  ShutdownOptions,
} from "../../src/cluster/contract.ts";
import type { ConnectionDetails, ConnectionSink } from "../../src/connection/sink.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { Emitter, type Unsubscribe } from "../../src/lib/events.ts";
import { silentLogger } from "../../src/lib/logger.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { arrived, type Outcome, OUTCOMES } from "../../src/router/outcome.ts";
import type { ServedCluster, Serving } from "../../src/server/serving.ts";
import type { StreamOptions, StreamResult } from "../../src/stream/contract.ts";
import type { StreamData } from "../../src/stream/cutter.ts";
import type { OutgoingStream } from "../../src/stream/outgoing.ts";
import type { Bytes } from "../../src/lib/bytes.ts";
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
  /** Where clients reach it, as the view shows it. */
  publicUrl: string | null = null;
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
  readonly streamed: StreamOptions[] = [];
  readonly clientFrames: { connectionId: string; frame: Bytes }[] = [];
  readonly shutdowns: ShutdownOptions[] = [];
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

  async shutdown(options: ShutdownOptions = {}): Promise<DrainReport> {
    this.shutdowns.push(options);
    this.running = false;
    return { moved: 0, refused: 0, timedOut: 0, targets: {}, batches: [], ms: 0 };
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

  async deliverStreams(
    connectionIds: readonly string[],
    readable: ReadableStream<StreamData>,
    options: StreamOptions = {},
  ): Promise<Map<string, StreamResult>> {
    if (this.failure !== undefined) throw this.failure;
    this.streamed.push(options);
    const data = new Uint8Array(await new Response(readable as ReadableStream<Uint8Array>).arrayBuffer());
    const outcomes = await this.deliver(connectionIds, data);
    const sizes = { bytes: data.byteLength, chunks: 1, ms: 1, reason: undefined };
    return new Map([...outcomes].map(([id, outcome]) => [id, { outcome, ...sizes }]));
  }

  async deliverStream(
    connectionId: string,
    readable: ReadableStream<StreamData>,
    options?: StreamOptions,
  ): Promise<StreamResult> {
    const results = await this.deliverStreams([connectionId], readable, options);
    return results.get(connectionId) as StreamResult;
  }

  async routeStream(
    connectionId: string,
    readable: ReadableStream<StreamData>,
    options?: StreamOptions,
  ): Promise<boolean> {
    return arrived((await this.deliverStream(connectionId, readable, options)).outcome);
  }

  async routeStreams(
    connectionIds: readonly string[],
    readable: ReadableStream<StreamData>,
    options?: StreamOptions,
  ): Promise<Map<string, boolean>> {
    const results = await this.deliverStreams(connectionIds, readable, options);
    return new Map([...results].map(([id, { outcome }]) => [id, arrived(outcome)]));
  }

  openStream(): OutgoingStream {
    throw this.failure ?? new Error("nobody writes to streams of a fake cluster");
  }

  clientFrame(connectionId: string, frame: Bytes): void {
    if (this.failure !== undefined) throw this.failure;
    this.clientFrames.push({ connectionId, frame });
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
      nodes: [{ ...node, publicUrl: this.publicUrl }],
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
      streams: { calls: 0, streams: 0, connections: 0, reservedBytes: 0, watches: 0 },
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
