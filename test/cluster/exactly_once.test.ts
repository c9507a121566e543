import { describe, expect, test } from "bun:test";
import { report } from "../support/measure.ts";
import { scale } from "../support/scale.ts";
import { SimCluster } from "../support/sim_cluster.ts";

const NODES = ["a", "b", "c"] as const;
const CUTS = 20;

describe("messages under faults", () => {
  test(
    "from each of three nodes to a client on each other node, through loss, repeats, reordering and cuts: once, in order",
    async () => {
      const messages = scale(2_000, 100_000);
      const seed = 42;
      const sim = new SimCluster(seed, {
        faults: {
          lossProbability: 0.1,
          duplicationProbability: 0.1,
          reorderProbability: 0.2,
          reorderMs: 5,
          latencyMs: 1,
          jitterMs: 1,
        },
      });
      // Plain, so that it is the lanes and not the ciphers that are tested at this size.
      for (const nodeId of NODES) {
        await sim.node(nodeId, { allowInsecure: true, seal: "never", deliveryTimeoutMs: 600_000 });
      }
      await sim.whole();
      const received = new Map<string, number[]>();
      for (
        const { cluster: { nodeId }, connect } of sim.nodes.map((node) => ({
          cluster: node.cluster,
          connect: node.connect.bind(node),
        }))
      ) {
        const sink = connect(`client ${nodeId}`);
        sink.onReceived = (data) => {
          const [from, number] = (data as string).split(" ") as [string, string];
          const flow = `${from} to ${nodeId}`;
          const numbers = received.get(flow) ?? [];
          received.set(flow, numbers);
          numbers.push(Number(number));
          sink.received.length = 0;
        };
      }
      await sim.clock.advance(2_000);

      let [delivered, other, waiting] = [0, 0, 0];
      let sent = 0;
      const perRound = messages / (CUTS * 10);
      for (let round = 0; sent < messages; round++) {
        for (let index = 0; index < perRound; index++, sent++) {
          for (const { cluster } of sim.nodes) {
            for (const to of NODES) {
              if (to === cluster.nodeId) continue;
              waiting++;
              void cluster.deliver([`client ${to}`], `${cluster.nodeId} ${sent}`).then((outcomes) => {
                waiting--;
                if (outcomes.get(`client ${to}`) === "delivered") delivered++;
                else other++;
              });
            }
          }
        }
        await sim.clock.advance(10);
        if (round % 10 === 5) {
          const pair = NODES.filter((_, index) => index !== (round / 10 | 0) % NODES.length);
          sim.hub.block(pair[0] as string, pair[1] as string);
          sim.hub.block(pair[1] as string, pair[0] as string);
          await sim.clock.advance(500);
          sim.hub.heal();
        }
      }
      await sim.clock.runUntil(() => waiting === 0, 600_000);

      const expected = Array.from({ length: messages }, (_, index) => index);
      expect([...received.keys()].sort()).toEqual([
        "a to b",
        "a to c",
        "b to a",
        "b to c",
        "c to a",
        "c to b",
      ]);
      for (const numbers of received.values()) {
        expect(numbers.length === messages && numbers.every((number, index) => number === expected[index]))
          .toBe(true);
      }
      expect({ delivered, other }).toEqual({ delivered: messages * 6, other: 0 });
      expect(sim.nodes.flatMap(({ events }) => events).filter((event) => event.startsWith("down"))).toEqual(
        [],
      );
      const retransmits = sim.nodes.reduce((sum, { cluster }) => sum + cluster.stats().links.retransmits, 0);
      report("messages under faults", {
        seed,
        messagesPerFlow: messages,
        flows: 6,
        cuts: CUTS,
        retransmits,
        delivered,
      });
      await sim.stop();
      expect(sim.clock.timers).toBe(0);
    },
    scale(20_000, 600_000),
  );
});
