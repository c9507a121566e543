/**
 * Links in memory and virtual time, honest in what their contract promises and no more: lanes in order, each
 * with a delay of its own; bulk lanes that are full above a window; cuts that one side notices later than the
 * other, with everything under way lost; and a session that ends when a service throws.
 */
import { type Bytes, concatBytes } from "../../src/lib/bytes.ts";
import type { Clock } from "../../src/lib/clock.ts";
import type { DownReason, Lane, Links, LinkService, SendResult, Session } from "../../src/link/contract.ts";
import { CONTROL, LANES } from "../../src/link/contract.ts";

interface LaneState {
  /** Sent and not arrived, oldest first. */
  readonly frames: { port: number; frame: Bytes; arrivesAt: number }[];
  pendingBytes: number;
  refused: boolean;
}

export class FakeSession implements Session {
  readonly incarnation = "0123456789abcdef";
  readonly nodeId: string;
  live = true;
  other: FakeSession | undefined;
  /** Frames taken, by lane. */
  readonly taken: number[] = LANES.map(() => 0);
  readonly owner: FakeLinks;
  readonly #network: FakeNetwork;
  readonly #lanes: readonly LaneState[] = LANES.map(() => ({ frames: [], pendingBytes: 0, refused: false }));

  constructor(network: FakeNetwork, owner: FakeLinks, nodeId: string) {
    this.#network = network;
    this.owner = owner;
    this.nodeId = nodeId;
  }

  send(lane: Lane, port: number, content: Bytes, head?: Bytes): SendResult {
    const frame = head === undefined ? content : concatBytes(head, content);
    if (!this.live) return "ended";
    const state = this.#lane(lane);
    if (
      lane !== CONTROL && state.pendingBytes > 0 &&
      state.pendingBytes + frame.byteLength > this.#network.laneBytes
    ) {
      state.refused = true;
      return "full";
    }
    this.taken[lane] = (this.taken[lane] ?? 0) + 1;
    state.pendingBytes += frame.byteLength;
    const now = this.#network.clock.now();
    const arrivesAt = Math.max(now + this.#network.delayMs(), state.frames.at(-1)?.arrivesAt ?? 0);
    state.frames.push({ port, frame, arrivesAt });
    this.#network.clock.timer(arrivesAt - now, () => this.#arrive(lane));
    return "sent";
  }

  datagram(): boolean {
    return false;
  }

  pendingBytes(lane: Lane): number {
    return this.#lane(lane).pendingBytes;
  }

  end(reason: DownReason): void {
    if (!this.live) return;
    this.live = false;
    for (const state of this.#lanes) state.frames.length = 0;
    this.owner.ended(this, reason);
  }

  #lane(lane: Lane): LaneState {
    return this.#lanes[lane] as LaneState;
  }

  #arrive(lane: Lane): void {
    const state = this.#lane(lane);
    const next = state.frames.shift();
    if (next === undefined) return;
    state.pendingBytes -= next.frame.byteLength;
    if (this.other?.live === true) this.other.receive(lane, next.port, next.frame.slice());
    if (this.live && state.refused && state.pendingBytes * 2 <= this.#network.laneBytes) {
      state.refused = false;
      for (const service of this.owner.services.values()) service.writable?.(this, lane);
    }
  }

  /** A frame of the other side. */
  receive(lane: Lane, port: number, frame: Bytes): void {
    try {
      this.owner.services.get(port)?.frame?.(this, lane, frame);
    } catch (thrown) {
      this.#network.faults.push(thrown);
      this.#network.end(this, "fault", 0);
    }
  }
}

export class FakeLinks implements Pick<Links, "nodeId" | "register" | "session" | "sessions"> {
  readonly nodeId: string;
  readonly services: Map<number, LinkService> = new Map();
  readonly #sessions = new Map<string, FakeSession>();

  constructor(nodeId: string) {
    this.nodeId = nodeId;
  }

  register(port: number, service: LinkService): void {
    this.services.set(port, service);
  }

  session(nodeId: string): FakeSession | undefined {
    return this.#sessions.get(nodeId);
  }

  sessions(): Iterable<FakeSession> {
    return this.#sessions.values();
  }

  began(session: FakeSession): void {
    this.#sessions.set(session.nodeId, session);
    for (const service of this.services.values()) service.up?.(session);
  }

  ended(session: FakeSession, reason: DownReason): void {
    if (this.#sessions.get(session.nodeId) === session) this.#sessions.delete(session.nodeId);
    for (const service of this.services.values()) service.down?.(session, reason);
  }
}

export class FakeNetwork {
  readonly clock: Clock;
  /** What services threw at frames. */
  readonly faults: unknown[] = [];
  /** One way, for each frame; a lane keeps its order whatever it says. */
  delayMs: () => number = () => 1;
  /** Window of the bulk lanes. */
  laneBytes = 1_048_576;
  readonly #nodes = new Map<string, FakeLinks>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  node(nodeId: string): FakeLinks {
    const links = new FakeLinks(nodeId);
    this.#nodes.set(nodeId, links);
    return links;
  }

  /** Begins a session between each two nodes that have none. */
  joinAll(): void {
    const nodes = [...this.#nodes.values()];
    for (const [index, one] of nodes.entries()) {
      for (const another of nodes.slice(index + 1)) this.join(one, another);
    }
  }

  /** Not while either side still has the last one. */
  join(one: FakeLinks, another: FakeLinks): void {
    if (one.session(another.nodeId) !== undefined || another.session(one.nodeId) !== undefined) return;
    const there = new FakeSession(this, one, another.nodeId);
    const back = new FakeSession(this, another, one.nodeId);
    there.other = back;
    back.other = there;
    one.began(there);
    another.began(back);
  }

  /** Ends the session; the other side hears of it `laterMs` later, and what it sends until then is lost. */
  end(session: FakeSession, reason: DownReason, laterMs: number): void {
    session.end(reason);
    if (laterMs === 0) session.other?.end(reason);
    else this.clock.timer(laterMs, () => session.other?.end(reason));
  }
}
