import { describe, expect, test } from "bun:test";
import { CONTROL, LANES, MESSAGES, STREAMS } from "../../src/link/contract.ts";
import { numbered, numberOf, SimLinks, TEST_PORT } from "../support/sim_links.ts";
import { scale } from "../support/scale.ts";
import { report } from "../support/measure.ts";

describe("sessions", () => {
  test("two nodes meet, and a frame on each lane arrives once, whole and in order", async () => {
    const sim = new SimLinks(1);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    for (const lane of LANES) {
      for (const bytes of [0, 1, 200, 65_536, 300_000]) {
        a.links.session("b")?.send(lane, TEST_PORT, new Uint8Array(bytes).fill(lane + 1));
      }
    }
    await sim.clock.advance(100);
    for (const lane of LANES) {
      const frames = b.heard.filter((event) => event.kind === "frame" && event.lane === lane);
      expect(frames.map((event) => event.kind === "frame" && event.payload.byteLength)).toEqual([
        0,
        1,
        200,
        65_536,
        300_000,
      ]);
      expect(
        frames.every((event) => event.kind === "frame" && event.payload.every((byte) => byte === lane + 1)),
      ).toBe(true);
    }
    await sim.stop();
    expect(sim.clock.timers).toBe(0);
  });

  test("without loss nothing is sent twice and an idle link sends only pings", async () => {
    const sim = new SimLinks(2);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    await sim.clock.advance(10_000);
    const before = a.links.stats().packetsSent;
    await sim.clock.advance(10_000);
    expect(a.links.stats().packetsSent - before).toBeLessThanOrEqual(24);
    expect(a.links.stats().retransmits + b.links.stats().retransmits).toBe(0);
    await sim.stop();
  });

  test("sealed and plain sessions carry the same", async () => {
    for (const seal of ["always", "never"] as const) {
      const sim = new SimLinks(3);
      const [a, b] = [sim.node("a", { seal }), sim.node("b", { seal })];
      let clear = false;
      sim.hub.tap(({ packet }) => void (clear ||= new TextDecoder().decode(packet).includes("in the clear")));
      await sim.meet(a, b);
      a.links.session("b")?.send(MESSAGES, TEST_PORT, new TextEncoder().encode("read me in the clear"));
      await sim.clock.advance(10);
      expect(b.frames().map((payload) => new TextDecoder().decode(payload))).toEqual([
        "read me in the clear",
      ]);
      expect(clear).toBe(seal === "never");
      await sim.stop();
    }
  });

  test("a way that is cut and healed within the peer timeout is not noticed by what travels", async () => {
    const sim = new SimLinks(4);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    let sent = 0;
    const session = a.links.session("b");
    for (let round = 0; round < 20; round++) {
      for (let index = 0; index < 50; index++) session?.send(MESSAGES, TEST_PORT, numbered(sent++));
      await sim.clock.advance(1);
      sim.hub.cut("a", "b");
      for (let index = 0; index < 50; index++) session?.send(MESSAGES, TEST_PORT, numbered(sent++));
      await sim.clock.advance(500);
      sim.hub.heal();
      await sim.clock.advance(1_000);
    }
    await sim.clock.advance(1_000);
    expect(b.frames().map(numberOf)).toEqual(Array.from({ length: sent }, (_, index) => index));
    expect(a.count("down") + b.count("down")).toBe(0);
    expect(a.links.stats().sessionsResumed).toBe(20);
    await sim.stop();
  });

  test("a cut longer than the peer timeout ends the session on both sides, and a new one delivers nothing of it", async () => {
    const sim = new SimLinks(5);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    const first = a.links.session("b");
    sim.hub.cut("a", "b");
    first?.send(MESSAGES, TEST_PORT, numbered(1));
    await sim.clock.advance(6_000);
    expect([a.count("down"), b.count("down")]).toEqual([1, 1]);
    expect(first?.live).toBe(false);
    expect(first?.send(MESSAGES, TEST_PORT, numbered(2))).toBe("ended");
    sim.hub.heal();
    await sim.clock.runUntil(() => a.count("up") === 2 && b.count("up") === 2);
    a.links.session("b")?.send(MESSAGES, TEST_PORT, numbered(3));
    await sim.clock.advance(100);
    expect(b.frames().map(numberOf)).toEqual([3]);
    await sim.stop();
  });

  test("through loss, repeats, reordering and cuts every frame arrives exactly once and in order", async () => {
    const messages = scale(2_000, 20_000);
    const seed = 6;
    const sim = new SimLinks(seed, {
      faults: {
        lossProbability: 0.1,
        duplicationProbability: 0.1,
        reorderProbability: 0.2,
        latencyMs: 2,
        jitterMs: 1,
        reorderMs: 5,
      },
    });
    const [a, b] = [sim.node("a", { seal: "never" }), sim.node("b", { seal: "never" })];
    await sim.meet(a, b);
    const got: number[] = [];
    b.onFrame = (_session, _lane, payload) => void got.push(numberOf(payload));
    for (let sent = 0; sent < messages;) {
      for (let index = 0; index < messages / 20; index++) {
        a.links.session("b")?.send(MESSAGES, TEST_PORT, numbered(sent++, 200));
      }
      await sim.clock.advance(30);
      sim.hub.block("a", "b");
      sim.hub.block("b", "a");
      await sim.clock.advance(1_000);
      sim.hub.heal();
    }
    await sim.clock.runUntil(() => got.length >= messages, 600_000);
    await sim.clock.advance(1_000);
    expect(got).toEqual(Array.from({ length: messages }, (_, index) => index));
    expect(a.count("down") + b.count("down")).toBe(0);
    report("lossy link", { seed, messages, retransmits: a.links.stats().retransmits });
    await sim.stop();
    expect(sim.clock.timers).toBe(0);
  });

  test("neither a lost chunk nor a full messages lane delays a control frame", async () => {
    const sim = new SimLinks(7, { faults: { latencyMs: 5 } });
    const [a, b] = [sim.node("a", { seal: "never" }), sim.node("b", { seal: "never" })];
    await sim.meet(a, b);
    const session = a.links.session("b");
    // Everything big is lost from here on: bulk packets never arrive, control does.
    sim.hub.tap(({ from, packet }) => from !== "a" || packet.byteLength < 1_000);
    while (session?.send(MESSAGES, TEST_PORT, new Uint8Array(65_536)) === "sent");
    session?.send(STREAMS, TEST_PORT, new Uint8Array(65_536));
    await sim.clock.advance(100);
    const sentAt = sim.clock.now();
    session?.send(CONTROL, TEST_PORT, numbered(1));
    await sim.clock.runUntil(() => b.count("frame") === 1, 1_000);
    expect(sim.clock.now() - sentAt).toBeLessThanOrEqual(6);
    await sim.stop();
  });

  test("a full lane says so, keeps its bound, and announces room", async () => {
    const sim = new SimLinks(8);
    const [a, b] = [
      sim.node("a", { laneQueueBytes: 100_000, laneWindowBytes: 50_000 }),
      sim.node("b", { laneWindowBytes: 50_000 }),
    ];
    await sim.meet(a, b);
    const session = a.links.session("b");
    sim.hub.block("a", "b");
    let taken = 0;
    while (session?.send(MESSAGES, TEST_PORT, numbered(taken, 10_000)) === "sent") taken++;
    await sim.clock.advance(1);
    expect(session?.pendingBytes(MESSAGES)).toBeLessThanOrEqual(160_000);
    sim.hub.heal();
    await sim.clock.runUntil(() => a.count("writable") > 0, 5_000);
    await sim.clock.runUntil(() => b.count("frame") === taken, 5_000);
    expect(b.frames().map(numberOf)).toEqual(Array.from({ length: taken }, (_, index) => index));
    await sim.stop();
  });

  test("a datagram arrives at most once and does not wait behind bulk", async () => {
    const sim = new SimLinks(9);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    expect(a.links.session("b")?.datagram(TEST_PORT, numbered(1))).toBe(true);
    expect(a.links.session("b")?.datagram(TEST_PORT, new Uint8Array(300_000))).toBe(false);
    await sim.clock.advance(10);
    expect(b.count("datagram")).toBe(1);
    await sim.stop();
  });

  test("what the network doubles is heard once, datagrams too, sealed or not", async () => {
    for (const seal of ["always", "never"] as const) {
      const sim = new SimLinks(11, { faults: { duplicationProbability: 1 } });
      const [a, b] = [sim.node("a", { seal }), sim.node("b", { seal })];
      await sim.meet(a, b);
      for (let index = 0; index < 50; index++) {
        a.links.session("b")?.datagram(TEST_PORT, numbered(index));
        await sim.clock.advance(1);
      }
      await sim.clock.advance(100);
      expect(b.count("datagram")).toBe(50);
      await sim.stop();
    }
  });

  test("a frame over the limit is refused with the numbers", async () => {
    const sim = new SimLinks(10);
    const [a, b] = [sim.node("a", { frameBytesMax: 1_000 }), sim.node("b")];
    await sim.meet(a, b);
    expect(() => a.links.session("b")?.send(MESSAGES, TEST_PORT, new Uint8Array(1_001))).toThrow("1001");
    await sim.stop();
  });
});
