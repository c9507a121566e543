/**
 * Links in memory and virtual time: sessions with ordered lanes, a delay each way, and cuts. Honest in what the
 * contract promises and no more: frames of an ended session are lost, and a service that throws ends its session.
 */
import type { Clock } from "../../src/lib/clock.ts";
import { CONTROL, LANES } from "../../src/link/contract.ts";
import type { DownReason, Lane, Links, LinkService, SendResult, Session } from "../../src/link/contract.ts";
import { FlotillaError } from "../../src/lib/errors.ts";

type Frame = Uint8Array<ArrayBuffer>;

export class FakeSession implements Session {
  readonly nodeId: string;
  readonly incarnation = "0123456789abcdef";
  live = true;
  /** Breaks the contract on purpose: what becomes of a frame on its way; undefined loses it. */
  tamper: (frame: Frame) => Frame | undefined = (frame) => frame;
  sentFrames = 0;
  sentBytes = 0;
  mostPendingBytes = 0;
  readonly #network: FakeNetwork;
  readonly #to: FakeLinks;
  readonly #queues: { port: number; frame: Frame }[][] = LANES.map(() => []);
  readonly #pending: number[] = LANES.map(() => 0);
  #other: FakeSession | undefined;
  #held = false;

  constructor(network: FakeNetwork, to: FakeLinks) {
    this.nodeId = to.nodeId;
    this.#network = network;
    this.#to = to;
  }

  pair(other: FakeSession): void {
    this.#other = other;
  }

  send(lane: Lane, port: number, frame: Frame): SendResult {
    if (!this.live) return "ended";
    this.sentFrames++;
    this.sentBytes += frame.byteLength;
    this.#pending[lane] = this.pendingBytes(lane) + frame.byteLength;
    this.mostPendingBytes = Math.max(this.mostPendingBytes, this.pendingBytes(CONTROL));
    this.#queues[lane]?.push({ port, frame });
    this.#network.clock.timer(this.#network.delayMs(), () => this.#deliver(lane));
    return "sent";
  }

  datagram(): boolean {
    return false;
  }

  pendingBytes(lane: Lane): number {
    return this.#pending[lane] ?? 0;
  }

  /** Stops delivering (and acknowledging) what was sent, until `release`. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    for (const lane of LANES) while (this.live && this.#due(lane).length > 0) this.#deliver(lane);
  }

  #due(lane: Lane): { port: number; frame: Frame }[] {
    return this.#queues[lane] as { port: number; frame: Frame }[];
  }

  /** The oldest frame, whichever timer this is: so order holds whatever the delays are. */
  #deliver(lane: Lane): void {
    if (this.#held || !this.live || this.#other === undefined) return;
    const next = this.#due(lane).shift();
    if (next === undefined) return;
    const { port, frame } = next;
    this.#network.clock.timer(this.#network.delayMs(), () => {
      this.#pending[lane] = this.pendingBytes(lane) - frame.byteLength;
    });
    // The receiver owns its bytes; the sender may share one frame among sessions.
    const arrived = this.tamper(frame.slice());
    if (arrived === undefined) return;
    try {
      this.#to.service(port)?.frame?.(this.#other, lane, arrived);
    } catch (thrown) {
      this.#network.faults.push(thrown);
      this.#network.end(this, "fault");
    }
  }
}

export class FakeLinks implements Pick<Links, "nodeId" | "register" | "session" | "sessions"> {
  readonly nodeId: string;
  readonly live: Map<string, FakeSession> = new Map();
  readonly #services = new Map<number, LinkService>();

  constructor(nodeId: string) {
    this.nodeId = nodeId;
  }

  register(port: number, service: LinkService): void {
    this.#services.set(port, service);
  }

  service(port: number): LinkService | undefined {
    return this.#services.get(port);
  }

  services(): Iterable<LinkService> {
    return this.#services.values();
  }

  session(nodeId: string): FakeSession | undefined {
    return this.live.get(nodeId);
  }

  sessions(): Iterable<FakeSession> {
    return this.live.values();
  }
}

export class FakeNetwork {
  readonly clock: Clock;
  readonly nodes: Map<string, FakeLinks> = new Map();
  /** What services threw at frames. */
  readonly faults: unknown[] = [];
  /** One way, in ms; asked for each frame. */
  delayMs: () => number = () => 1;
  readonly #pairs = new Map<FakeSession, FakeSession>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  node(nodeId: string): FakeLinks {
    const links = new FakeLinks(nodeId);
    this.nodes.set(nodeId, links);
    return links;
  }

  /** Begins a session between two nodes, unless there is one. */
  join(a: string, b: string): void {
    const first = this.#links(a);
    const second = this.#links(b);
    if (first.live.has(b)) return;
    const there = new FakeSession(this, second);
    const back = new FakeSession(this, first);
    there.pair(back);
    back.pair(there);
    this.#pairs.set(there, back).set(back, there);
    first.live.set(b, there);
    second.live.set(a, back);
    for (const service of first.services()) service.up?.(there);
    for (const service of second.services()) service.up?.(back);
  }

  joinAll(): void {
    const ids = [...this.nodes.keys()];
    for (const [index, a] of ids.entries()) for (const b of ids.slice(index + 1)) this.join(a, b);
  }

  /** Ends the session between two nodes; frames under way are lost. */
  cut(a: string, b: string, reason: DownReason = "timeout"): void {
    const session = this.#links(a).live.get(b);
    if (session !== undefined) this.end(session, reason);
  }

  end(session: FakeSession, reason: DownReason): void {
    const other = this.#pairs.get(session);
    if (!session.live || other === undefined) return;
    for (const [ended, at] of [[session, other.nodeId], [other, session.nodeId]] as const) {
      ended.live = false;
      const links = this.#links(at);
      links.live.delete(ended.nodeId);
      for (const service of links.services()) service.down?.(ended, reason);
    }
  }

  #links(nodeId: string): FakeLinks {
    const links = this.nodes.get(nodeId);
    if (links === undefined) {
      throw new FlotillaError("invalid-option", `find node ${nodeId}: it was not made`);
    }
    return links;
  }
}
