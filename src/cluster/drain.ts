import { closeSink, type Outbox } from "../connection/outbox.ts";
import type { ConnectionSink } from "../connection/sink.ts";
import type { LocalConnection } from "../directory/local.ts";
import type { Clock } from "../lib/clock.ts";
import { sleep } from "../lib/clock.ts";
import { CLOSE } from "../lib/close_codes.ts";
import { encodeGoodbye } from "../client_protocol.ts";
import { CONTROL, type Session } from "../link/contract.ts";
import type { DrainBatch, DrainProgress, DrainReport } from "./contract.ts";
import { ARRIVED_SHARE, BATCH_MS_MAX, BATCH_SIZE_FIRST, nextBatchSize } from "./drain_pace.ts";
import type { TargetCandidate } from "./rank_targets.ts";
import { closeReason, redirectUrl } from "./redirect.ts";
import { Spread } from "./spread.ts";

/** How long peers may take to acknowledge that this node leaves. */
const ANNOUNCE_MS_MAX = 1_000;
/** How long the leadership may take to be handed over. */
const HAND_OVER_MS_MAX = 2_000;
/** How long an SDK client may take to close its socket after the goodbye. */
const DEPART_MS_MAX = 2_000;
/** Between two looks at who has arrived elsewhere. */
const LOOK_MS = 20;
/** When nobody arrived for so long, those who are missing are not waited for: they may be gone for good. */
const PATIENCE_MS = 5_000;

/** What a drain needs of its node. */
export interface DrainContext {
  readonly nodeId: string;
  readonly clock: Clock;
  /** Tells every peer that this node leaves. */
  announce(): void;
  sessions(): Iterable<Session>;
  /** Resolves when another node leads, or at the deadline. */
  handOver(timeoutMs: number): Promise<void>;
  /** The other nodes. */
  candidates(): readonly TargetCandidate[];
  publicUrl(nodeId: string): string | null;
  connections(): Iterable<LocalConnection>;
  outbox(connectionId: string): Outbox | undefined;
  /** A stream goes to it just now. */
  isBusy(connectionId: string): boolean;
  /** Streams from here, or to here, go on. */
  hasStreams(): boolean;
  /** Ends them, and both ends of each hear why. */
  abortStreams(): void;
  /** Which node has the connection, as far as this one knows. */
  nodeOf(connectionId: string): string | undefined;
  countOf(nodeId: string): number;
  progress(progress: DrainProgress): void;
}

interface Departing {
  readonly sink: ConnectionSink;
  readonly reason: string;
  readonly since: number;
}

/** Moves a node's clients to the others: in batches, each as large as the others proved to bear. */
export class Drain {
  readonly #context: DrainContext;
  readonly #spread = new Spread();
  readonly #batches: DrainBatch[] = [];
  readonly #targets = new Map<string, { sent: number; arrived: number }>();
  /** Who brought an id and was not seen elsewhere yet, with where it was sent. */
  readonly #missing = new Map<string, string>();
  /** Others that were sent and not counted at their targets yet. */
  #anonymous = 0;
  /** Connections of each target when somebody was last sent there, less those who arrived since. */
  readonly #counted = new Map<string, number>();
  #sizes: number = BATCH_SIZE_FIRST;
  /** SDK clients that were told to go, the longest ago first. */
  readonly #departing: Departing[] = [];
  #sent = 0;
  #refused = 0;
  #moved = 0;
  #hurried = false;

  constructor(context: DrainContext) {
    this.#context = context;
  }

  /** Waits for nothing any more. */
  hurry(): void {
    this.#hurried = true;
  }

  /** The close reason for a client that comes anew. */
  turnAway(endpoint: string, ownId: string | null): string {
    this.#updateTargets();
    return closeReason(this.#urlFor(this.#spread.next(), endpoint, ownId));
  }

  /** Moves everybody; resolves with what came of it, at the deadline at the latest. Never rejects. */
  async run(deadlineMs: number): Promise<DrainReport> {
    const { clock } = this.#context;
    const startedAt = clock.now();
    const deadline = startedAt + deadlineMs;
    this.#context.announce();
    await this.#until(Math.min(deadline, startedAt + ANNOUNCE_MS_MAX), this.#acknowledged());
    if (!this.#isOver(deadline)) {
      await this.#context.handOver(Math.min(HAND_OVER_MS_MAX, deadline - clock.now())).catch(() => undefined);
    }
    while (!this.#isOver(deadline)) {
      const batch = this.#nextBatch();
      if (batch.length > 0) await this.#move(batch, deadline);
      else if (this.#left() > 0) await sleep(clock, LOOK_MS);
      else break;
    }
    await this.#awaitOthers(deadline);
    this.#context.abortStreams();
    this.#closeAll();
    this.#closeDeparted(true);
    return this.#report(clock.now() - startedAt);
  }

  /** Closes whoever is left, with a way to go where there is one. */
  #closeAll(): void {
    this.#updateTargets();
    for (const connection of [...this.#context.connections()]) this.#send(connection);
  }

  // --- Batches ---

  /** Clients that no stream goes to. */
  #nextBatch(): LocalConnection[] {
    const batch: LocalConnection[] = [];
    for (const connection of this.#context.connections()) {
      const { connectionId } = connection;
      if (this.#context.outbox(connectionId)?.open !== true || this.#context.isBusy(connectionId)) continue;
      if (batch.push(connection) === this.#sizes) break;
    }
    return batch;
  }

  async #move(batch: readonly LocalConnection[], deadline: number): Promise<void> {
    const { clock } = this.#context;
    const [startedAt, movedBefore] = [clock.now(), this.#moved];
    this.#updateTargets();
    const sent = batch.filter((connection) => this.#send(connection)).length;
    const wanted = Math.ceil(sent * ARRIVED_SHARE);
    const arrived = (): number => this.#moved - movedBefore;
    await this.#until(Math.min(deadline, startedAt + BATCH_MS_MAX), () => {
      this.#look();
      return arrived() >= wanted;
    });
    const ms = clock.now() - startedAt;
    this.#batches.push({ size: batch.length, arrived: arrived(), ms });
    this.#sizes = nextBatchSize(this.#sizes, ms);
    this.#context.progress({ left: this.#left(), moved: this.#moved, batch: batch.length, ms });
  }

  /** Tells a client to go; false when there is nowhere to send it. */
  #send({ connectionId, details }: LocalConnection): boolean {
    const outbox = this.#context.outbox(connectionId);
    if (outbox?.open !== true) return false;
    const { endpoint, ownId: isOwn } = details;
    const ownId = isOwn ? connectionId : null;
    const target = this.#spread.next();
    const url = this.#urlFor(target, endpoint, ownId);
    if (outbox.sink.envelope === undefined) outbox.close(CLOSE.leaving, closeReason(url));
    else this.#sayGoodbye(outbox, url);
    this.#sent++;
    if (target === undefined || url === undefined) {
      this.#refused++;
      return false;
    }
    if (ownId === null) this.#anonymous++;
    else this.#missing.set(ownId, target);
    this.#targetOf(target).sent++;
    return true;
  }

  /**
   * An SDK client closes its socket itself, behind the last of its messages; nothing follows the goodbye. It is also
   * told where no close reason would hold the URL.
   */
  #sayGoodbye(outbox: Outbox, url: string | undefined): void {
    const goodbye = encodeGoodbye(url ?? null);
    outbox.send(goodbye, goodbye.byteLength, () => {});
    outbox.finish();
    this.#departing.push({ sink: outbox.sink, reason: closeReason(url), since: this.#context.clock.now() });
  }

  /** Closes what SDK clients have left open for too long. */
  #closeDeparted(isEnd: boolean): void {
    const now = this.#context.clock.now();
    while (this.#departing[0] !== undefined && (isEnd || now - this.#departing[0].since >= DEPART_MS_MAX)) {
      const { sink, reason } = this.#departing.shift() as Departing;
      closeSink(sink, CLOSE.leaving, reason);
    }
  }

  #urlFor(target: string | undefined, endpoint: string, ownId: string | null): string | undefined {
    const publicUrl = target === undefined ? null : this.#context.publicUrl(target);
    return publicUrl === null ? undefined : redirectUrl(publicUrl, endpoint, ownId);
  }

  // --- Arrivals ---

  /** Those who are on their way count as if they were there already. */
  #updateTargets(): void {
    const candidates = this.#context.candidates().filter(({ nodeId }) =>
      this.#context.publicUrl(nodeId) !== null
    );
    this.#spread.update(candidates.map((candidate) => {
      const { sent, arrived } = this.#targetOf(candidate.nodeId);
      return { ...candidate, connections: candidate.connections + Math.max(sent - arrived, 0) };
    }));
    for (const { nodeId } of candidates) {
      if (!this.#counted.has(nodeId)) this.#counted.set(nodeId, this.#context.countOf(nodeId));
    }
  }

  /** Who has been seen elsewhere: by id; those without one by how many more connections a target has. */
  #look(): void {
    this.#closeDeparted(false);
    for (const [connectionId, target] of this.#missing) {
      const nodeId = this.#context.nodeOf(connectionId);
      if (nodeId === undefined || nodeId === this.#context.nodeId) continue;
      this.#missing.delete(connectionId);
      this.#moved++;
      this.#targetOf(target).arrived++;
      this.#counted.set(nodeId, (this.#counted.get(nodeId) ?? 0) + 1);
    }
    for (const [nodeId, before] of this.#counted) {
      const count = this.#context.countOf(nodeId);
      const target = this.#targetOf(nodeId);
      const come = Math.min(count - before, this.#anonymous, target.sent - target.arrived);
      if (come > 0) {
        this.#anonymous -= come;
        this.#moved += come;
        target.arrived += come;
      }
      this.#counted.set(nodeId, count);
    }
  }

  get #missingCount(): number {
    return this.#missing.size + this.#anonymous;
  }

  /** Streams until the deadline; clients as long as some still come. */
  async #awaitOthers(deadline: number): Promise<void> {
    const { clock } = this.#context;
    let [moved, since] = [this.#moved, clock.now()];
    await this.#until(deadline, () => {
      this.#look();
      if (this.#moved !== moved) [moved, since] = [this.#moved, clock.now()];
      const isPatient = this.#missingCount > 0 && clock.now() - since < PATIENCE_MS;
      return !isPatient && !this.#context.hasStreams();
    });
  }

  // --- ---

  /** True once every peer has acknowledged all that was said to it when this was called. */
  #acknowledged(): () => boolean {
    const waiting = new Set(this.#context.sessions());
    return () => {
      for (const session of waiting) {
        if (!session.live || session.pendingBytes(CONTROL) === 0) waiting.delete(session);
      }
      return waiting.size === 0;
    };
  }

  async #until(deadline: number, condition: () => boolean): Promise<void> {
    while (!condition() && !this.#isOver(deadline)) await sleep(this.#context.clock, LOOK_MS);
  }

  #isOver(deadline: number): boolean {
    return this.#hurried || this.#context.clock.now() >= deadline;
  }

  /** Connections whose sockets are open. */
  #left(): number {
    let left = 0;
    for (const { connectionId } of this.#context.connections()) {
      if (this.#context.outbox(connectionId)?.open === true) left++;
    }
    return left;
  }

  #targetOf(nodeId: string): { sent: number; arrived: number } {
    let target = this.#targets.get(nodeId);
    if (target === undefined) this.#targets.set(nodeId, target = { sent: 0, arrived: 0 });
    return target;
  }

  #report(ms: number): DrainReport {
    const targets = [...this.#targets].filter(([, { sent }]) => sent > 0);
    return {
      moved: this.#moved,
      refused: this.#refused,
      timedOut: this.#sent - this.#refused - this.#moved,
      targets: Object.fromEntries(targets),
      batches: this.#batches,
      ms,
    };
  }
}
