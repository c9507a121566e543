/**
 * Keeps every peer's picture of this node's entries, and this node's picture of theirs: one sender and one
 * receiver for each session, fed by the changes of a turn together, and compared by heartbeats.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { every } from "../lib/clock.ts";
import type { Logger } from "../lib/logger.ts";
import { CONTROL } from "../link/contract.ts";
import type { Session } from "../link/contract.ts";
import { BEHIND_POLL_MS } from "./options.ts";
import type { OwnClaims } from "./own_claims.ts";
import { RouteReceiver } from "./receiver.ts";
import { RouteSender } from "./sender.ts";
import type { Owner, RouteTable } from "./table.ts";
import { encodeFrame } from "./wire.ts";
import type { Claim, DirectoryFrame, OwnerState } from "./wire.ts";

export interface ReplicationContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly port: number;
  readonly table: RouteTable;
  /** This node's. */
  readonly own: OwnClaims;
  /** Puts a peer's claim into the table, with all that follows from it. */
  putRemote(owner: Owner, claim: Claim): void;
  removeRemote(owner: Owner, id: string): void;
  /** Claims were dropped: their memory is to be swept. */
  sweepLater(): void;
}

export interface ReplicationCounters {
  /** Snapshots asked for again, because a digest or a number did not agree. */
  repairs: number;
  snapshotsSent: number;
  snapshotsReceived: number;
  /** Directory frames sent of changes, snapshots and heartbeats. */
  framesSent: number;
}

interface Peer {
  readonly sender: RouteSender;
  readonly receiver: RouteReceiver;
}

export class Replication {
  readonly #context: ReplicationContext;
  readonly #counters: ReplicationCounters;
  readonly #peers = new Map<Session, Peer>();
  #heartbeats: Timer | undefined;
  #behind: Timer | undefined;
  #flushing = false;

  constructor(context: ReplicationContext, counters: ReplicationCounters) {
    this.#context = context;
    this.#counters = counters;
  }

  start(heartbeatMs: number): void {
    this.#heartbeats ??= every(this.#context.clock, heartbeatMs, () => this.#heartbeat());
  }

  stop(): void {
    this.#heartbeats?.cancel();
    this.#behind?.cancel();
    this.#heartbeats = this.#behind = undefined;
  }

  sessions(): Iterable<Session> {
    return this.#peers.keys();
  }

  /** Each session with the owner of what its peer claims. */
  *owners(): IterableIterator<[Session, Owner]> {
    for (const [session, { receiver }] of this.#peers) yield [session, receiver.owner];
  }

  ownerOf(session: Session): Owner | undefined {
    return this.#peers.get(session)?.receiver.owner;
  }

  /** Whether the first snapshot of every peer has been received in full. */
  get synced(): boolean {
    for (const { receiver } of this.#peers.values()) if (!receiver.synced) return false;
    return true;
  }

  /** What this node's own entries are. */
  state(): OwnerState {
    const { table, own } = this.#context;
    return { number: own.log.number, digest: table.digestOf(own.owner) };
  }

  up(session: Session): void {
    const { table, own, port } = this.#context;
    const source = { own, state: () => this.state() };
    this.#peers.set(session, {
      sender: new RouteSender(session, port, source, this.#counters),
      receiver: new RouteReceiver(session.nodeId, {
        table,
        putRemote: (owner, claim) => this.#context.putRemote(owner, claim),
        removeRemote: (owner, id) => this.#context.removeRemote(owner, id),
        sweepLater: () => this.#context.sweepLater(),
        requestSnapshot: (reason) => this.#requestSnapshot(session, reason),
      }),
    });
    this.#context.own.log.record(true);
    this.flush();
  }

  /** The peer's entries are gone when this returns. */
  down(session: Session): void {
    const peer = this.#peers.get(session);
    if (peer === undefined) return;
    this.#peers.delete(session);
    this.#context.table.drop(peer.receiver.owner);
    this.#context.sweepLater();
    if (this.#peers.size === 0) this.#context.own.log.record(false);
  }

  /** Applies a peer's frame; false for frames that are not about replication. */
  apply(session: Session, frame: DirectoryFrame): boolean {
    const peer = this.#peers.get(session);
    if (peer === undefined) return true;
    switch (frame.kind) {
      case "changes":
        peer.receiver.changes(frame.first, frame.changes);
        return true;
      case "snapshot-begin":
        peer.receiver.beginSnapshot(frame.number);
        return true;
      case "claims":
        peer.receiver.claims(frame.claims);
        return true;
      case "snapshot-end":
        peer.receiver.endSnapshot(frame.state);
        this.#counters.snapshotsReceived++;
        return true;
      case "heartbeat":
        peer.receiver.heartbeat(frame.state);
        return true;
      case "snapshot-request":
        peer.sender.request();
        this.flush();
        return true;
      default:
        return false;
    }
  }

  /** Announces this turn's changes when the turn is over. */
  flushLater(): void {
    if (this.#flushing || this.#peers.size === 0) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  /** Sends every peer what it lacks, as far as its lane takes it; looks again soon where that was not all. */
  flush(): void {
    this.#context.own.log.seal();
    let behind = false;
    let sentToAll = Infinity;
    for (const { sender } of this.#peers.values()) {
      if (!sender.pump()) behind = true;
      sentToAll = Math.min(sentToAll, sender.number);
    }
    this.#context.own.log.forget(sentToAll);
    if (!behind || this.#behind !== undefined) return;
    this.#behind = this.#context.clock.timer(BEHIND_POLL_MS, () => {
      this.#behind = undefined;
      this.flush();
    });
  }

  #heartbeat(): void {
    this.flush();
    const frame = encodeFrame({ kind: "heartbeat", state: this.state() });
    for (const { sender } of this.#peers.values()) if (sender.pump()) sender.heartbeat(frame);
  }

  #requestSnapshot(session: Session, reason: string): void {
    this.#counters.repairs++;
    this.#context.logger.warn("the directory disagrees with a peer; asking for a snapshot", {
      peer: session.nodeId,
      reason,
    });
    session.send(CONTROL, this.#context.port, encodeFrame({ kind: "snapshot-request" }));
  }
}
