import { describe, expect, test } from "bun:test";
import { numbered, numberOf, SimLinks, TEST_PORT } from "../support/sim_links.ts";
import { MESSAGES } from "../../src/link/contract.ts";
import { report } from "../support/measure.ts";

describe("liveness", () => {
  test("a silent peer becomes suspect, then down after the peer timeout, and not before", async () => {
    const sim = new SimLinks(1);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    await sim.clock.advance(10_000);
    const silentFrom = sim.clock.now();
    sim.hub.block("b", "a");
    await sim.clock.runUntil(() => a.count("suspect") === 1, 5_000);
    expect(sim.clock.now() - silentFrom).toBeLessThanOrEqual(4_000);
    await sim.clock.runUntil(() => a.count("down") === 1, 5_000);
    expect(sim.clock.now() - silentFrom).toBeGreaterThanOrEqual(4_000);
    // Counted from the last sign of life, which came before the silence.
    expect(sim.clock.now() - silentFrom).toBeLessThanOrEqual(5_000);
    await sim.stop();
  });

  test("any packet is a sign of life: a suspect that is heard again is up", async () => {
    const sim = new SimLinks(2);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    sim.hub.block("b", "a");
    await sim.clock.runUntil(() => a.count("suspect") === 1, 5_000);
    expect(a.links.peer("b")?.status).toBe("suspect");
    sim.hub.heal();
    await sim.clock.advance(1_500);
    expect(a.links.peer("b")?.status).toBe("up");
    expect(a.count("down")).toBe(0);
    await sim.stop();
  });

  test("a paused node is down for the others, declares nobody dead for its own pause, and comes back by itself", async () => {
    const sim = new SimLinks(3);
    const [a, b, c] = [sim.node("a"), sim.node("b"), sim.node("c")];
    await sim.meet(a, b, c);
    await sim.clock.advance(3_000);
    b.clock.pause();
    await sim.clock.advance(20_000);
    expect([a.count("down", "b"), c.count("down", "b")]).toEqual([1, 1]);
    b.clock.resume();
    await sim.clock.runUntil(() => a.count("up", "b") === 2 && c.count("up", "b") === 2, 10_000);
    await sim.clock.advance(3_000);
    const reasons = b.heard.flatMap((event) => event.kind === "down" ? [event.reason] : []);
    expect(reasons).toEqual(["session-unknown", "session-unknown"]);
    expect(a.count("down", "c")).toBe(0);
    a.links.session("b")?.send(MESSAGES, TEST_PORT, numbered(1));
    await sim.clock.advance(100);
    expect(b.frames().map(numberOf)).toEqual([1]);
    await sim.stop();
  });

  test("a node that is paused for less than the peer timeout keeps its sessions", async () => {
    const sim = new SimLinks(4);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    b.clock.pause();
    await sim.clock.advance(3_500);
    b.clock.resume();
    await sim.clock.advance(10_000);
    expect([a.count("down"), b.count("down")]).toEqual([0, 0]);
    await sim.stop();
  });

  test("a node that stops is down at once", async () => {
    const sim = new SimLinks(5);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    const stopped = b.links.stop();
    await sim.clock.advance(5);
    await stopped;
    expect(a.heard.at(-1)).toEqual({ kind: "down", from: "b", reason: "left" });
    await sim.stop();
  });

  test("a node that is down is shown as such for an hour and then forgotten", async () => {
    const sim = new SimLinks(11);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    const stopped = b.links.stop();
    await sim.clock.advance(5);
    await stopped;
    await sim.clock.advance(3_500_000);
    expect(a.links.peer("b")?.status).toBe("down");
    await sim.clock.advance(200_000);
    expect(a.links.peers()).toEqual([]);
    await sim.stop();
  });

  test("measureLatency gives the round trip, and rejects when the node is lost or unknown", async () => {
    const sim = new SimLinks(6, { features: ["lossless"], faults: { latencyMs: 7 } });
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    const measured = a.links.measureLatency("b");
    await sim.clock.advance(100);
    expect(await measured).toBeGreaterThanOrEqual(14);
    expect(await measured).toBeLessThan(16);
    await expect(a.links.measureLatency("nobody")).rejects.toThrow("nobody");
    sim.hub.cut("a", "b");
    const lost = a.links.measureLatency("b").catch((error) => error.code);
    await sim.clock.advance(10_000);
    expect(["node-lost", "timeout"]).toContain(await lost);
    await sim.stop();
  });
});

describe("quality", () => {
  async function scoreOver(
    faults: { latencyMs?: number; jitterMs?: number },
    flap = false,
  ): Promise<{ score: number; recovered: number }> {
    const sim = new SimLinks(7, { features: ["lossless"], faults });
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    for (let second = 0; second < 60; second++) {
      await sim.clock.advance(1_000);
      if (flap && second % 20 === 19) {
        sim.hub.cut("a", "b");
        await sim.clock.advance(200);
        sim.hub.heal();
      }
    }
    const score = a.links.peer("b")?.quality as number;
    await sim.clock.advance(300_000);
    const recovered = a.links.peer("b")?.quality as number;
    await sim.stop();
    return { score, recovered };
  }

  test("1 ms beats 50 ms beats jitter beats flapping, by ten points each; scores recover; unreachable is 0", async () => {
    const near = await scoreOver({ latencyMs: 0.5 });
    const far = await scoreOver({ latencyMs: 25 });
    const jittery = await scoreOver({ latencyMs: 5, jitterMs: 60 });
    const flapping = await scoreOver({ latencyMs: 25 }, true);
    report("link quality", {
      near: near.score,
      far: far.score,
      jittery: jittery.score,
      flapping: flapping.score,
    });
    expect(near.score - far.score).toBeGreaterThanOrEqual(10);
    expect(far.score - jittery.score).toBeGreaterThanOrEqual(10);
    expect(jittery.score - flapping.score).toBeGreaterThanOrEqual(10);
    expect(flapping.recovered).toBeGreaterThanOrEqual(far.score - 2);
    const sim = new SimLinks(8);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    sim.hub.cut("a", "b");
    await sim.clock.advance(10_000);
    expect(a.links.peer("b")?.quality).toBe(0);
    await sim.stop();
  });
});
