import { describe, expect, test } from "bun:test";
import { getUint48, viewOf } from "../../src/lib/bytes.ts";
import { MESSAGES } from "../../src/link/contract.ts";
import { PACKET } from "../../src/link/packet.ts";
import { numbered, numberOf, SimLinks, TEST_PORT } from "../support/sim_links.ts";

describe("a way that promised to lose nothing", () => {
  test.each([0, 1, 5])(
    "and loses packet %i is left, and the session goes on whole on a new one",
    async (victim) => {
      for (const seal of ["always", "never"] as const) {
        const sim = new SimLinks(1, { features: ["lossless"], faults: { latencyMs: 1 } });
        const [a, b] = [sim.node("a", { seal }), sim.node("b", { seal })];
        let lost = 0;
        sim.hub.tap(({ from, packet }) => {
          const isData = packet[0] === PACKET.plain || packet[0] === PACKET.sealed;
          if (from !== "a" || !isData || lost > 0 || getUint48(viewOf(packet), 6) !== victim) return true;
          lost++;
          return false;
        });
        a.onUp = (session) => void session.send(MESSAGES, TEST_PORT, numbered(0));
        await sim.start(a, b);
        await sim.clock.advance(1_000);
        for (let index = 1; index < 10; index++) {
          a.links.session("b")?.send(MESSAGES, TEST_PORT, numbered(index));
          await sim.clock.advance(5);
        }
        await sim.clock.advance(3_000);
        expect(lost).toBe(1);
        expect(b.frames().map(numberOf)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        expect([a.count("down"), b.count("down")]).toEqual([0, 0]);
        expect(a.links.session("b")?.pendingBytes(MESSAGES)).toBe(0);
        await sim.stop();
        expect(sim.clock.timers).toBe(0);
      }
    },
  );
});
