import { type Bytes, hex, viewOf } from "../lib/bytes.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { FlotillaError, reasonOf, shown } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { jittered, type Random } from "../lib/random.ts";
import type { ClusterTransport, Path, TransportSink } from "../transport.ts";
import { plainOffer } from "./agreement.ts";
import { ClusterKeys } from "./cluster_keys.ts";
import {
  type DownReason,
  type DropReason,
  type Links,
  type LinkService,
  type LinkStats,
  MESSAGES,
  type PeerInfo,
  STREAMS,
} from "./contract.ts";
import { Gate } from "./gate.ts";
import { PACKET } from "./packet.ts";
import { type PacketSpace, tagOf } from "./packet_space.ts";
import type { LinkEnvironment } from "./environment.ts";
import { LINK_DEFAULTS, type LinkOptions } from "./options.ts";
import { PeerLink } from "./peer_link.ts";
import { Services } from "./services.ts";
import { emptyStats } from "./stats.ts";
import { LINK_PORT, type LinkSession, type SessionLimits } from "./session.ts";

/** Over a transport that loses (a broker), all peers together may have this much outstanding towards this node. */
const SHARED_WINDOW_BYTES = 8 * 1_048_576;
const SHARED_WINDOW_BYTES_MIN = 65_536;
const ANNOUNCE_INTERVAL_MS = 5_000;
/** Nodes that are only claimed to exist are remembered up to this number. */
const UNPROVEN_PEERS_MAX = 1_024;

export interface LinksContext {
  readonly nodeId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** The links of one node over one transport. */
export class ClusterLinks implements Links {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly #options: LinkOptions;
  readonly #transport: ClusterTransport;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #services: Services;
  readonly #peers = new Map<string, PeerLink>();
  /** By the tag that the peer writes into its packets. */
  readonly #spaces = new Map<number, { readonly space: PacketSpace; readonly nodeId: string }>();
  readonly #stats: LinkStats = emptyStats();
  #gate: Gate | undefined;
  #environment: LinkEnvironment | undefined;
  #state: "new" | "running" | "stopped" = "new";
  #ticker: Timer | undefined;
  #announcer: Timer | undefined;
  #nextTickAt = 0;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  /** Called once with the error that makes this node useless: its id is in use. */
  onFatal: ((error: FlotillaError) => void) | undefined;

  constructor(
    transport: ClusterTransport,
    options: Partial<LinkOptions> & Pick<LinkOptions, "clusterName">,
    context: LinksContext,
  ) {
    this.nodeId = context.nodeId;
    this.#transport = transport;
    this.#options = { ...LINK_DEFAULTS, secret: undefined, ...options };
    this.#clock = context.clock;
    this.#random = context.random;
    this.#logger = context.logger;
    this.#services = new Services(context.logger);
    this.incarnation = hex(context.random.bytes(8));
  }

  register(port: number, service: LinkService): void {
    const usable = this.#state === "new" && Number.isInteger(port) && port > LINK_PORT && port <= 255;
    if (!usable || !this.#services.add(port, service)) {
      throw new FlotillaError("invalid-option", `cannot register a service under port ${shown(port)}`);
    }
  }

  async start(): Promise<void> {
    if (this.#state !== "new") throw new FlotillaError("not-running", "links start once");
    this.#state = "running";
    this.#starting = this.#start();
    await this.#starting;
  }

  async #start(): Promise<void> {
    const { clusterName, secret = "" } = this.#options;
    const keys = await ClusterKeys.derive(clusterName, secret);
    this.#assertRunning();
    const send = this.#send.bind(this);
    this.#gate = new Gate({ keys, clock: this.#clock, logger: this.#logger, stats: this.#stats, send });
    this.#environment = this.#newEnvironment(keys);
    await this.#transport.start(this.#sink());
    this.#assertRunning();
    this.#tickLater(this.#clock.now());
    if (!this.#transport.features.has("paths")) this.#announce();
  }

  stop(): Promise<void> {
    if (this.#stopping === undefined) {
      // Set before anything is called: a service may stop this node from inside `down`.
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#stopping = promise;
      resolve(this.#stop());
    }
    return this.#stopping;
  }

  session(nodeId: string): LinkSession | undefined {
    return this.#peers.get(nodeId)?.session;
  }

  *sessions(): Iterable<LinkSession> {
    for (const { session } of this.#peers.values()) if (session !== undefined) yield session;
  }

  peers(): PeerInfo[] {
    return [...this.#peers.values()].filter(({ proven }) => proven).map(({ info }) => info);
  }

  peer(nodeId: string): PeerInfo | undefined {
    const peer = this.#peers.get(nodeId);
    return peer?.proven ? peer.info : undefined;
  }

  async measureLatency(nodeId: string): Promise<number> {
    const peer = this.#peers.get(nodeId);
    if (peer === undefined) throw new FlotillaError("node-lost", `no session with node ${shown(nodeId)}`);
    return await peer.measureLatency();
  }

  stats(): LinkStats {
    const { dropped, refused } = this.#stats;
    return {
      ...this.#stats,
      dropped: { ...dropped },
      refused: { ...refused },
      transport: this.#transport.counters(),
    };
  }

  async #stop(): Promise<void> {
    this.#state = "stopped";
    this.#ticker?.cancel();
    this.#announcer?.cancel();
    const spaces = [...this.#spaces.values()];
    for (const peer of this.#peers.values()) peer.stop();
    await Promise.all(spaces.map(({ space }) => space.flushed()));
    await this.#starting?.catch(() => undefined);
    await this.#transport.stop();
    this.#peers.clear();
    this.#spaces.clear();
  }

  #assertRunning(): void {
    if (this.#state !== "running") {
      throw new FlotillaError("not-running", "start the links: stopped meanwhile");
    }
  }

  #sink(): TransportSink {
    return {
      packet: (from, packet, path) => this.#packet(from, packet, path),
      peerSeen: (nodeId, path) => this.#hinted(nodeId, path),
      peerGone: (nodeId, path) => {
        const peer = this.#peers.get(nodeId);
        peer?.gone(path);
        if (peer !== undefined && !peer.proven && !peer.hinted) this.#forget(peer);
      },
    };
  }

  #packet(from: string, packet: Bytes, path: Path | undefined): void {
    if (this.#state !== "running") return;
    this.#stats.packetsReceived++;
    this.#stats.bytesReceived += packet.byteLength;
    switch (packet[0]) {
      case PACKET.plain:
      case PACKET.sealed:
        return this.#dataPacket(from, packet, path);
      case PACKET.handshake:
        return void this.#handshakePacket(from, packet, path).catch((thrown) => {
          this.#logger.debug("a handshake packet was dropped", { from, reason: reasonOf(thrown) });
          this.#dropped("malformed");
        });
      case PACKET.announce:
        return this.#hinted(from, path);
      case PACKET.reset:
        if (packet.byteLength === 5) void this.#peers.get(from)?.reset(viewOf(packet).getUint32(1));
        return;
      case PACKET.refuse:
        return this.#gate?.refusedBy(from, packet);
      default:
        return this.#dropped("malformed");
    }
  }

  #dataPacket(from: string, packet: Bytes, path: Path | undefined): void {
    const tag = tagOf(packet);
    if (tag === undefined) return this.#dropped("malformed");
    const known = this.#spaces.get(tag);
    // The way is part of what was proven: without sealing it is all that keeps an outsider from speaking for a peer.
    if (known === undefined || known.nodeId !== from || known.space.path !== path) {
      this.#dropped("unknown-session");
      this.#gate?.unknownTag(from, tag, path);
      return;
    }
    known.space.receive(packet);
  }

  async #handshakePacket(from: string, packet: Bytes, path: Path | undefined): Promise<void> {
    const known = this.#peers.get(from)?.knows(path) === true;
    const signed = await (this.#gate as Gate).open(from, packet, path, known);
    if (signed === undefined || this.#state !== "running") return;
    await this.#peer(from)?.handshake(signed, path);
  }

  /** Something says that `nodeId` can be reached. A way of its own costs whoever claims that; a mere word does not. */
  #hinted(nodeId: string, path: Path | undefined): void {
    if (path === undefined && !this.#peers.has(nodeId) && this.#gate?.admitsNewcomer() !== true) return;
    this.#peer(nodeId)?.seen(path);
  }

  /** The link to `nodeId`, made when first heard of; undefined for this node itself and for one claim too many. */
  #peer(nodeId: string): PeerLink | undefined {
    if (nodeId === this.nodeId || this.#state !== "running" || this.#environment === undefined) {
      return undefined;
    }
    let peer = this.#peers.get(nodeId);
    if (peer !== undefined) return peer;
    if (this.#peers.size >= UNPROVEN_PEERS_MAX) {
      const unproven = [...this.#peers.values()].filter(({ proven }) => !proven);
      if (unproven.length >= UNPROVEN_PEERS_MAX) this.#forget(unproven[0] as PeerLink);
    }
    this.#peers.set(nodeId, peer = new PeerLink(nodeId, this.#environment));
    return peer;
  }

  #forget(peer: PeerLink): void {
    peer.stop();
    this.#peers.delete(peer.nodeId);
  }

  /** Looks at every peer, and again after half a ping interval or when the first of them has its timeout. */
  #tick(): void {
    const now = this.#clock.now();
    const { pingIntervalMs } = this.#options;
    if (now - this.#nextTickAt >= pingIntervalMs) {
      for (const peer of this.#peers.values()) {
        peer.forgive(now);
      }
    }
    for (const peer of [...this.#peers.values()]) {
      if (peer.isForgotten(now)) this.#forget(peer);
      else peer.judge(now);
    }
    if (this.#state === "running") this.#tickLater(now);
  }

  #tickLater(now: number): void {
    let delayMs = this.#options.pingIntervalMs / 2;
    for (const peer of this.#peers.values()) delayMs = Math.min(delayMs, peer.patienceMs(now));
    this.#nextTickAt = now + delayMs;
    this.#ticker = this.#clock.timer(delayMs, () => this.#tick());
  }

  #announce(): void {
    this.#transport.broadcast(Uint8Array.of(PACKET.announce));
    this.#announcer = this.#clock.timer(jittered(this.#random, ANNOUNCE_INTERVAL_MS), () => this.#announce());
  }

  #send(nodeId: string, packet: Bytes, path: Path | undefined): void {
    this.#stats.packetsSent++;
    this.#stats.bytesSent += packet.byteLength;
    this.#transport.send(nodeId, packet, path);
  }

  #dropped(reason: DropReason): void {
    this.#stats.dropped[reason]++;
  }

  #newEnvironment(keys: ClusterKeys): LinkEnvironment {
    const lossless = this.#transport.features.has("lossless");
    const sessionLimits: SessionLimits = {
      frameBytesMax: this.#options.frameBytesMax,
      laneQueueBytesMax: this.#options.laneQueueBytes,
      packetBytesMax: this.#transport.packetBytesMax,
      lossless,
    };
    const isStopped = (): boolean => this.#state !== "running";
    return {
      nodeId: this.nodeId,
      incarnation: this.incarnation,
      clock: this.#clock,
      random: this.#random,
      logger: this.#logger,
      keys,
      options: this.#options,
      sessionLimits,
      lossless,
      stats: this.#stats,
      get stopped() {
        return isStopped();
      },
      send: (nodeId, packet, path) => this.#send(nodeId, packet, path),
      confirm: (nodeId, path) => this.#transport.confirm(nodeId, path),
      plainOffer: (path) => plainOffer(this.#options.seal, this.#transport.features.has("private"), path),
      receiveWindowBytes: () => this.#receiveWindowBytes(lossless),
      newTag: () => this.#newTag(),
      addSpace: (space, nodeId) => void this.#spaces.set(space.tagIn, { space, nodeId }),
      dropSpace: (tag) => void this.#spaces.delete(tag),
      dropped: (reason) => this.#dropped(reason),
      fatal: (error) => this.#fatal(error),
      up: (session) => this.#up(session, lossless),
      down: (session, reason) => this.#down(session, reason, lossless),
      suspect: (session, suspected) =>
        this.#tell(session, (service) => service.suspect?.(session, suspected)),
      frame: (session, lane, port, frame) => this.#services.at(port).frame?.(session, lane, frame),
      datagram: (session, port, payload) => this.#services.at(port).datagram?.(session, payload),
      writable: (session, lane) => this.#tell(session, (service) => service.writable?.(session, lane)),
    };
  }

  #up(session: LinkSession, lossless: boolean): void {
    this.#stats.sessionsStarted++;
    this.#logger.info("node up", {
      peer: session.nodeId,
      incarnation: session.incarnation,
      sealed: session.space?.sealed,
    });
    if (!this.#services.up(session)) this.#endFaulty(session);
    if (!lossless) this.#shareWindow();
  }

  #down(session: LinkSession, reason: DownReason, lossless: boolean): void {
    this.#stats.sessionsEnded++;
    this.#logger.info("node down", { peer: session.nodeId, incarnation: session.incarnation, reason });
    this.#services.down(session, reason);
    if (!lossless && this.#state === "running") this.#shareWindow();
  }

  #tell(session: LinkSession, call: (service: LinkService) => void): void {
    if (!this.#services.tell(session, call)) this.#endFaulty(session);
  }

  /** A service threw on it. */
  #endFaulty(session: LinkSession): void {
    const peer = this.#peers.get(session.nodeId);
    if (peer?.session === session) peer.end("fault");
  }

  #receiveWindowBytes(lossless: boolean): number {
    if (lossless) return this.#options.laneWindowBytes;
    let sessions = 0;
    for (const _ of this.sessions()) sessions++;
    const share = Math.floor(SHARED_WINDOW_BYTES / (BULK_LANES * Math.max(1, sessions)));
    return Math.max(SHARED_WINDOW_BYTES_MIN, Math.min(this.#options.laneWindowBytes, share));
  }

  #shareWindow(): void {
    for (const session of this.sessions()) session.setReceiveWindow(this.#receiveWindowBytes(false));
  }

  #newTag(): number {
    for (;;) {
      const tag = viewOf(this.#random.bytes(4)).getUint32(0);
      if (!this.#spaces.has(tag)) return tag;
    }
  }

  #fatal(error: FlotillaError): void {
    if (this.#state !== "running") return;
    this.#logger.error("this node stops", { reason: error.message });
    const report = this.onFatal;
    this.onFatal = undefined;
    report?.(error);
  }
}

const BULK_LANES = [MESSAGES, STREAMS].length;
