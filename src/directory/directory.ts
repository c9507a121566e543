/**
 * The directory: connectionId → node, known on every node. Each node owns the entries of its own
 * connections and announces their changes; nobody else changes them.
 *
 *   register → own claims (table, log) → sender ─ control lane ─ receiver → table → lookup, lost claims
 *
 * What this folder may import: `src/lib`, the links' contract, and the shape of a connection's details.
 */
import type { ConnectionDetails } from "../connection/sink.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { viewOf } from "../lib/bytes.ts";
import { FlotillaError, reasonOf, shown } from "../lib/errors.ts";
import type { Unsubscribe } from "../lib/events.ts";
import type { Logger } from "../lib/logger.ts";
import { CONTROL } from "../link/contract.ts";
import type { Lane, LinkService, Session } from "../link/contract.ts";
import { DIRECTORY_PORT } from "./contract.ts";
import type { Description, DirectoryContext, DirectoryStats, Route } from "./contract.ts";
import type { Digest } from "./digest.ts";
import { NONE } from "./id_index.ts";
import type { LocalConnection } from "./local.ts";
import { DIRECTORY_DEFAULTS, PAGE_IDS_MAX, SWEEP_SLOTS_PER_TURN, VERIFY_SLOTS_PER_CALL } from "./options.ts";
import type { DirectoryOptions } from "./options.ts";
import { OwnClaims } from "./own_claims.ts";
import { smallestAfter } from "./page.ts";
import { Replication } from "./replication.ts";
import { Resolver } from "./resolver.ts";
import { HybridClock } from "./stamp.ts";
import { RouteTable } from "./table.ts";
import type { Owner } from "./table.ts";
import { decodeFrame, encodeFrame } from "./wire.ts";
import type { Claim, OwnerState } from "./wire.ts";

/** Which node owns which connection, as this node knows. */
export class Directory implements LinkService {
  readonly #nodeId: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #options: DirectoryOptions;
  #onLost: (connection: LocalConnection) => void;
  readonly #stamps: HybridClock;
  readonly #table: RouteTable;
  readonly #own: OwnClaims;
  readonly #replication: Replication;
  readonly #resolver: Resolver;
  readonly #listeners = new Set<(connectionId: string) => void>();
  readonly #stats: DirectoryStats = {
    repairs: 0,
    snapshotsSent: 0,
    snapshotsReceived: 0,
    framesSent: 0,
    questionsAsked: 0,
    questionsRefused: 0,
    lost: 0,
  };
  #sweeping: Timer | undefined;

  /** Registers itself with the links, so only before they start. */
  constructor({ links, clock, random, logger, options, onLost }: DirectoryContext) {
    this.#nodeId = links.nodeId;
    this.#clock = clock;
    this.#logger = logger;
    this.#options = { ...DIRECTORY_DEFAULTS, ...options };
    this.#onLost = onLost ?? (() => {});
    this.#stamps = new HybridClock(clock, this.#options.clockSkewMaxMs);
    this.#table = new RouteTable(viewOf(random.bytes(4)).getInt32(0));
    this.#own = new OwnClaims({
      nodeId: this.#nodeId,
      table: this.#table,
      stamps: this.#stamps,
      logged: () => this.#replication.flushLater(),
      changed: (connectionId) => this.#changed(connectionId),
      lost: (connection) => {
        this.#stats.lost++;
        this.#guard("onLost", () => this.#onLost(connection));
      },
    });
    this.#replication = new Replication({
      clock,
      logger,
      port: DIRECTORY_PORT,
      table: this.#table,
      own: this.#own,
      putRemote: (owner, claim) => this.#putRemote(owner, claim),
      removeRemote: (owner, id) => {
        if (this.#table.remove(owner, id)) this.#changed(id);
      },
      sweepLater: () => this.#sweepLater(),
    }, this.#stats);
    this.#resolver = new Resolver({
      clock,
      options: this.#options,
      lookup: (connectionId) => this.lookup(connectionId),
      localConnection: (connectionId) => this.localConnection(connectionId),
      sessions: () => this.#replication.sessions(),
      sessionOf: (connectionId) => this.#sessionOf(connectionId),
      announce: () => this.#replication.flush(),
      putRemote: (session, claim) => {
        const owner = this.#replication.ownerOf(session);
        if (owner !== undefined) this.#putRemote(owner, claim);
      },
      send: (session, frame) => void session.send(CONTROL, DIRECTORY_PORT, encodeFrame(frame)),
    }, this.#stats);
    links.register(DIRECTORY_PORT, this);
  }

  /** Replaces who hears of connections lost to a later claim, see `DirectoryContext.onLost`. */
  onLost(listener: (connection: LocalConnection) => void): void {
    this.#onLost = listener;
  }

  /** Begins the heartbeats. Idempotent. */
  start(): void {
    this.#replication.start(this.#options.directoryHeartbeatMs);
  }

  /** Ends all timers and waits. Idempotent. */
  stop(): void {
    this.#replication.stop();
    this.#sweeping?.cancel();
    this.#sweeping = undefined;
    this.#resolver.stop();
  }

  // This node's own connections.

  /**
   * Claims `connectionId` for this node, also from a node that has it now, and announces it. `replaced` is
   * this node's own earlier connection of that id, whose socket the caller closes. Throws `invalid-option`
   * for an id that is empty, above 256 bytes or not well-formed, and for bad details.
   */
  register(
    connectionId: string,
    details: ConnectionDetails,
  ): { readonly handle: number; readonly replaced: LocalConnection | undefined } {
    return this.#own.register(connectionId, details);
  }

  /**
   * Takes the entry back; with `handle`, only if that registration still stands. False when nothing was
   * done.
   */
  unregister(connectionId: string, handle?: number): boolean {
    return this.#own.unregister(connectionId, handle);
  }

  /** This node's own connection under that handle. */
  localByHandle(handle: number): string | undefined {
    return this.#own.connections.get(handle)?.connectionId;
  }

  /** This node's own connection of that id. */
  localConnection(connectionId: string): LocalConnection | undefined {
    return this.#own.get(connectionId);
  }

  /** This node's own connections in the order of registration. */
  localConnections(): IterableIterator<LocalConnection> {
    return this.#own.connections.values();
  }

  // Everybody's connections.

  /** Where `connectionId` is; undefined when no node is known to have it. */
  lookup(connectionId: string): Route | undefined {
    const slot = this.#table.winner(connectionId);
    if (slot === NONE) return undefined;
    const owner = this.#table.ownerAt(slot);
    return {
      nodeId: owner.nodeId,
      handle: this.#table.handleAt(slot),
      stamp: this.#table.stampAt(slot),
      local: owner === this.#own.owner,
    };
  }

  /**
   * As `lookup`, but asks the peers when the table has nothing. Undefined when nobody has it, as far as
   * could be found out within `askTimeoutMs`, or before `signal` fired. Never rejects.
   */
  resolve(connectionId: string, signal?: AbortSignal): Promise<Route | undefined> {
    return this.#resolver.resolve(connectionId, signal);
  }

  /**
   * Where `connectionId` is and its details, asked from its owner; undefined when nobody has it.
   * `timeoutMs` (default: `askTimeoutMs`) is for the owner's answer. Rejects `timeout`, `node-lost`,
   * `aborted`, `backpressure`.
   */
  describe(
    connectionId: string,
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Description | undefined> {
    return this.#resolver.describe(
      connectionId,
      options.timeoutMs ?? this.#options.askTimeoutMs,
      options.signal,
    );
  }

  /**
   * A page of the known connections in the order of their ids, after `after`. Looks at all of them each
   * time.
   */
  list(
    options: { readonly limit: number; readonly after?: string },
  ): { connectionId: string; nodeId: string }[] {
    const ids = smallestAfter(this.#table.ids(), Math.min(options.limit, PAGE_IDS_MAX), options.after);
    return ids.map((connectionId) => ({
      connectionId,
      nodeId: this.#table.ownerAt(this.#table.winner(connectionId)).nodeId,
    }));
  }

  /** How many connections a node claims, as this node knows; 0 for unknown nodes. */
  countOf(nodeId: string): number {
    return this.#heldOf(nodeId).reduce((count, owner) => count + this.#table.countOf(owner), 0);
  }

  /** Connections of all nodes; one that two nodes claim for a moment counts twice. */
  get total(): number {
    let count = this.#table.countOf(this.#own.owner);
    for (const [, owner] of this.#replication.owners()) count += this.#table.countOf(owner);
    return count;
  }

  /** Whether the first snapshot of every live peer has been received in full. */
  get synced(): boolean {
    return this.#replication.synced;
  }

  /**
   * The listener hears each connectionId for which another claim counts now, or a first one, or none any
   * more. Of a node that went down its ids are heard soon after, in pieces; look-ups know at once.
   */
  onRouteChange(listener: (connectionId: string) => void): Unsubscribe {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  // Health.

  /**
   * Counts the table again, compares it with the running counts and digests and with this node's own
   * connections, sets right what differs and returns how many differences there were. A table of more than
   * `VERIFY_SLOTS_PER_CALL` routes takes several calls, all but the last of which return 0. Where a peer's
   * entries differ from what that peer has shows at its next heartbeat.
   */
  verify(): number {
    const wrong = this.#table.recount(VERIFY_SLOTS_PER_CALL);
    if (wrong === undefined) return 0;
    const differences = wrong.size + this.#own.mend();
    this.#stats.repairs += differences;
    if (differences > 0) this.#logger.warn("the directory differed from its recount", { differences });
    return differences;
  }

  stats(): Readonly<DirectoryStats> {
    return { ...this.#stats };
  }

  /** This node's own entries: the number of the last change, their count and digest. */
  ownState(): OwnerState {
    return this.#replication.state();
  }

  /**
   * Count and digest of what this node holds of a node's entries; equal to that node's own once all is
   * quiet.
   */
  digestOf(nodeId: string): Readonly<Digest> | undefined {
    const owner = this.#heldOf(nodeId).at(-1);
    return owner && this.#table.digestOf(owner);
  }

  // LinkService.

  up(session: Session): void {
    this.#resolver.up();
    this.#replication.up(session);
  }

  down(session: Session): void {
    this.#replication.down(session);
    this.#resolver.down(session);
  }

  frame(session: Session, lane: Lane, payload: Uint8Array<ArrayBuffer>): void {
    if (lane !== CONTROL) {
      const from = shown(session.nodeId);
      throw new FlotillaError("malformed", `read a directory frame of ${from}: it came on lane ${lane}`);
    }
    const frame = decodeFrame(payload);
    if (!this.#replication.apply(session, frame)) this.#resolver.apply(session, frame);
  }

  #putRemote(owner: Owner, { id, handle, stamp }: Claim): void {
    this.#stamps.observe(stamp);
    if (!this.#table.put(owner, id, handle, stamp)) return;
    if (this.#table.contested(id)) this.#own.concede(id);
    this.#changed(id);
  }

  #changed(id: string): void {
    if (this.#resolver.curious && this.#table.winner(id) !== NONE) this.#resolver.known(id);
    for (const listener of this.#listeners) this.#guard("onRouteChange", () => listener(id));
  }

  /** A callback that throws is logged: it must not end the session whose frame is being applied. */
  #guard(name: string, call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.#logger.error("a callback of the directory threw", { callback: name, reason: reasonOf(thrown) });
    }
  }

  #sweepLater(): void {
    this.#sweeping ??= this.#clock.timer(0, () => {
      this.#sweeping = undefined;
      if (!this.#table.sweep(SWEEP_SLOTS_PER_TURN, (id) => this.#changed(id))) this.#sweepLater();
    });
  }

  #sessionOf(connectionId: string): Session | undefined {
    const winner = this.#table.winner(connectionId);
    if (winner === NONE) return undefined;
    const wanted = this.#table.ownerAt(winner);
    for (const [session, owner] of this.#replication.owners()) if (owner === wanted) return session;
    return undefined;
  }

  /**
   * Whose claims a nodeId stands for: this node's, or those of its sessions (two while one replaces
   * another).
   */
  #heldOf(nodeId: string): Owner[] {
    const held = nodeId === this.#nodeId ? [this.#own.owner] : [];
    for (const [, owner] of this.#replication.owners()) if (owner.nodeId === nodeId) held.push(owner);
    return held;
  }
}
