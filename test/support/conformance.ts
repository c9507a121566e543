/**
 * The suite that every transport passes. It branches on declared features, never on a transport's name. A
 * transport joins with a World: how to make one of its kind, and how time passes there.
 */
import { describe, expect, test } from "bun:test";
import { type Bytes, equalBytes, utf8 } from "../../src/lib/bytes.ts";
import { type Clock, every } from "../../src/lib/clock.ts";
import { FlotillaError } from "../../src/lib/errors.ts";
import { seededRandom } from "../../src/lib/random.ts";
import type { ClusterTransport, Path, TransportFeature, TransportSink } from "../../src/transport.ts";

/** A place where transports of one kind find each other. */
export interface World extends AsyncDisposable {
  readonly clock: Clock;
  /**
   * A transport that will find all others of this world. Asked again after its stop, it is the node's
   * restart.
   */
  transport(nodeId: string): Promise<ClusterTransport>;
  /** Resolves when `condition` holds; rejects, naming `what`, when it does not in a sensible time. */
  until(what: string, condition: () => boolean): Promise<void>;
  /** Does to `nodeId` whatever somebody without the cluster's secret can do; resolves when all is done. */
  harass?(nodeId: string): Promise<void>;
}

export interface Conformance {
  readonly make: () => Promise<World>;
  readonly features: readonly TransportFeature[];
  /** Whether peers that stop are announced by `peerGone`; brokers cannot promise it. */
  readonly announcesStops: boolean;
}

const PROVE = utf8("conformance: prove");
const PROVEN = utf8("conformance: proven");
const PROBE = utf8("conformance: probe");

/** A node that stands in for the link layer: proves paths, lower nodeId first, and keeps what it receives. */
class Station implements TransportSink {
  readonly nodeId: string;
  readonly transport: ClusterTransport;
  readonly received: { from: string; packet: Bytes }[] = [];
  readonly gone: string[] = [];
  /** Nodes a probe came from since they were last gone. */
  readonly met = new Set<string>();
  readonly open = new Map<string, Set<Path>>();
  readonly #proving = new Map<string, Path>();

  constructor(nodeId: string, transport: ClusterTransport) {
    this.nodeId = nodeId;
    this.transport = transport;
  }

  packet(from: string, packet: Bytes, path?: Path): void {
    if (equalBytes(packet, PROBE)) this.met.add(from);
    else if (equalBytes(packet, PROVE) && path !== undefined) {
      this.transport.confirm(from, path);
      this.transport.send(from, PROVEN, path);
    } else if (equalBytes(packet, PROVEN) && path !== undefined) this.transport.confirm(from, path);
    else this.received.push({ from, packet });
  }

  peerSeen(nodeId: string, path?: Path): void {
    if (path === undefined) return;
    const paths = this.open.get(nodeId) ?? new Set();
    this.open.set(nodeId, paths.add(path));
    this.#prove(nodeId);
  }

  peerGone(nodeId: string, path?: Path): void {
    this.gone.push(nodeId);
    if (path === undefined) return void this.met.delete(nodeId);
    const paths = this.open.get(nodeId);
    paths?.delete(path);
    if (paths?.size === 0) this.met.delete(nodeId);
    if (this.#proving.get(nodeId) === path) this.#proving.delete(nodeId);
    this.#prove(nodeId);
  }

  #prove(nodeId: string): void {
    const [path] = this.open.get(nodeId) ?? [];
    if (this.nodeId > nodeId || path === undefined || this.#proving.has(nodeId)) return;
    this.#proving.set(nodeId, path);
    this.transport.send(nodeId, PROVE, path);
  }

  /** Exactly one path to each of `others`, where the transport has paths. */
  settled(others: readonly Station[]): boolean {
    if (!this.transport.features.has("paths")) return true;
    return others.every(({ nodeId }) => nodeId === this.nodeId || this.open.get(nodeId)?.size === 1);
  }

  packetsFrom(nodeId: string): Bytes[] {
    return this.received.filter(({ from }) => from === nodeId).map(({ packet }) => packet);
  }
}

/** Starts a station for each id and waits until all of them hear each other. */
async function stations(world: World, ...nodeIds: string[]): Promise<Station[]> {
  const all: Station[] = [];
  for (const nodeId of nodeIds) {
    const station = new Station(nodeId, await world.transport(nodeId));
    await station.transport.start(station);
    all.push(station);
  }
  await meet(world, all);
  return all;
}

async function meet(world: World, all: readonly Station[]): Promise<void> {
  const probing = every(world.clock, 20, () => {
    for (const { transport, nodeId } of all) {
      for (const other of all) if (other.nodeId !== nodeId) transport.send(other.nodeId, PROBE);
    }
  });
  await world.until(
    `${all.map(({ nodeId }) => nodeId)} all hear each other`,
    () =>
      all.every((station) =>
        station.settled(all) &&
        all.every(({ nodeId }) => nodeId === station.nodeId || station.met.has(nodeId))
      ),
  );
  probing.cancel();
}

/** Sends `packet` until it has arrived; once, if nothing can be lost. */
async function bring(world: World, from: Station, to: Station, packet: Bytes): Promise<void> {
  const arrived = (): boolean => to.packetsFrom(from.nodeId).some((got) => equalBytes(got, packet));
  from.transport.send(to.nodeId, packet);
  const again = from.transport.features.has("lossless")
    ? undefined
    : every(world.clock, 200, () => arrived() || from.transport.send(to.nodeId, packet));
  await world.until(`a packet of ${packet.byteLength} bytes from ${from.nodeId} to ${to.nodeId}`, arrived);
  again?.cancel();
}

/** Lets the world's time pass until all have stopped. */
async function stopAll(world: World, all: readonly Station[]): Promise<void> {
  let stopped = 0;
  for (const { transport } of all) void transport.stop().then(() => stopped++);
  await world.until("the stop of all transports", () => stopped === all.length);
}

export function transportConformance(name: string, { make, features, announcesStops }: Conformance): void {
  const lossless = features.includes("lossless");

  describe(`${name} as a transport`, () => {
    test("declares its features", async () => {
      await using world = await make();
      const transport = await world.transport("a");
      expect([...transport.features].sort()).toEqual([...features].sort());
    });

    test("carries packets of every size unaltered and unmerged", async () => {
      await using world = await make();
      const [a, b] = await stations(world, "a", "b") as [Station, Station];
      const random = seededRandom(1);
      for (const bytes of [0, 1, 100, 65_536, a.transport.packetBytesMax]) {
        await bring(world, a, b, random.bytes(bytes));
        await bring(world, b, a, random.bytes(bytes));
      }
      if (lossless) {
        expect(b.packetsFrom("a").map((packet) => packet.byteLength)).toEqual(
          [0, 1, 100, 65_536, a.transport.packetBytesMax],
        );
      }
      await stopAll(world, [a, b]);
    });

    test("refuses a packet over packetBytesMax with too-large, and sends nothing of it", async () => {
      await using world = await make();
      const [a, b] = await stations(world, "a", "b") as [Station, Station];
      const over = new Uint8Array(a.transport.packetBytesMax + 1);
      let code = "none";
      try {
        a.transport.send("b", over);
      } catch (thrown) {
        if (thrown instanceof FlotillaError) code = thrown.code;
      }
      expect(code).toBe("too-large");
      await bring(world, a, b, utf8("after"));
      expect(b.packetsFrom("a").every((packet) => packet.byteLength === 5)).toBe(true);
      await stopAll(world, [a, b]);
    });

    test("gives the receiver bytes of its own", async () => {
      await using world = await make();
      const [a, b] = await stations(world, "a", "b") as [Station, Station];
      const packet = utf8("the sender's");
      await bring(world, a, b, packet);
      b.packetsFrom("a")[0]?.fill(0);
      expect(packet).toEqual(utf8("the sender's"));
      await stopAll(world, [a, b]);
    });

    test("drops packets for a node that nobody knows, silently", async () => {
      await using world = await make();
      const [a, b] = await stations(world, "a", "b") as [Station, Station];
      a.transport.send("nobody", utf8("lost"));
      expect(a.transport.queuedBytes("nobody")).toBe(0);
      await bring(world, a, b, utf8("not lost"));
      expect(b.received.some(({ packet }) => equalBytes(packet, utf8("lost")))).toBe(false);
      await stopAll(world, [a, b]);
    });

    test("never echoes a broadcast to its sender", async () => {
      await using world = await make();
      const [a, b] = await stations(world, "a", "b") as [Station, Station];
      a.transport.broadcast(utf8("to all"));
      await bring(world, a, b, utf8("after"));
      await bring(world, b, a, utf8("after"));
      expect(a.received.every(({ from }) => from === "b")).toBe(true);
      await stopAll(world, [a, b]);
    });

    if (lossless) {
      test("brings ten thousand packets once each and in order", async () => {
        await using world = await make();
        const [a, b] = await stations(world, "a", "b") as [Station, Station];
        for (let number = 0; number < 10_000; number++) {
          const packet = new Uint8Array(4 + (number % 64));
          new DataView(packet.buffer).setUint32(0, number);
          a.transport.send("b", packet);
        }
        await world.until("ten thousand packets", () => b.received.length >= 10_000);
        const numbers = b.received.map(({ packet }) =>
          new DataView(packet.buffer, packet.byteOffset).getUint32(0)
        );
        expect(numbers.length).toBe(10_000);
        expect(numbers.every((number, index) => number === index)).toBe(true);
        await stopAll(world, [a, b]);
      });
    }

    test("has nothing queued once all has left", async () => {
      await using world = await make();
      const [a, b] = await stations(world, "a", "b") as [Station, Station];
      const packet = new Uint8Array(Math.min(65_536, a.transport.packetBytesMax));
      for (let count = 0; count < 64; count++) a.transport.send("b", packet);
      await world.until("an empty queue", () => a.transport.queuedBytes("b") === 0);
      await bring(world, a, b, utf8("last"));
      await stopAll(world, [a, b]);
    });

    test("joins any number of nodes in one process, and two clusters of the same ids never meet", async () => {
      await using world = await make();
      await using other = await make();
      const nodeIds = ["a", "b", "c", "d", "e"];
      const here = await stations(world, ...nodeIds);
      const there = await stations(other, ...nodeIds);
      const [a, b] = here as [Station, Station];
      await bring(world, a, b, utf8("only here"));
      expect(there.every(({ received }) => received.length === 0)).toBe(true);
      await stopAll(world, here);
      await stopAll(other, there);
    });

    test("stops once and for all: no hint or packet comes after, and sending does nothing", async () => {
      await using world = await make();
      const [a, b, c] = await stations(world, "a", "b", "c") as [Station, Station, Station];
      const { length } = a.received;
      const hints = a.gone.length;
      b.transport.send("a", utf8("too late"));
      await stopAll(world, [a, a]);
      await a.transport.stop();
      b.transport.send("a", utf8("far too late"));
      a.transport.send("b", utf8("never sent"));
      a.transport.broadcast(utf8("never sent"));
      await bring(world, b, c, utf8("others go on"));
      expect([a.received.length, a.gone.length]).toEqual([length, hints]);
      expect(b.received.some(({ packet }) => equalBytes(packet, utf8("never sent")))).toBe(false);
      await stopAll(world, [b, c]);
    });

    test("finds a peer again that has restarted", async () => {
      await using world = await make();
      const [a, b] = await stations(world, "a", "b") as [Station, Station];
      await stopAll(world, [b]);
      if (announcesStops) await world.until("the hint that b is gone", () => a.gone.includes("b"));
      a.met.delete("b");
      const again = new Station("b", await world.transport("b"));
      await again.transport.start(again);
      await meet(world, [a, again]);
      await bring(world, a, again, utf8("welcome back"));
      await stopAll(world, [a, again]);
    });

    test("goes on undisturbed whatever an outsider sends", async () => {
      await using world = await make();
      const [a, b] = await stations(world, "a", "b") as [Station, Station];
      await world.harass?.("a");
      await bring(world, a, b, utf8("still here"));
      await bring(world, b, a, utf8("so am I"));
      expect(a.packetsFrom("b").every((packet) => equalBytes(packet, utf8("so am I")))).toBe(true);
      await stopAll(world, [a, b]);
    });
  });
}
