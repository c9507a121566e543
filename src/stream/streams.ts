import type { Bytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { FlotillaError, reasonOf } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { Lane, Links, LinkService, Session } from "../link/contract.ts";
import { CONTROL, STREAMS } from "../link/contract.ts";
import type { RouteDirectory, Sockets } from "../router/contract.ts";
import { arrived } from "../router/outcome.ts";
import { type Caller, StreamCall } from "./call.ts";
import { checkReadable, checkStreamOptions } from "./checks.ts";
import { STREAM_PORT, type StreamOptions, type StreamResult, type StreamsOptions } from "./contract.ts";
import type { StreamData } from "./cutter.ts";
import { Here } from "./here.ts";
import { OutgoingStream } from "./outgoing.ts";
import { Owner } from "./owner.ts";
import { StallWatch } from "./stall_watch.ts";
import { StreamPeer } from "./stream_peer.ts";

export interface StreamsContext {
  readonly links: Pick<Links, "register" | "nodeId">;
  /** Must be registered with the links before the streams. */
  readonly directory: RouteDirectory;
  /** The outboxes of this node's own connections. */
  readonly sockets: Sockets;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly options: StreamsOptions;
}

/** What streams there are; all 0 when idle. */
export interface StreamsInFlight {
  /** Calls of this node. */
  readonly calls: number;
  /** Legs to peers and receivers of theirs. */
  readonly streams: number;
  /** This node's own connections that get some, or have not taken all yet of one that ended. */
  readonly connections: number;
  /** Reserved for them. */
  readonly reservedBytes: number;
  /** Deadlines that are watched. */
  readonly watches: number;
}

/**
 * Streams to any connection of the cluster, in bounded memory on every node whatever their length, at the pace of
 * the client. Bytes must not be changed once the source has handed them over.
 */
export class ClusterStreams implements LinkService {
  readonly #context: StreamsContext;
  readonly #owner: Owner;
  readonly #here: Here;
  readonly #watch: StallWatch;
  readonly #caller: Caller;
  readonly #calls = new Set<StreamCall>();
  /** By nodeId. */
  readonly #peers = new Map<string, StreamPeer>();
  #stopped = false;

  /** Registers itself with the links, so only before they start. */
  constructor(context: StreamsContext) {
    const { links, directory, sockets, clock, options } = context;
    this.#context = context;
    this.#watch = new StallWatch(clock);
    this.#owner = new Owner(directory, sockets, this.#watch, options);
    this.#here = new Here(links.nodeId, this.#owner);
    this.#caller = {
      clock,
      directory,
      watch: this.#watch,
      deliveryTimeoutMs: options.deliveryTimeoutMs,
      chunkSize: options.chunkSize,
      way: (nodeId) => nodeId === links.nodeId ? this.#here : this.#peers.get(nodeId),
      done: (call) => void this.#calls.delete(call),
    };
    links.register(STREAM_PORT, this);
  }

  // --- Calls ---

  /** True: all of it arrived. False: it did not, or that is unknown; `deliverStream` says which. */
  async routeStream(
    connectionId: string,
    readable: ReadableStream<StreamData>,
    options: StreamOptions = {},
  ): Promise<boolean> {
    return arrived((await this.deliverStream(connectionId, readable, options)).outcome);
  }

  /** The same to each of the connections: see `deliverStreams`. */
  async routeStreams(
    connectionIds: readonly string[],
    readable: ReadableStream<StreamData>,
    options: StreamOptions = {},
  ): Promise<Map<string, boolean>> {
    const results = await this.deliverStreams(connectionIds, readable, options);
    return new Map([...results].map(([connectionId, { outcome }]) => [connectionId, arrived(outcome)]));
  }

  /**
   * Sends all that `readable` yields (bytes, or text as UTF-8) and says what became of it. When the stream ends
   * early, `readable` is cancelled with the reason.
   *
   * Rejects `invalid-option`, `not-running`, `aborted` when the source fails (the cause is its error), and
   * `malformed` when it yields anything else, or more or less than `totalBytes`.
   */
  async deliverStream(
    connectionId: string,
    readable: ReadableStream<StreamData>,
    options: StreamOptions = {},
  ): Promise<StreamResult> {
    const results = await this.deliverStreams([connectionId], readable, options);
    return results.get(connectionId) as StreamResult;
  }

  /**
   * The same to each of the connections, once however often it is named. The source is read once, one copy travels
   * to each node, and all go at the pace of the slowest that still takes something; one that takes nothing for
   * `stallTimeoutMs` ends `timeout`, and one that ends leaves the others alone.
   */
  async deliverStreams(
    connectionIds: readonly string[],
    readable: ReadableStream<StreamData>,
    options: StreamOptions = {},
  ): Promise<Map<string, StreamResult>> {
    checkReadable(readable);
    const call = this.#call(connectionIds, options);
    const writable = new WritableStream(call);
    // Not before: a pipe reads ahead, and nothing is to be read for nobody.
    const over = await call.opened;
    const done = over === undefined ? readable.pipeTo(writable) : readable.cancel(over.error);
    done.catch(() => {});
    return await call.results;
  }

  /**
   * A stream to one connection that is written to. Throws `invalid-option` and `not-running`; what becomes of the
   * stream is told by its writes, its `close` and its `result`.
   */
  openStream(connectionId: string, options: StreamOptions = {}): OutgoingStream {
    return new OutgoingStream(this.#call([connectionId], options), connectionId);
  }

  /**
   * What the SDK client of one of this node's connections says of its streams.
   *
   * @throws FlotillaError `malformed` for what no SDK says.
   */
  clientFrame(connectionId: string, frame: Bytes): void {
    if (!this.#stopped) this.#owner.clientFrame(connectionId, frame);
  }

  /** Whether a stream goes to this node's own connection just now. */
  isBusy(connectionId: string): boolean {
    return this.#owner.isBusy(connectionId);
  }

  get inFlight(): StreamsInFlight {
    let streams = this.#here.size;
    for (const peer of this.#peers.values()) streams += peer.size;
    return {
      calls: this.#calls.size,
      streams,
      connections: this.#owner.size,
      reservedBytes: this.#owner.budget.used,
      watches: this.#watch.size,
    };
  }

  /** Ends all streams (`node-lost`) and timers; later calls reject `not-running`. Idempotent. */
  stop(): void {
    this.#stopped = true;
    for (const call of [...this.#calls]) call.giveUp("node-lost", "this node stops");
    for (const peer of [...this.#peers.values()]) peer.down();
    this.#peers.clear();
    this.#watch.stop();
  }

  // --- LinkService ---

  up(session: Session): void {
    if (!this.#stopped) this.#peers.set(session.nodeId, new StreamPeer(session, this.#owner));
  }

  /** Throws `malformed`. */
  frame(session: Session, lane: Lane, payload: Bytes): void {
    const peer = this.#peer(session);
    if (peer === undefined) return;
    if (lane === STREAMS) return peer.fromCaller(payload);
    if (lane === CONTROL) return peer.fromOwner(payload);
    throw new FlotillaError("malformed", `read a stream's frame: nothing travels on lane ${lane}`);
  }

  writable(session: Session, lane: Lane): void {
    if (lane === STREAMS) this.#peer(session)?.writable();
  }

  down(session: Session): void {
    const peer = this.#peer(session);
    if (peer === undefined) return;
    this.#peers.delete(session.nodeId);
    peer.down();
  }

  #peer(session: Session): StreamPeer | undefined {
    const peer = this.#peers.get(session.nodeId);
    return peer?.session === session ? peer : undefined;
  }

  #call(connectionIds: readonly string[], options: StreamOptions): StreamCall {
    if (this.#stopped) throw new FlotillaError("not-running", "open a stream: this node has stopped");
    checkStreamOptions(options);
    const { onProgress } = options;
    const guarded = onProgress && ((progress: Parameters<typeof onProgress>[0]) => {
      try {
        onProgress(progress);
      } catch (thrown) {
        this.#context.logger.error("onProgress threw", { reason: reasonOf(thrown) });
      }
    });
    const call = new StreamCall(this.#caller, connectionIds, { ...options, onProgress: guarded });
    this.#calls.add(call);
    return call;
  }
}
