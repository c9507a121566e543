/**
 * The reference transport: any number of nodes in one process, with faults on demand. For tests, of the
 * library and of what is built on it, and for trying things out.
 *
 * ```ts
 * const faults = { lossProbability: 0.05, latencyMs: 20 };
 * const hub = new MemoryHub({ clock: systemClock, random: seededRandom(1), faults });
 * const a = hub.transport("a");
 * const b = hub.transport("b");
 * hub.partition([["a"], ["b"]]);
 * hub.heal();
 * ```
 *
 * Packets are copied when sent and arrive in a later turn of the receiver's clock. With the same seed and the
 * same calls the same packets are lost, doubled and delayed.
 */
import type { Bytes } from "../src/lib/bytes.ts";
import type { Clock } from "../src/lib/clock.ts";
import { FlotillaError } from "../src/lib/errors.ts";
import type { Unsubscribe } from "../src/lib/events.ts";
import type { Random } from "../src/lib/random.ts";
import type {
  ClusterTransport,
  Path,
  TransportContext,
  TransportFeature,
  TransportSink,
} from "../src/transport.ts";
import { Inbox } from "./memory_inbox.ts";
import { type FaultPlan, faultPlan, Wire } from "./memory_wire.ts";

export type { FaultPlan } from "./memory_wire.ts";

export interface MemoryHubOptions {
  readonly clock: Clock;
  /** Decides every fault. */
  readonly random: Random;
  /** For every pair of nodes without a plan of its own (`setFaults`). Default: none. */
  readonly faults?: Partial<FaultPlan>;
  /**
   * What the transports declare. A lossless hub keeps order and loses nothing: a blocked way holds packets
   * until `heal`, and only `cut` loses them. Default: `["lossless"]` without `faults`, else `[]`.
   */
  readonly features?: readonly ("lossless" | "private")[];
  /** Default 262,144. */
  readonly packetBytesMax?: number;
  /** Whether nodes get peerSeen and peerGone hints. Default true. */
  readonly hints?: boolean;
}

/** A packet on its way, as a tap sees it when it is sent. The bytes must not be changed. */
export interface TappedPacket {
  readonly from: string;
  readonly to: string;
  readonly packet: Bytes;
  readonly broadcast: boolean;
}

/** Sees every packet; one that returns false loses it. */
export type Tap = (packet: TappedPacket) => boolean | void;

/** What a blocked lossless way holds before the path is lost, as a TCP connection gives up. */
const HELD_BYTES_MAX = 67_108_864;

/** Where the packets of one set of nodes meet. */
export class MemoryHub {
  readonly clock: Clock;
  readonly features: ReadonlySet<TransportFeature>;
  readonly packetBytesMax: number;
  readonly #random: Random;
  readonly #hints: boolean;
  #faults: FaultPlan;
  /** By nodeId; two that run under one id both get what is sent to it, as two subscribers of a broker do. */
  readonly #running = new Map<string, Set<MemoryTransport>>();
  readonly #wires = new Map<string, Map<string, Wire>>();
  readonly #taps = new Set<Tap>();
  #groups: Map<string, number> | undefined;

  constructor(options: MemoryHubOptions) {
    this.clock = options.clock;
    this.#random = options.random;
    this.features = new Set(options.features ?? (options.faults === undefined ? ["lossless"] : []));
    this.#faults = faultPlan(options.faults ?? {}, this.#lossless);
    this.packetBytesMax = options.packetBytesMax ?? 262_144;
    this.#hints = options.hints ?? true;
  }

  /** A new transport for `nodeId`. Its packets arrive by `clock`, so a paused clock pauses the node. */
  transport(nodeId: string, clock: Clock = this.clock): ClusterTransport {
    return new MemoryTransport(this, nodeId, clock);
  }

  /** Replaces the fault plan: of one ordered pair of nodes, or of all pairs without a plan of their own. */
  setFaults(faults: Partial<FaultPlan>, from?: string, to?: string): void {
    const plan = faultPlan(faults, this.#lossless);
    if (from !== undefined && to !== undefined) this.#wire(from, to).plan = plan;
    else this.#faults = plan;
  }

  /** Lets nothing pass from `from` to `to`, silently; the other direction is left alone. */
  block(from: string, to: string): void {
    this.#wire(from, to).blocked = true;
  }

  /**
   * Lets nothing pass between nodes of different groups, also of those that start later. Nodes not named
   * are one more group. Silently, or with `cut: true` as `cut` does it. Replaces an earlier partition.
   */
  partition(groups: readonly (readonly string[])[], options: { cut?: boolean } = {}): void {
    this.#groups = new Map(groups.flatMap((group, index) => group.map((nodeId) => [nodeId, index] as const)));
    if (options.cut !== true) return;
    this.#eachPair((a, b) => this.#blocked(this.#wire(a, b)) && this.cut(a, b));
  }

  /** The path between two nodes is lost with everything on it, and both hear peerGone. */
  cut(a: string, b: string): void {
    this.#wire(a, b).cutNow();
    this.#wire(b, a).cutNow();
    this.#hint("peerGone", a, b);
    this.#hint("peerGone", b, a);
  }

  /**
   * Ends every block, cut and partition, or those between two nodes (a partition stays); both hear
   * peerSeen.
   */
  heal(a?: string, b?: string): void {
    const one = a !== undefined && b !== undefined;
    if (!one) this.#groups = undefined;
    for (const wires of one ? [[this.#wire(a, b), this.#wire(b, a)]] : this.#allWires()) {
      for (const wire of wires) {
        wire.blocked = wire.cut = false;
        for (const packet of this.#blocked(wire) ? [] : wire.release()) this.#carry(wire, packet);
      }
    }
    if (one) this.#greet(a, b);
    else this.#eachPair((first, second) => this.#greet(first, second));
  }

  /** Shows every packet that is sent to `tap`. */
  tap(tap: Tap): Unsubscribe {
    this.#taps.add(tap);
    return () => void this.#taps.delete(tap);
  }

  /** Makes `packet` arrive at `to` as if `from` had sent it, past every fault and tap. */
  inject(from: string, to: string, packet: Bytes): void {
    for (const receiver of this.#running.get(to) ?? []) {
      receiver.inbox.add(receiver.inbox.clock.now(), (sink) => sink.packet(from, packet.slice()));
    }
  }

  /** For MemoryTransport: it runs from now on. */
  join(transport: MemoryTransport): void {
    const { nodeId } = transport;
    const running = this.#running.get(nodeId);
    if (running === undefined) this.#running.set(nodeId, new Set([transport]));
    else running.add(transport);
    for (const other of this.#running.keys()) this.#greet(nodeId, other);
  }

  /** For MemoryTransport: it has stopped. */
  leave(transport: MemoryTransport): void {
    const { nodeId } = transport;
    const running = this.#running.get(nodeId);
    if (running?.delete(transport) !== true || running.size > 0) return;
    this.#running.delete(nodeId);
    for (const other of this.#running.keys()) {
      const wire = this.#wire(nodeId, other);
      if (!wire.cut && !this.#blocked(wire)) this.#hint("peerGone", other, nodeId);
    }
  }

  /** For MemoryTransport: `to` undefined is a broadcast. */
  transmit(sender: MemoryTransport, packet: Bytes, to?: string): void {
    const from = sender.nodeId;
    for (const receiver of to === undefined ? this.#running.keys() : [to]) {
      if (receiver === from && this.#running.get(from)?.size === 1) continue;
      const seen: TappedPacket = { from, to: receiver, packet, broadcast: to === undefined };
      let lost = false;
      for (const tap of this.#taps) if (tap(seen) === false) lost = true;
      if (!lost) this.#carry(this.#wire(from, receiver), packet, sender);
    }
  }

  /** For MemoryTransport. */
  queuedBytes(from: string, to: string): number {
    return this.#wires.get(from)?.get(to)?.queuedBytes(this.clock.now()) ?? 0;
  }

  #carry(wire: Wire, packet: Bytes, sender?: MemoryTransport): void {
    if (wire.cut) return;
    if (this.#blocked(wire)) {
      if (!this.#lossless) return;
      wire.hold(packet.slice());
      if (wire.queuedBytes(this.clock.now()) > HELD_BYTES_MAX) this.cut(wire.from, wire.to);
      return;
    }
    const receivers = this.#running.get(wire.to);
    if (receivers === undefined) return;
    const plan = wire.plan ?? this.#faults;
    const { epoch } = wire;
    const at = wire.arrivals(packet.byteLength, this.clock.now(), plan, this.#lossless, this.#random);
    for (const dueMs of at) {
      for (const receiver of receivers) {
        if (receiver === sender) continue;
        const copy = packet.slice();
        receiver.inbox.add(dueMs, (sink) => wire.epoch === epoch && sink.packet(wire.from, copy));
      }
    }
  }

  get #lossless(): boolean {
    return this.features.has("lossless");
  }

  #blocked(wire: Wire): boolean {
    return wire.blocked || this.#groups?.get(wire.from) !== this.#groups?.get(wire.to);
  }

  #greet(a: string, b: string): void {
    for (const [from, to] of [[a, b], [b, a]] as const) {
      const wire = this.#wire(from, to);
      if (!wire.cut && !this.#blocked(wire)) this.#hint("peerSeen", to, from);
    }
  }

  #hint(kind: "peerSeen" | "peerGone", at: string, about: string): void {
    if (!this.#hints || at === about) return;
    for (const { inbox } of this.#running.get(at) ?? []) {
      inbox.add(inbox.clock.now(), (sink) => sink[kind](about));
    }
  }

  #eachPair(visit: (a: string, b: string) => void): void {
    const nodeIds = [...this.#running.keys()];
    nodeIds.forEach((a, index) => nodeIds.slice(index + 1).forEach((b) => visit(a, b)));
  }

  #allWires(): Wire[][] {
    return [...this.#wires.values()].map((wires) => [...wires.values()]);
  }

  #wire(from: string, to: string): Wire {
    let wires = this.#wires.get(from);
    if (wires === undefined) this.#wires.set(from, wires = new Map());
    let wire = wires.get(to);
    if (wire === undefined) wires.set(to, wire = new Wire(from, to));
    return wire;
  }
}

class MemoryTransport implements ClusterTransport {
  readonly name = "memory";
  readonly nodeId: string;
  readonly inbox: Inbox;
  readonly #hub: MemoryHub;

  constructor(hub: MemoryHub, nodeId: string, clock: Clock) {
    this.#hub = hub;
    this.nodeId = nodeId;
    this.inbox = new Inbox(clock);
  }

  get features(): ReadonlySet<TransportFeature> {
    return this.#hub.features;
  }

  get packetBytesMax(): number {
    return this.#hub.packetBytesMax;
  }

  start(sink: TransportSink): Promise<void> {
    this.inbox.sink = sink;
    this.#hub.join(this);
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.inbox.close();
    this.#hub.leave(this);
    return Promise.resolve();
  }

  send(nodeId: string, packet: Bytes, _path?: Path): void {
    this.#transmit(packet, nodeId);
  }

  broadcast(packet: Bytes): void {
    this.#transmit(packet);
  }

  #transmit(packet: Bytes, to?: string): void {
    if (packet.byteLength > this.packetBytesMax) {
      const limit = `${packet.byteLength} bytes is over packetBytesMax, ${this.packetBytesMax}`;
      throw new FlotillaError("too-large", `send a packet to ${to ?? "all"}: ${limit}`);
    }
    if (this.inbox.sink !== undefined) this.#hub.transmit(this, packet, to);
  }

  queuedBytes(nodeId: string): number {
    return this.#hub.queuedBytes(this.nodeId, nodeId);
  }

  counters(): Readonly<Record<string, number>> {
    return {};
  }

  confirm(_nodeId: string, _path: Path): void {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** A transport on `hub` with what every transport gets from its surroundings. */
export function memoryTransport(hub: MemoryHub, context: TransportContext): ClusterTransport {
  return hub.transport(context.nodeId, context.clock);
}
