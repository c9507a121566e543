import { describe, expect, test } from "bun:test";
import { report } from "../support/measure.ts";
import { scale } from "../support/scale.ts";
import { SimCluster } from "../support/sim_cluster.ts";

describe("size", () => {
  test(
    "fifty nodes meet, know every connection, reach any from any, and notice one that is gone",
    async () => {
      const nodes = scale(14, 50);
      const sim = new SimCluster(50, {
        faults: { latencyMs: 1, jitterMs: 1 },
        features: ["lossless", "private"],
      });
      for (let index = 0; index < nodes; index++) await sim.node(`node ${index}`);
      await sim.whole(60_000);
      const sinks = sim.nodes.map((node, index) => node.connect(`client ${index}`));
      await sim.clock.runUntil(
        () => sim.nodes.every(({ cluster }) => cluster.view().connections.total === nodes),
        10_000,
      );

      const ids = sinks.map((_, index) => `client ${index}`);
      for (const [from, node] of sim.nodes.entries()) {
        const outcomes = await sim.settle(node.cluster.deliver(ids, `from ${from}`));
        expect(new Set(outcomes.values())).toEqual(new Set(["delivered"]));
      }
      expect(sinks.every(({ received }) => received.length === nodes)).toBe(true);

      const packets = (): number =>
        sim.nodes.reduce((sum, { cluster }) => sum + cluster.stats().links.packetsSent, 0);
      await sim.clock.advance(5_000);
      const before = packets();
      await sim.clock.advance(10_000);
      const perLinkAndSecond = (packets() - before) / (nodes * (nodes - 1) / 2) / 10;
      // Idle, a link carries a heartbeat each way every 2 s, a ping a second at the most, and their acknowledgements.
      expect(perLinkAndSecond).toBeLessThan(6);

      const gone = sim.nodes[0];
      gone?.clock.pause();
      await sim.clock.runUntil(
        () => sim.nodes.slice(1).every(({ cluster }) => cluster.view().connections.total === nodes - 1),
        10_000,
      );
      gone?.clock.resume();
      await sim.whole(60_000);
      report("fifty nodes", { seed: 50, nodes, idlePacketsPerLinkAndSecond: perLinkAndSecond });
      await sim.stop();
      expect(sim.clock.timers).toBe(0);
    },
    120_000,
  );
});
