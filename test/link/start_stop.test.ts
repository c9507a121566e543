import { describe, expect, test } from "bun:test";
import { pendingCrypto } from "../support/pending_crypto.ts";
import { met, numbered, numberOf, SimLinks, TEST_PORT } from "../support/sim_links.ts";
import { MESSAGES } from "../../src/link/contract.ts";

describe("starting and stopping", () => {
  test("stop() while starting leaves nothing behind, and start() says why it did not start", async () => {
    const sim = new SimLinks(1);
    const a = sim.node("a");
    const started = a.links.start().then(() => "started", (error) => error.code);
    const stopped = a.links.stop();
    expect(a.links.stop()).toBe(stopped);
    await sim.clock.advance(20_000);
    await stopped;
    expect(await started).toBe("not-running");
    expect(sim.clock.timers).toBe(0);
    let packets = 0;
    sim.hub.tap(() => void packets++);
    const b = sim.node("b");
    await sim.start(b);
    await sim.clock.advance(10_000);
    expect(b.links.stats().packetsReceived).toBe(0);
    await sim.stop();
    expect(sim.clock.timers).toBe(0);
  });

  test("stop() before start(), and twice, is nothing; a second start() is refused", async () => {
    const sim = new SimLinks(2);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await a.links.stop();
    await a.links.stop();
    await expect(a.links.start()).rejects.toThrow("start once");
    await sim.start(b);
    await expect(b.links.start()).rejects.toThrow("start once");
    await sim.stop();
    await sim.stop();
    expect(sim.clock.timers).toBe(0);
  });

  test("stop() at any moment of a handshake leaves no timer, no session, and the other side none either", async () => {
    for (const lossy of [false, true]) {
      for (let round = 0; round < 24; round++) {
        const sim = new SimLinks(100 + round, {
          features: lossy ? [] : ["lossless"],
          faults: { latencyMs: 10 },
        });
        const [a, b] = [sim.node("a"), sim.node("b")];
        await sim.start(a, b);
        // Every instant of a turn too: between the cryptographic operations of one message.
        for (let hops = 0; hops < round % 4; hops++) await Promise.resolve();
        await sim.clock.advance(round * 9);
        const pending = pendingCrypto();
        const stopped = (round % 2 === 0 ? a : b).links.stop();
        await sim.clock.advance(100);
        await stopped;
        const other = round % 2 === 0 ? b : a;
        expect({ round, pending, up: a.count("up") - a.count("down") + b.count("up") - b.count("down") })
          .toEqual({ round, pending: 0, up: [...other.links.sessions()].length });
        await sim.clock.advance(20_000);
        expect([...other.links.sessions()]).toEqual([]);
        await sim.stop();
        expect({ round, timers: sim.clock.timers }).toEqual({ round, timers: 0 });
      }
    }
  });

  test("stop() while a living node is asked whether it lives leaves no timer", async () => {
    const sim = new SimLinks(3);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    await b.kill();
    const again = sim.node("b");
    await sim.start(again);
    await sim.clock.advance(300);
    const stopped = [a.links.stop(), again.links.stop()];
    await sim.clock.advance(0);
    await Promise.all(stopped);
    b.clock.resume();
    await sim.stop();
    expect(sim.clock.timers).toBe(0);
  });

  test("a node that stops and one that starts under its id at once meet without waiting for a probe", async () => {
    const sim = new SimLinks(4);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    const stopped = b.links.stop();
    const again = sim.node("b");
    await sim.start(again);
    await stopped;
    await sim.clock.runUntil(() => met([a, again]), 1_000);
    a.links.session("b")?.send(MESSAGES, TEST_PORT, numbered(1));
    await sim.clock.advance(10);
    expect(again.frames().map(numberOf)).toEqual([1]);
    expect(a.heard.flatMap((event) => event.kind === "down" ? [event.reason] : [])).toEqual(["left"]);
    await sim.stop();
  });

  test("every frame handed over before stop() leaves before the word that the node stops", async () => {
    for (const seal of ["always", "never"] as const) {
      const sim = new SimLinks(5);
      const [a, b] = [sim.node("a", { seal }), sim.node("b", { seal })];
      await sim.meet(a, b);
      for (let index = 0; index < 50; index++) {
        a.links.session("b")?.send(MESSAGES, TEST_PORT, numbered(index));
      }
      const stopped = a.links.stop();
      await sim.clock.advance(10);
      await stopped;
      expect(b.frames().map(numberOf)).toEqual(Array.from({ length: 50 }, (_, index) => index));
      expect(b.heard.at(-1)).toEqual({ kind: "down", from: "a", reason: "left" });
      await sim.stop();
    }
  });
});
