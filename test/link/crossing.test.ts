import { describe, expect, test } from "bun:test";
import type { Bytes } from "../../src/lib/bytes.ts";
import { silentLogger } from "../../src/lib/logger.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { MESSAGES } from "../../src/link/contract.ts";
import { ClusterLinks } from "../../src/link/links.ts";
import { PACKET } from "../../src/link/packet.ts";
import type { TransportSink } from "../../src/transport.ts";
import { MemoryHub } from "../../transports/memory.ts";
import { pendingCrypto } from "../support/pending_crypto.ts";
import { scale } from "../support/scale.ts";
import { SimClock } from "../support/sim_clock.ts";
import { met, numbered, numberOf, SimLinks, TEST_PORT } from "../support/sim_links.ts";

const LIMIT_MS = scale(20_000, 300_000);

/** Hellos and replies carry a public key more. */
const CONFIRM_BYTES_MAX = 110;

describe("handshakes that cross", () => {
  test("two nodes that start at any two moments become up once each, whatever crosses", async () => {
    for (let seed = 1; seed <= scale(20, 2_000); seed++) {
      const random = seededRandom(seed);
      const sim = new SimLinks(seed, {
        faults: { latencyMs: random.float() * 120, jitterMs: random.float() * 120 },
      });
      const [a, b] = [sim.node("a"), sim.node("b")];
      const [first, second] = random.float() < 0.5 ? [a, b] : [b, a];
      await sim.start(first);
      await sim.clock.advance(random.float() * 400);
      await sim.start(second);
      await sim.clock.advance(8_000);
      expect({ seed, up: [a.count("up"), b.count("up")], down: a.count("down") + b.count("down") })
        .toEqual({ seed, up: [1, 1], down: 0 });
      await sim.stop();
      expect({ seed, timers: sim.clock.timers }).toEqual({ seed, timers: 0 });
    }
  }, LIMIT_MS);

  test("two ends that lose their way at once resume the session they had, whatever crosses", async () => {
    for (let seed = 1; seed <= scale(20, 2_000); seed++) {
      const random = seededRandom(seed);
      const sim = new SimLinks(seed, {
        features: ["lossless"],
        faults: { latencyMs: random.float() * 120, jitterMs: random.float() * 120 },
      });
      const [a, b] = [sim.node("a"), sim.node("b")];
      await sim.meet(a, b);
      await sim.clock.advance(1_000);
      const session = a.links.session("b");
      for (let cut = 0; cut < 3; cut++) {
        sim.hub.cut("a", "b");
        session?.send(MESSAGES, TEST_PORT, numbered(cut));
        await sim.clock.advance(random.float() * 300);
        sim.hub.heal();
        await sim.clock.advance(random.float() * 300);
      }
      await sim.clock.advance(4_000);
      expect({
        seed,
        down: a.count("down") + b.count("down"),
        met: met([a, b]),
        got: b.frames().map(numberOf),
      })
        .toEqual({ seed, down: 0, met: true, got: [0, 1, 2] });
      await sim.stop();
    }
  }, LIMIT_MS);

  test.each([0, 15, 35, 55])(
    "a node that begins an attempt %i ms after it answered one settles with the peer on one of them",
    async (lateMs) => {
      const sim = new SimLinks(7, { faults: { latencyMs: 20 }, hints: false });
      const [a, b] = [sim.node("a"), sim.node("b")];
      let answered = false;
      sim.hub.tap(({ from, packet }) => {
        if (packet[0] === PACKET.announce) return false;
        if (from !== "a" || answered) return true;
        answered = true;
        sim.clock.timer(lateMs, () => sim.hub.inject("b", "a", Uint8Array.of(PACKET.announce)));
        return true;
      });
      await sim.start(a, b);
      sim.hub.inject("a", "b", Uint8Array.of(PACKET.announce));
      await sim.clock.advance(6_000);
      expect({
        up: [a.count("up"), b.count("up")],
        down: a.count("down") + b.count("down"),
        met: met([a, b]),
      })
        .toEqual({ up: [1, 1], down: 0, met: true });
      await sim.stop();
    },
  );

  test("of two attempts that are both confirmed the one of the lower id counts, on both sides", async () => {
    const sim = new SimLinks(9, { faults: { latencyMs: 20 }, hints: false });
    const [a, b] = [sim.node("a"), sim.node("b")];
    let fromA = 0;
    sim.hub.tap(({ from, to, packet }) => {
      if (packet[0] === PACKET.announce) return false;
      if (packet[0] !== PACKET.handshake) return true;
      // Just after it answered b's hello, a hears of b and says hello itself; b's confirm is held up.
      if (from === "a" && fromA++ === 0) sim.hub.inject("b", "a", Uint8Array.of(PACKET.announce));
      // A confirm is the shortest message.
      if (from !== "b" || packet.byteLength > CONFIRM_BYTES_MAX) return true;
      const confirm = packet.slice();
      sim.clock.timer(55, () => sim.hub.inject(from, to, confirm));
      return false;
    });
    await sim.start(a, b);
    sim.hub.inject("a", "b", Uint8Array.of(PACKET.announce));
    await sim.clock.advance(6_000);
    expect({ up: [a.count("up"), b.count("up")], down: a.count("down") + b.count("down"), met: met([a, b]) })
      .toEqual({ up: [1, 1], down: 0, met: true });
    await sim.stop();
  });

  test("hints that repeat without end put no attempt off", async () => {
    const sim = new SimLinks(8, { faults: { latencyMs: 5 }, hints: false });
    const [a, b] = [sim.node("a"), sim.node("b")];
    sim.hub.tap(({ packet }) => packet[0] !== PACKET.announce);
    await sim.start(a, b);
    for (let round = 0; round < 40 && !met([a, b]); round++) {
      sim.hub.inject("a", "b", Uint8Array.of(PACKET.announce));
      await sim.clock.advance(50);
    }
    expect(met([a, b])).toBe(true);
    await sim.stop();
  });

  test("a broker that returns every packet at once does not make a node try without pause", async () => {
    const clock = new SimClock({ pending: pendingCrypto });
    const random = seededRandom(1);
    const transport = new MemoryHub({ clock, random, faults: {} }).transport("a");
    let sent = 0;
    let sink: TransportSink | undefined;
    const start = transport.start.bind(transport);
    transport.start = (own) => {
      sink = own;
      return start(own);
    };
    transport.send = (nodeId) => {
      sent++;
      clock.timer(1, () => sink?.peerGone(nodeId));
    };
    const links = new ClusterLinks(transport, { clusterName: "test" }, {
      nodeId: "a",
      clock,
      random,
      logger: silentLogger,
    });
    const started = links.start();
    await clock.advance(0);
    await started;
    sink?.peerSeen("b");
    await clock.advance(4_000);
    expect(sent).toBeGreaterThan(1);
    expect(sent).toBeLessThan(20);
    await links.stop();
    expect(clock.timers).toBe(0);
  });

  test("every single handshake packet may be lost, late or doubled", async () => {
    for (const fault of ["lost", "late", "doubled"] as const) {
      for (let victim = 0; victim < 8; victim++) {
        const sim = new SimLinks(1_000 + victim, { faults: { latencyMs: 5 } });
        const [a, b] = [sim.node("a", { seal: "never" }), sim.node("b", { seal: "never" })];
        let seen = 0;
        sim.hub.tap(({ from, to, packet, broadcast }) => {
          if (broadcast || packet[0] === PACKET.announce || seen++ !== victim) return;
          const copy: Bytes = packet.slice();
          if (fault !== "lost") sim.clock.timer(300, () => sim.hub.inject(from, to, copy));
          return fault === "doubled";
        });
        await sim.start(a, b);
        await sim.clock.advance(4_000);
        const context = { fault, victim };
        expect({ ...context, met: met([a, b]), down: a.count("down") + b.count("down") })
          .toEqual({ ...context, met: true, down: 0 });
        await sim.stop();
      }
    }
  });
});

describe("a node that comes back", () => {
  test("is admitted although packets of its former run are still on their way", async () => {
    const sim = new SimLinks(5, { faults: { latencyMs: 1 } });
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    // What the dying node sent arrives one by one over the next seconds.
    sim.hub.setFaults({ latencyMs: 200, jitterMs: 3_000 }, "b", "a");
    const session = b.links.session("a");
    for (let index = 0; index < 60; index++) {
      session?.datagram(TEST_PORT, numbered(index));
      await sim.clock.advance(1);
    }
    await b.kill();
    sim.hub.setFaults({ latencyMs: 1 }, "b", "a");
    const again = sim.node("b");
    await sim.start(again);
    await sim.clock.runUntil(() => a.count("up") === 2 || again.fatal !== undefined, 3_000);
    expect(again.fatal).toBeUndefined();
    expect(a.links.peer("b")?.incarnation).toBe(again.links.incarnation);
    await sim.stop();
  });
});

describe("two nodes under one id", () => {
  test("that start at once: one is admitted and stays, the other is told that its id is in use", async () => {
    for (let seed = 1; seed <= scale(8, 300); seed++) {
      const random = seededRandom(seed);
      const faults = { latencyMs: random.float() * 30, jitterMs: random.float() * 30 };
      const sim = new SimLinks(seed, { faults: random.float() < 0.3 ? { latencyMs: 0 } : faults });
      const [a, one, two] = [sim.node(seed % 2 === 0 ? "a" : "c"), sim.node("b"), sim.node("b")];
      for (const twin of [one, two]) {
        twin.links.onFatal = (error) => {
          twin.fatal = error;
          void twin.links.stop();
        };
      }
      await sim.start(a, one, two);
      await sim.clock.advance(20_000);
      const fatal = [one, two].filter((twin) => twin.fatal !== undefined);
      expect({
        seed,
        fatal: fatal.map((twin) => twin.fatal?.code),
        ups: a.count("up"),
        downs: a.count("down"),
      })
        .toEqual({ seed, fatal: ["id-in-use"], ups: 1, downs: 0 });
      expect(a.links.peer("b")?.incarnation).toBe((fatal[0] === one ? two : one).links.incarnation);
      await sim.stop();
    }
  }, LIMIT_MS);
});
