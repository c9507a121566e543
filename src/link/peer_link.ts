import type { Bytes } from "../lib/bytes.ts";
import { Backoff } from "../lib/backoff.ts";
import type { Timer } from "../lib/clock.ts";
import { FlotillaError } from "../lib/errors.ts";
import type { Path } from "../transport.ts";
import type { DownReason, Lane, PeerInfo, PeerStatus } from "./contract.ts";
import type { Agreement } from "./agreement.ts";
import type { LinkEnvironment } from "./environment.ts";
import { Handshaker } from "./handshaker.ts";
import type { Signed } from "./handshake_wire.ts";
import { PacketSpace, type PacketSpaceHost } from "./packet_space.ts";
import { PingWaits } from "./ping_waits.ts";
import { Probe } from "./probe.ts";
import { FadingCount, FLAP_HALF_LIFE_MS, LossMeter, scoreLink } from "./quality.ts";
import { RttEstimator } from "./rtt.ts";
import { LinkSession } from "./session.ts";

/** Ping intervals of silence after which a peer is suspect. */
const SUSPECT_INTERVALS = 2.5;
/** The higher nodeId waits this long for the lower one's hello, so that attempts seldom cross. */
const YIELD_MS = 100;
/** How long a node that is down is still shown, and tried where a hint leads to it. */
const PEER_MEMORY_MS = 3_600_000;
const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 5_000;

/** This node's end of the link to one peer: shakes hands when there is a way, judges whether the peer lives. */
export class PeerLink {
  readonly nodeId: string;
  readonly #env: LinkEnvironment;
  readonly #handshaker: Handshaker;
  readonly #rtt = new RttEstimator();
  readonly #loss = new LossMeter();
  readonly #flaps = new FadingCount(FLAP_HALF_LIFE_MS);
  /** Ways that claim to lead to the peer, newest last. */
  readonly #paths = new Set<Path>();
  /** Without paths: a hint said that the peer can be reached. */
  #reachable = false;
  #session: LinkSession | undefined;
  #incarnation: string | null = null;
  #expected: PacketSpace | undefined;
  #lastHeardAt = 0;
  #downAt = 0;
  #suspected = false;
  readonly #probe: Probe;
  #resetHeardAt = Number.NEGATIVE_INFINITY;
  #retryTimer: Timer | undefined;
  #retryAt = 0;
  readonly #backoff: Backoff;
  readonly #pings: PingWaits;

  constructor(nodeId: string, env: LinkEnvironment) {
    this.nodeId = nodeId;
    this.#env = env;
    this.#backoff = new Backoff(env.random, RETRY_FIRST_MS, RETRY_MAX_MS);
    this.#pings = new PingWaits(env.clock, env.options);
    this.#probe = new Probe(env.clock, env.options.pingIntervalMs);
    this.#handshaker = new Handshaker({
      nodeId: env.nodeId,
      incarnation: env.incarnation,
      peerId: nodeId,
      clock: env.clock,
      random: env.random,
      keys: env.keys,
      handshakeTimeoutMs: env.options.peerTimeoutMs,
      send: (packet, path) => env.send(nodeId, packet, path),
      newTag: () => env.newTag(),
      windowBytes: () => env.receiveWindowBytes(),
      ways: () => this.#paths.size === 0 ? [undefined] : [...this.#paths],
      plainOffer: (path) => env.plainOffer(path),
      liveSession: () =>
        this.#session &&
        { id: this.#session.id, incarnation: this.#session.incarnation, received: this.#session.received },
      probe: () => this.#answers(),
      expect: (agreement) => void (this.#expected = this.#openSpace(agreement)),
      abandon: (tag) => {
        env.dropSpace(tag);
        this.#expected = undefined;
      },
      commit: (agreement) => this.#commit(agreement, this.#openSpace(agreement)),
      refusing: (reason) => {
        env.logger.warn("refused a node", { peer: nodeId, reason });
        if (reason === "id-in-use") env.stats.refused[reason]++;
      },
      failed: (reason) => this.#attemptFailed(reason),
    });
  }

  get session(): LinkSession | undefined {
    return this.#session;
  }

  /** Whether the peer ever proved itself in this run. */
  get proven(): boolean {
    return this.#incarnation !== null;
  }

  /** Whether the peer proved itself, on `path` where ways differ. */
  knows(path: Path | undefined): boolean {
    return this.proven && (path === undefined || this.#session?.space?.path === path);
  }

  /** Whether anything says that the peer may be there. */
  get hinted(): boolean {
    return this.#reachable || this.#paths.size > 0;
  }

  get info(): PeerInfo {
    return {
      nodeId: this.nodeId,
      incarnation: this.#incarnation,
      status: this.#status,
      latencyMs: this.#rtt.smoothedMs ?? null,
      quality: this.#quality,
    };
  }

  seen(path: Path | undefined): void {
    if (path === undefined) {
      this.#reachable = true;
    } else {
      this.#paths.add(path);
      this.#handshaker.offer(path);
    }
    if (this.#session?.space === undefined) this.#retryIn(this.#env.nodeId < this.nodeId ? 0 : YIELD_MS);
  }

  gone(path: Path | undefined): void {
    // A broker that returns a packet only guesses; whether the peer answers is seen soon enough.
    if (path === undefined && !this.#env.lossless) return;
    if (path !== undefined) this.#paths.delete(path);
    else this.#reachable = false;
    if (!this.hinted || this.#handshaker.needs(path)) this.#handshaker.cancel();
    const session = this.#session;
    const space = session?.space;
    if (space !== undefined && space.path === path) {
      // What came in before the way closed still counts; an END may be among it.
      space.whenOpened(() => {
        if (session?.space !== space) return;
        this.#flaps.add(this.#env.clock.now());
        this.#closeSpace(session);
        if (this.hinted) this.#retryIn(0);
      });
    } else if (space === undefined && this.hinted) {
      this.#retryIn(0);
    }
  }

  /** Somebody says that the peer does not know the tag it is sent. If it does not answer either, shake hands again. */
  async reset(tag: number): Promise<void> {
    const space = this.#session?.space;
    const now = this.#env.clock.now();
    if (space?.tagOut !== tag || now - this.#resetHeardAt < this.#env.options.pingIntervalMs) return;
    this.#resetHeardAt = now;
    if (await this.#answers()) return;
    if (this.#session?.space === space && !this.#handshaker.busy) this.#initiate();
  }

  handshake(signed: Signed, path: Path | undefined): Promise<void> {
    if (path === undefined) this.#reachable = true;
    return this.#handshaker.receive(signed, path);
  }

  /** A genuine packet came in `space`. */
  opened(space: PacketSpace, number: number, items: Bytes): void {
    if (space === this.#expected) {
      const agreement = this.#handshaker.settled(space.tagIn);
      this.#expected = undefined;
      if (agreement !== undefined) this.#commit(agreement, space);
    }
    const session = this.#session;
    if (session === undefined || session.space !== space) return this.#env.dropped("unknown-session");
    this.#heard();
    session.receive(number, items);
  }

  /** One look at the clock: pings into silence, suspects, gives up. */
  judge(now: number): void {
    const session = this.#session;
    if (
      session?.space === undefined && this.hinted && !this.#handshaker.busy && this.#retryTimer === undefined
    ) {
      this.#initiate();
    }
    if (session === undefined) return;
    const { pingIntervalMs, peerTimeoutMs } = this.#env.options;
    const silentMs = now - this.#lastHeardAt;
    if (silentMs >= peerTimeoutMs) return this.end("timeout");
    if (silentMs >= pingIntervalMs) session.ping();
    if (silentMs < pingIntervalMs * SUSPECT_INTERVALS) return;
    if (!this.#suspected) {
      this.#suspected = true;
      this.#env.suspect(session, true);
    }
    if (!this.#handshaker.busy && !this.#env.lossless) this.#initiate();
  }

  /** Whether it proved itself, has been down for long, and nothing leads to it. */
  isForgotten(now: number): boolean {
    return this.proven && this.#session === undefined && this.#paths.size === 0 &&
      now - this.#downAt > PEER_MEMORY_MS;
  }

  /** How long the peer may still be silent, ms, at least 1; Infinity without a session. */
  patienceMs(now: number): number {
    if (this.#session === undefined) return Infinity;
    return Math.max(1, this.#lastHeardAt + this.#env.options.peerTimeoutMs - now);
  }

  /** This node was paused, not the peer: whatever was missed is not held against it. */
  forgive(now: number): void {
    this.#lastHeardAt = now;
  }

  async measureLatency(): Promise<number> {
    if (this.#session === undefined) throw this.#lost();
    return await this.#pings.ask((answered) => this.#session?.ping(answered));
  }

  /** Ends the session; the node may come back with another one. */
  end(reason: DownReason): void {
    const session = this.#session;
    if (session === undefined) return;
    const path = session.space?.path;
    if (reason === "stopping") session.sayEnd(0);
    this.#closeSpace(session);
    session.end();
    this.#session = undefined;
    this.#suspected = false;
    this.#downAt = this.#env.clock.now();
    this.#flaps.add(this.#env.clock.now());
    if (reason === "left") this.#reachable = false;
    this.#pings.fail(this.#lost());
    this.#probe.stop();
    this.#env.down(session, reason);
    // A way over which the peer went silent is not worth keeping: a new one shows whether it lives.
    if (reason === "timeout" || reason === "fault") path?.close(reason);
    if (reason !== "stopping" && this.hinted && !this.#handshaker.busy) this.#retryIn(RETRY_FIRST_MS);
  }

  stop(): void {
    this.end("stopping");
    this.#handshaker.stop();
    this.#retryTimer?.cancel();
    this.#retryTimer = undefined;
    this.#paths.clear();
    this.#reachable = false;
  }

  get #status(): PeerStatus {
    if (this.#session === undefined) return "down";
    return this.#suspected ? "suspect" : "up";
  }

  get #quality(): number {
    if (this.#session === undefined) return 0;
    return scoreLink({
      latencyMs: this.#rtt.smoothedMs,
      variationMs: this.#rtt.variationMs,
      loss: this.#loss.share,
      flaps: this.#flaps.read(this.#env.clock.now()),
      sameHost: this.#session.space?.path?.sameHost ?? false,
    });
  }

  #commit(agreement: Agreement, space: PacketSpace): void {
    const old = this.#session;
    if (agreement.resumed ? old?.id !== agreement.sessionId : false) {
      this.#env.dropSpace(space.tagIn);
      return this.#retryIn(0);
    }
    if (old !== undefined && !agreement.resumed) {
      this.end(old.incarnation === agreement.incarnation ? "session-unknown" : "restarted");
    }
    const resumedFrom = this.#session;
    if (resumedFrom !== undefined) this.#closeSpace(resumedFrom);
    const session = resumedFrom ?? this.#newSession(agreement);
    this.#session = session;
    this.#incarnation = agreement.incarnation;
    this.#retryTimer?.cancel();
    this.#retryTimer = undefined;
    this.#backoff.reset();
    if (space.path !== undefined) this.#env.confirm(this.nodeId, space.path);
    this.#heard();
    if (!session.attach(space, agreement.peerReceived)) return this.end("fault");
    if (agreement.resumed) this.#env.stats.sessionsResumed++;
    else this.#env.up(session);
  }

  #newSession(agreement: Agreement): LinkSession {
    const env = this.#env;
    return new LinkSession(
      agreement.sessionId,
      this.nodeId,
      agreement.incarnation,
      { send: agreement.peerWindowBytes, receive: agreement.ownWindowBytes },
      env.sessionLimits,
      {
        clock: env.clock,
        rtt: this.#rtt,
        frame: (session, lane, port, frame) => env.frame(session, lane, port, frame),
        datagram: (session, port, payload) => env.datagram(session, port, payload),
        writable: (session: LinkSession, lane: Lane) => env.writable(session, lane),
        settled: (lost) => this.#loss.settled(lost),
        retransmitting: (fragments) => void (env.stats.retransmits += fragments),
        left: (session) => {
          if (session === this.#session) this.end("left");
        },
        fault: (session, reason) => {
          env.logger.warn("a session ends: the peer broke the protocol", { peer: this.nodeId, reason });
          if (session === this.#session) this.end("fault");
        },
        gap: (session) => {
          if (session !== this.#session || session.space === undefined) return;
          env.logger.warn("a way that promised to lose nothing lost something; shaking hands again", {
            peer: this.nodeId,
          });
          this.#closeSpace(session);
          this.#retryIn(0);
        },
      },
    );
  }

  #openSpace(agreement: Agreement): PacketSpace {
    const env = this.#env;
    const host: PacketSpaceHost = {
      send: (packet, path) => env.send(this.nodeId, packet, path),
      opened: (space, number, items) => this.opened(space, number, items),
      dropped: (reason) => env.dropped(reason),
    };
    const space = new PacketSpace(agreement.space, host);
    env.addSpace(space, this.nodeId);
    return space;
  }

  #closeSpace(session: LinkSession): void {
    if (session.space === undefined) return;
    this.#env.dropSpace(session.space.tagIn);
    session.detach();
  }

  #heard(): void {
    this.#lastHeardAt = this.#env.clock.now();
    if (!this.#suspected || this.#session === undefined) return;
    this.#suspected = false;
    this.#env.suspect(this.#session, false);
  }

  /** Whether the incarnation of the live session answers when asked for a sign of life. */
  async #answers(): Promise<boolean> {
    const session = this.#session;
    return session !== undefined && await this.#probe.ask((answered) => session.ping(answered));
  }

  #attemptFailed(reason: "timeout" | "session-unknown" | "id-in-use"): void {
    switch (reason) {
      case "id-in-use":
        return this.#env.fatal(
          new FlotillaError(
            "id-in-use",
            `node ${this.nodeId} knows another living node named ${this.#env.nodeId}`,
          ),
        );
      case "session-unknown":
        this.end("session-unknown");
        return this.#retryIn(0);
      case "timeout":
        // The way is open and nobody answers on it: let the transport try a new one.
        for (const path of [...this.#paths]) {
          if (path !== this.#session?.space?.path) path.close("no handshake");
        }
        // Who never proved itself is tried again when it is heard of again.
        if (!this.proven) this.#reachable = false;
        return this.#retryIn(this.#backoff.next());
    }
  }

  #retryIn(delayMs: number): void {
    if (this.#env.stopped) return;
    // Whoever hints again and again does not put off what is due.
    const at = this.#env.clock.now() + delayMs;
    if (this.#retryTimer !== undefined && this.#retryAt <= at) return;
    this.#retryAt = at;
    this.#retryTimer?.cancel();
    this.#retryTimer = this.#env.clock.timer(delayMs, () => {
      this.#retryTimer = undefined;
      if (this.#session?.space === undefined && this.hinted && !this.#handshaker.busy) this.#initiate();
    });
  }

  #initiate(): void {
    if (!this.#env.stopped && this.hinted) this.#handshaker.initiate();
  }

  #lost(): FlotillaError {
    return new FlotillaError("node-lost", `no session with node ${this.nodeId}`);
  }
}
