import { describe, expect, test } from "bun:test";
import { type Bytes, utf8 } from "../../src/lib/bytes.ts";
import { silentLogger } from "../../src/lib/logger.ts";
import { seededRandom } from "../../src/lib/random.ts";
import type { TransportSink } from "../../src/transport.ts";
import { MemoryHub, type MemoryHubOptions, memoryTransport } from "../../transports/memory.ts";
import { transportConformance } from "../support/conformance.ts";
import { SimClock } from "../support/sim_clock.ts";
import { simWorld } from "../support/sim_world.ts";

function conformance(name: string, options: Partial<MemoryHubOptions>, lossless: boolean): void {
  transportConformance(name, {
    features: lossless ? ["lossless"] : [],
    announcesStops: true,
    make() {
      const clock = new SimClock();
      const random = seededRandom(42);
      const hub = new MemoryHub({ clock, random, ...options });
      const context = { clock, random, logger: silentLogger };
      return Promise.resolve(simWorld(
        clock,
        (nodeId) => Promise.resolve(memoryTransport(hub, { ...context, nodeId })),
        async (nodeId) => {
          for (let round = 0; round < 100; round++) hub.inject("outsider", nodeId, random.bytes(round));
          await clock.advance(100);
        },
      ));
    },
  });
}

conformance("memory", {}, true);
conformance("memory with latency, jitter and little bandwidth", {
  features: ["lossless"],
  faults: { latencyMs: 20, jitterMs: 30, bytesPerSecond: 10_000_000 },
}, true);
conformance("memory that loses, doubles and reorders", {
  faults: { lossProbability: 0.2, duplicationProbability: 0.1, reorderProbability: 0.3, latencyMs: 5 },
}, false);

/** Keeps what it hears, as lines. */
class Ear implements TransportSink {
  readonly lines: string[] = [];

  packet(from: string, packet: Bytes): void {
    this.lines.push(`${from}: ${new TextDecoder().decode(packet)}`);
  }

  peerSeen(nodeId: string): void {
    this.lines.push(`seen ${nodeId}`);
  }

  peerGone(nodeId: string): void {
    this.lines.push(`gone ${nodeId}`);
  }

  /** The lines since the last call. */
  take(): string[] {
    return this.lines.splice(0);
  }
}

async function pair(options: Partial<MemoryHubOptions> = {}) {
  const clock = new SimClock();
  const hub = new MemoryHub({ clock, random: seededRandom(1), ...options });
  const [a, b] = [hub.transport("a"), hub.transport("b")];
  const [earA, earB] = [new Ear(), new Ear()];
  await a.start(earA);
  await b.start(earB);
  await clock.advance(1_000);
  earA.take();
  earB.take();
  return { clock, hub, a, b, earA, earB };
}

describe("MemoryHub", () => {
  test("hints at nodes that start and stop", async () => {
    const clock = new SimClock();
    const hub = new MemoryHub({ clock, random: seededRandom(1) });
    const [a, b] = [hub.transport("a"), hub.transport("b")];
    const ear = new Ear();
    await a.start(ear);
    await b.start(new Ear());
    expect(ear.lines).toEqual([]);
    await clock.advance(0);
    await b.stop();
    await clock.advance(0);
    expect(ear.lines).toEqual(["seen b", "gone b"]);
    await a.stop();
    expect(clock.timers).toBe(0);
  });

  test("copies a packet when it is sent", async () => {
    const { clock, a, earB } = await pair();
    const packet = utf8("before");
    a.send("b", packet);
    packet.fill(0);
    await clock.advance(0);
    expect(earB.take()).toEqual(["a: before"]);
  });

  test("loses, doubles and reorders as the plan and the seed say, and the same again with the same seed", async () => {
    const run = async (): Promise<string[]> => {
      const { clock, a, earB } = await pair({
        faults: { lossProbability: 0.1, duplicationProbability: 0.1, reorderProbability: 0.1, latencyMs: 1 },
      });
      for (let number = 0; number < 1_000; number++) {
        a.send("b", utf8(String(number)));
        await clock.advance(1);
      }
      await clock.advance(100);
      return earB.take();
    };
    const lines = await run();
    const numbers = lines.map((line) => Number(line.slice(3)));
    const different = new Set(numbers).size;
    expect(different).toBeGreaterThan(850);
    expect(different).toBeLessThan(950);
    expect(numbers.length - different).toBeGreaterThan(50);
    expect(numbers.some((number, index) => number < (numbers[index - 1] ?? 0))).toBe(true);
    expect(await run()).toEqual(lines);
  });

  test("changes faults at run time, also for one direction between two nodes", async () => {
    const { clock, hub, a, b, earA, earB } = await pair({ faults: {} });
    hub.setFaults({ lossProbability: 1 }, "a", "b");
    a.send("b", utf8("lost"));
    b.send("a", utf8("passes"));
    await clock.advance(0);
    expect([earA.take(), earB.take()]).toEqual([["b: passes"], []]);
    hub.setFaults({ latencyMs: 50 }, "a", "b");
    a.send("b", utf8("late"));
    await clock.advance(49);
    expect(earB.take()).toEqual([]);
    await clock.advance(1);
    expect(earB.take()).toEqual(["a: late"]);
  });

  test("sends at the given rate, counts exactly what waits, and loses the newest over the queue's bound", async () => {
    const { clock, a, earB } = await pair({ faults: { bytesPerSecond: 1_000, queueBytesMax: 250 } });
    for (const letter of "abc") a.send("b", utf8(letter.repeat(100)));
    expect(a.queuedBytes("b")).toBe(200);
    await clock.advance(99);
    expect([a.queuedBytes("b"), earB.take().length]).toEqual([200, 0]);
    await clock.advance(1);
    expect([a.queuedBytes("b"), earB.take().length]).toEqual([100, 1]);
    await clock.advance(1_000);
    expect([a.queuedBytes("b"), earB.take().length]).toEqual([0, 1]);
  });

  test("loses what is sent into a block or a partition, without a hint, until it is healed", async () => {
    const { clock, hub, a, b, earA, earB } = await pair({ faults: {} });
    hub.block("a", "b");
    a.send("b", utf8("blocked"));
    b.send("a", utf8("other direction"));
    await clock.advance(0);
    expect([earA.take(), earB.take()]).toEqual([["b: other direction"], []]);
    hub.heal("a", "b");
    await clock.advance(0);
    expect([earA.take(), earB.take()]).toEqual([["seen b"], ["seen a"]]);
    hub.partition([["a"], ["b"]]);
    a.send("b", utf8("parted"));
    b.send("a", utf8("parted"));
    await clock.advance(0);
    expect([earA.take(), earB.take()]).toEqual([[], []]);
    hub.heal();
    a.send("b", utf8("healed"));
    await clock.advance(0);
    expect([earA.take(), earB.take()]).toEqual([["seen b"], ["seen a", "a: healed"]]);
  });

  test("keeps nodes that start later apart, and nodes that are not named together", async () => {
    const { clock, hub, a, earA } = await pair({ faults: {} });
    hub.partition([["a"]]);
    const c = hub.transport("c");
    const earC = new Ear();
    await c.start(earC);
    a.send("c", utf8("parted"));
    await clock.advance(0);
    expect([earA.take(), earC.take()]).toEqual([[], ["seen b"]]);
  });

  test("holds what is sent into a block while it is lossless, and counts it as queued", async () => {
    const { clock, hub, a, earB } = await pair();
    hub.block("a", "b");
    a.send("b", utf8("one"));
    a.send("b", utf8("two"));
    await clock.advance(1_000);
    expect([a.queuedBytes("b"), earB.take()]).toEqual([6, []]);
    hub.heal();
    a.send("b", utf8("three"));
    await clock.advance(0);
    expect(a.queuedBytes("b")).toBe(0);
    expect(earB.take().filter((line) => line !== "seen a")).toEqual(["a: one", "a: two", "a: three"]);
  });

  test("loses what is on a path that is cut, and tells both ends of the loss and of the healing", async () => {
    const { clock, hub, a, b, earA, earB } = await pair({
      features: ["lossless"],
      faults: { latencyMs: 10 },
    });
    a.send("b", utf8("under way"));
    hub.cut("b", "a");
    b.send("a", utf8("into the cut"));
    await clock.advance(100);
    expect([earA.take(), earB.take()]).toEqual([["gone b"], ["gone a"]]);
    hub.heal();
    await clock.advance(0);
    expect([earA.take(), earB.take()]).toEqual([["seen b"], ["seen a"]]);
    hub.partition([["a"], ["b"]], { cut: true });
    await clock.advance(0);
    expect([earA.take(), earB.take()]).toEqual([["gone b"], ["gone a"]]);
  });

  test("shows every packet to a tap, which may lose it, and brings injected ones", async () => {
    const { clock, hub, a, b, earA, earB } = await pair();
    const seen: string[] = [];
    const untap = hub.tap(({ from, to, packet, broadcast }) => {
      seen.push(`${from} ${to} ${packet.byteLength} ${broadcast}`);
      return from === "b";
    });
    a.send("b", utf8("lost"));
    b.broadcast(utf8("all"));
    hub.inject("b", "a", utf8("made up"));
    await clock.advance(0);
    untap();
    a.send("b", utf8("unseen"));
    await clock.advance(0);
    expect(seen).toEqual(["a b 4 false", "b a 3 true"]);
    expect([earA.take(), earB.take()]).toEqual([["b: all", "b: made up"], ["a: unseen"]]);
  });

  test("lets two nodes under one id both hear what is sent to it, and hear each other", async () => {
    const { clock, hub, b, a, earA } = await pair();
    const twin = hub.transport("a");
    const earTwin = new Ear();
    await twin.start(earTwin);
    await clock.advance(0);
    earA.take();
    earTwin.take();
    b.send("a", utf8("both"));
    a.send("a", utf8("to the twin"));
    await clock.advance(0);
    expect([earA.take(), earTwin.take()]).toEqual([["b: both"], ["b: both", "a: to the twin"]]);
  });

  test("leaves packets for a paused node lying until it resumes", async () => {
    const clock = new SimClock();
    const hub = new MemoryHub({ clock, random: seededRandom(1) });
    const view = clock.view();
    const [a, b] = [hub.transport("a"), hub.transport("b", view)];
    const ear = new Ear();
    await a.start(new Ear());
    await b.start(ear);
    await clock.advance(0);
    ear.take();
    view.pause();
    a.send("b", utf8("one"));
    await clock.advance(5_000);
    a.send("b", utf8("two"));
    await clock.advance(5_000);
    expect(ear.take()).toEqual([]);
    view.resume();
    await clock.advance(0);
    expect(ear.take()).toEqual(["a: one", "a: two"]);
  });

  test("carries a hundred thousand packets of one turn in one turn", async () => {
    const { clock, a, earB } = await pair();
    const packet = utf8("x");
    for (let count = 0; count < 100_000; count++) a.send("b", packet);
    expect(clock.timers).toBe(1);
    await clock.advance(0);
    expect(earB.take().length).toBe(100_000);
  });

  test.each(
    [
      ["a probability over 1", { lossProbability: 1.5 }, []],
      ["a negative latency", { latencyMs: -1 }, []],
      ["no bandwidth at all", { bytesPerSecond: 0 }, []],
      ["loss on a lossless hub", { lossProbability: 0.1 }, ["lossless"]],
    ] as const,
  )("refuses a plan with %s", (_what, faults, features) => {
    const make = () => new MemoryHub({ clock: new SimClock(), random: seededRandom(1), faults, features });
    expect(make).toThrow("fault plan");
  });
});
