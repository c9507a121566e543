/**
 * A full mesh over WebSockets: one socket between two nodes, whoever dialled first. Sockets come in through
 * `accept`, from the HTTP server's route, and go out to every known address. Knowing one running node is
 * enough: nodes whose identity is proven tell each other the addresses of the rest.
 *
 * Who is at the other end of a socket is only claimed, in its hello (`ws_hello.ts`). The link layer proves
 * it and calls `confirm`; then the other sockets to that node are closed. Where two nodes dialled each
 * other at once, the link layer's rule for crossing handshakes decides which socket stays.
 */
import type { Bytes } from "../src/lib/bytes.ts";
import { hex } from "../src/lib/bytes.ts";
import type { Timer } from "../src/lib/clock.ts";
import { CLOSE } from "../src/lib/close_codes.ts";
import { dial, type Dialer } from "../src/lib/dial.ts";
import { FlotillaError, shown } from "../src/lib/errors.ts";
import type { Socket, SocketEvents } from "../src/lib/socket.ts";
import type {
  ClusterTransport,
  ListedNode,
  NodeLister,
  Path,
  RemoteEnd,
  SocketAcceptor,
  TransportContext,
  TransportFeature,
  TransportSink,
} from "../src/transport.ts";
import { isLoopbackUrl, isPrivateUrl, type NodeAddress, socketOrigin } from "./node_list.ts";
import { AddressBook } from "./ws_addresses.ts";
import type { DialLoop } from "./ws_dial_loop.ts";
import { encodeHello, type Hello } from "./ws_hello.ts";
import { type Refusal, WsPath } from "./ws_path.ts";
import { PathTable } from "./ws_path_table.ts";

/** How long peers may take to answer a close when this node stops. */
const STOP_TIMEOUT_MS = 1_000;
const PACKET_BYTES_MAX_DEFAULT = 262_144;

export interface WsTransportOptions {
  /** The nodes to dial; each has a `url` (see `parseNodeList`). Empty: this node waits to be dialled. */
  readonly nodes: readonly NodeAddress[];
  /** The path of the URL that is dialled, and served. Default `/cluster`. */
  readonly channelName?: string;
  /**
   * Where peers can dial this node, `ws://host:port`; a function where that is known only later. They pass
   * it on. Default: none, so that only nodes that this node dials itself can be in one mesh with it.
   */
  readonly advertise?: string | (() => string | undefined);
  /**
   * States that every way to and from this node is private, by means that this process cannot see:
   * declares the feature `private`. Default false: each path is judged by itself (TLS, loopback).
   */
  readonly private?: boolean;
  /** The same on all nodes; a longer packet closes the path it came by. Default 262,144. */
  readonly packetBytesMax?: number;
  /** How sockets are opened. Default: the runtime's WebSocket. */
  readonly dialer?: Dialer;
}

/** A full mesh over WebSockets; see the top of this file. */
export class WsTransport implements ClusterTransport, SocketAcceptor, NodeLister {
  readonly name = "ws";
  readonly features: ReadonlySet<TransportFeature>;
  readonly packetBytesMax: number;
  readonly channelName: string;
  readonly #refused: Record<Refusal, number> = {
    "malformed": 0,
    "too-large": 0,
    "unproven": 0,
    "crowded": 0,
    "own-id": 0,
    "stalled": 0,
  };
  readonly #context: TransportContext;
  readonly #nodes: readonly NodeAddress[];
  readonly #advertise: () => string | undefined;
  readonly #private: boolean;
  readonly #instance: string;
  readonly #table = new PathTable();
  readonly #book: AddressBook;
  /** Which loop dialled a path. */
  readonly #loops = new Map<WsPath, DialLoop>();
  /** Paths whose socket is not gone yet. */
  readonly #sockets = new Set<WsPath>();
  #sink: TransportSink | undefined;
  /** Counts changes of what this node's hello says; `WsPath.toldVersion` is behind until it was sent. */
  #knownVersion = 0;
  #known = "";
  #tellTimer: Timer | undefined;
  #stopped: Promise<void> | undefined;
  #onEmpty: () => void = () => {};

  /** @throws FlotillaError `invalid-option` */
  constructor(options: WsTransportOptions, context: TransportContext) {
    for (const { nodeId, url } of options.nodes) {
      if (url !== undefined && socketOrigin(url) !== undefined) continue;
      const found = url === undefined ? "none" : shown(url);
      throw new FlotillaError(
        "invalid-option",
        `nodes: ${shown(nodeId)} needs an address ws://host:port, not ${found}`,
      );
    }
    const { advertise, channelName = "/cluster" } = options;
    if (!channelName.startsWith("/")) {
      throw new FlotillaError(
        "invalid-option",
        `channelName: ${shown(channelName)} does not start with a slash`,
      );
    }
    this.#context = context;
    this.#nodes = options.nodes;
    this.channelName = channelName;
    this.#advertise = typeof advertise === "function" ? advertise : () => advertise;
    this.#private = options.private ?? false;
    this.packetBytesMax = options.packetBytesMax ?? PACKET_BYTES_MAX_DEFAULT;
    this.features = new Set(this.#private ? ["lossless", "paths", "private"] : ["lossless", "paths"]);
    this.#instance = hex(context.random.bytes(8));
    this.#book = new AddressBook({
      context,
      channelName,
      dialer: options.dialer ?? dial,
      reached: (nodeId) => this.#table.proven(nodeId) !== undefined,
      opened: (socket, loop, holdsSmallWrites) =>
        this.#open(socket, remoteEnd(loop.url), loop, holdsSmallWrites),
    });
  }

  start(sink: TransportSink): Promise<void> {
    if (this.#sink !== undefined || this.#stopped !== undefined) {
      throw new FlotillaError(
        "not-running",
        `start the ws transport of ${this.#context.nodeId}: it ran already`,
      );
    }
    this.#sink = sink;
    const ownUrl = this.#ownUrl();
    this.#book.start(this.#nodes.filter(({ url }) => url !== ownUrl));
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return this.#stopped ??= this.#stop();
  }

  async #stop(): Promise<void> {
    this.#sink = undefined;
    this.#book.stop();
    this.#tellTimer?.cancel();
    for (const path of this.#table.openPaths()) path.end(CLOSE.leaving, "this node is leaving");
    if (this.#sockets.size === 0) return;
    const gone = new Promise<void>((resolve) => this.#onEmpty = resolve);
    const cut = this.#context.clock.timer(STOP_TIMEOUT_MS, () => {
      for (const path of this.#sockets) path.terminate();
    });
    await gone;
    cut.cancel();
  }

  accept(socket: Socket, remote: RemoteEnd): SocketEvents {
    if (this.#sink !== undefined) return this.#open(socket, remote);
    socket.close(CLOSE.leaving, "this node is not running");
    return { message() {}, drain() {}, close() {} };
  }

  send(nodeId: string, packet: Bytes, path?: Path): void {
    if (packet.byteLength > this.packetBytesMax) {
      const limit = `${packet.byteLength} bytes is over packetBytesMax, ${this.packetBytesMax}`;
      throw new FlotillaError("too-large", `send a packet to ${shown(nodeId)}: ${limit}`);
    }
    const way = path instanceof WsPath ? path : this.#table.route(nodeId);
    way?.send(packet);
  }

  broadcast(packet: Bytes): void {
    for (const nodeId of this.#table.nodeIds()) this.send(nodeId, packet);
  }

  queuedBytes(nodeId: string): number {
    return this.#table.route(nodeId)?.queuedBytes ?? 0;
  }

  counters(): Readonly<Record<Refusal, number>> {
    return { ...this.#refused };
  }

  listed(): ListedNode[] {
    if (this.#sink !== undefined) return this.#book.listed();
    const ownUrl = this.#ownUrl();
    const others = this.#nodes.filter(({ url }) => url !== ownUrl);
    return others.map(({ url = "", nodeId }) => ({ entry: url, nodeId }));
  }

  confirm(nodeId: string, path: Path): void {
    if (!(path instanceof WsPath) || !path.open || this.#sink === undefined) return;
    for (const other of this.#table.confirm(path, nodeId)) other.close("another path was proven");
    path.prove();
    const loop = this.#loops.get(path);
    if (loop !== undefined) loop.nodeId = nodeId;
    this.#book.rest(nodeId);
    if (path.hello !== undefined) this.#book.learn(path.hello, this.#ownUrl());
    this.#tellLater();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #open(socket: Socket, remote: RemoteEnd, loop?: DialLoop, holdsSmallWrites = false): SocketEvents {
    const path = new WsPath({
      socket,
      owner: this.#owner,
      clock: this.#context.clock,
      remote: this.#private ? { ...remote, private: true } : remote,
      outbound: loop !== undefined,
      packetBytesMax: this.packetBytesMax,
      holdsSmallWrites,
    });
    if (loop !== undefined) this.#loops.set(path, loop);
    this.#sockets.add(path);
    this.#table.add(path)?.refuse("crowded", "too many sockets prove nothing");
    this.#tell(path);
    return path.events;
  }

  readonly #owner = {
    hello: (path: WsPath, hello: Hello): void => this.#onHello(path, hello),
    packet: (path: WsPath, packet: Bytes): void => {
      if (path.nodeId !== undefined) this.#sink?.packet(path.nodeId, packet, path);
    },
    refused: (path: WsPath, why: Refusal): void => {
      this.#refused[why]++;
      this.#context.logger.debug("a node's socket is refused", {
        address: path.address,
        nodeId: path.nodeId,
        why,
      });
    },
    left: (path: WsPath, reason: string): void => this.#onLeft(path, reason),
    ended: (path: WsPath): void => {
      this.#sockets.delete(path);
      if (this.#sockets.size === 0) this.#onEmpty();
    },
  };

  #onHello(path: WsPath, hello: Hello): void {
    const { nodeId, logger } = this.#context;
    if (path.nodeId !== undefined) {
      if (path.proven) this.#book.learn(hello, this.#ownUrl());
      return;
    }
    const loop = this.#loops.get(path);
    if (hello.nodeId === nodeId) {
      const self = hello.instance === this.#instance;
      if (loop !== undefined && self) this.#book.dropOwn(loop);
      if (self) return path.close("this is the node itself");
      logger.debug("another process claims this node's id", { nodeId, address: path.address });
      return path.refuse("own-id", "the nodeId is this node's own");
    }
    if (loop?.nodeId !== undefined && loop.nodeId !== hello.nodeId) {
      logger.debug("another node than expected answers", {
        expected: loop.nodeId,
        nodeId: hello.nodeId,
        url: loop.url,
      });
    }
    if (loop !== undefined && this.#table.proven(hello.nodeId)?.hello?.instance === hello.instance) {
      // A second address of a process that is reached already.
      loop.nodeId = hello.nodeId;
      return path.close("another path was proven");
    }
    this.#table.claim(path, hello.nodeId)?.refuse("crowded", "too many sockets claim this node");
    this.#sink?.peerSeen(hello.nodeId, path);
  }

  #onLeft(path: WsPath, reason: string): void {
    const { nodeId } = path;
    const wasProven = this.#table.remove(path);
    // The link layer may be the one that closes it: it hears of it when its call has returned.
    if (nodeId !== undefined) queueMicrotask(() => this.#sink?.peerGone(nodeId, path));
    if (this.#sink !== undefined) {
      this.#loops.get(path)?.left(reason);
      if (wasProven && nodeId !== undefined) this.#book.wake(nodeId);
    }
    this.#loops.delete(path);
  }

  #ownUrl(): string | undefined {
    const url = this.#advertise();
    return url === undefined ? undefined : socketOrigin(url);
  }

  /** Sends this node's hello, as it is now. */
  #tell(path: WsPath): void {
    const url = this.#ownUrl();
    const peers = this.#table.provenPaths().flatMap(({ nodeId, hello }) => {
      const known = nodeId === undefined ? undefined : hello?.url ?? this.#book.urlOf(nodeId);
      return nodeId === undefined || known === undefined ? [] : [[nodeId, known] as const];
    });
    const hello = { nodeId: this.#context.nodeId, instance: this.#instance, peers };
    const text = encodeHello(url === undefined ? hello : { ...hello, url });
    if (text !== this.#known) {
      this.#known = text;
      this.#knownVersion++;
    }
    if (path.toldVersion === this.#knownVersion) return;
    path.toldVersion = this.#knownVersion;
    path.send(text);
  }

  /** In a later turn, tells every proven peer what it has not been told: one hello for many changes. */
  #tellLater(): void {
    this.#tellTimer?.cancel();
    this.#tellTimer = this.#context.clock.timer(0, () => {
      for (const path of this.#table.provenPaths()) this.#tell(path);
    });
  }
}

/** What is known of the other end of a socket that was dialled. */
function remoteEnd(url: string): RemoteEnd {
  return { address: url, sameHost: isLoopbackUrl(url), private: isPrivateUrl(url) };
}
