/**
 * Concurrent clients on all nodes, while nodes are killed, paused, cut off and told to hand over: the history that
 * they saw must be linearizable, and in the end all nodes must be equal. The driver, the links and the memory
 * transport are in it; `test/raft/simulator` does the same to the core alone, with disks that lose what was not synced.
 */
import { describe, expect, test } from "bun:test";
import { FlotillaError } from "../../../src/lib/errors.ts";
import { fromUtf8 } from "../../../src/lib/bytes.ts";
import { type Random, randomBelow, seededRandom } from "../../../src/lib/random.ts";
import { report } from "../../support/measure.ts";
import { scale } from "../../support/scale.ts";
import { SimRaft, type SimRaftNode } from "../../support/sim_raft.ts";
import { checkLinearizable } from "../linearizability/checker.ts";
import { Clients, type KeyValue } from "../linearizability/clients.ts";
import { fateByCode, History } from "../linearizability/history.ts";

const SEEDS: number = scale(1, 60);
const TROUBLE_MS = 20_000;
/** A call to a node that was killed never ends by itself. */
const PATIENCE_MS = 4_000;
const CALL_MS = 2_000;
const REFUSALS = ["no-leader", "not-running", "backpressure"];

/** The map as clients of one node have it. */
function storeOf(sim: SimRaft, node: SimRaftNode): KeyValue {
  const bounded = <Value>(act: () => Promise<Value>): Promise<Value> =>
    new Promise((resolve, reject) => {
      const timer = sim.clock.timer(
        PATIENCE_MS,
        () => reject(new FlotillaError("node-lost", "the node does not answer")),
      );
      Promise.resolve().then(act).then(resolve, reject).finally(() => timer.cancel());
    });
  const options = { timeoutMs: CALL_MS };
  return {
    get: (key) =>
      bounded(async () => {
        const found = await node.map.get(key, options);
        return found && { value: fromUtf8(found.value), revision: found.revision };
      }),
    set: (key, value) => bounded(() => node.map.set(key, value, options)),
    delete: (key) => bounded(() => node.map.delete(key, options)),
    compareAndSet: (key, expected, value) =>
      bounded(() => node.map.compareAndSet(key, expected, value, options)),
  };
}

/** One random thing that goes wrong, and how it is set right. */
async function harm(sim: SimRaft, nodes: readonly SimRaftNode[], random: Random): Promise<string> {
  const node = nodes[randomBelow(random, nodes.length)] as SimRaftNode;
  const lastingMs = 100 + random.float() * 2_500;
  const ids = nodes.map(({ nodeId }) => nodeId);
  const dice = random.float();
  if (dice < 0.3) {
    if (node.runs) await node.kill();
    await sim.clock.advance(lastingMs);
    await node.start();
    return "kill";
  }
  if (dice < 0.5) {
    sim.hub.partition([[node.nodeId], ids.filter((id) => id !== node.nodeId)], { cut: random.float() < 0.5 });
    await sim.clock.advance(lastingMs);
    sim.hub.heal();
    return "isolate";
  }
  if (dice < 0.65) {
    const other = ids[randomBelow(random, ids.length)] as string;
    if (other !== node.nodeId) sim.hub.block(node.nodeId, other);
    await sim.clock.advance(lastingMs);
    sim.hub.heal();
    return "one way";
  }
  if (dice < 0.8) {
    node.clock.pause();
    await sim.clock.advance(lastingMs);
    node.clock.resume();
    return "pause";
  }
  if (dice < 0.9) {
    sim.hub.setFaults({ lossProbability: 0.2, duplicationProbability: 0.1, latencyMs: 5, jitterMs: 40 });
    await sim.clock.advance(lastingMs);
    sim.hub.setFaults({});
    return "loss";
  }
  node.raft.transferLeadership(undefined, { timeoutMs: 1_000 }).catch(() => {});
  await sim.clock.advance(lastingMs / 4);
  return "transfer";
}

describe("the replicated map under faults", () => {
  test(
    "is linearizable, and equal on all nodes in the end",
    async () => {
      const first = 1_000;
      const tally = { operations: 0, writes: 0, harms: 0 };
      for (let seed = first; seed < first + SEEDS; seed++) {
        const sim = new SimRaft(seed, { features: [], faults: {} });
        const random = seededRandom(seed);
        const ids = ["a", "b", "c", "d", "e"].slice(0, random.float() < 0.6 ? 3 : 5);
        const nodes = await sim.listed(ids, { disk: true, electionTimeoutMs: 300, heartbeatMs: 60 });
        await sim.led(nodes);
        const history = new History(sim.clock, fateByCode((code) => REFUSALS.includes(code)));
        const stores = [...nodes, ...nodes].map((node) => storeOf(sim, node));
        const keys = ["x", "y", "z"];
        const clients = new Clients({ clock: sim.clock, seed, history, stores, keys, thinkMs: 60 });
        const end = sim.clock.now() + TROUBLE_MS;
        const harms: string[] = [];
        while (sim.clock.now() < end) {
          harms.push(await harm(sim, nodes, random));
          await sim.clock.advance(random.float() * 800);
        }
        sim.hub.heal();
        await sim.led(nodes);
        await sim.settle(clients.stop());
        for (const node of nodes) await sim.settle(node.map.get("x"));
        const verdict = checkLinearizable(history.operations());
        if (verdict.ok !== true) {
          throw new Error(`seed ${seed} (${harms.join(", ")}): ${JSON.stringify(verdict)}`);
        }
        const states = nodes.map(({ map }) => map.revision);
        expect(new Set(states).size).toBe(1);
        tally.operations += history.operations().length;
        tally.writes += states[0] ?? 0;
        tally.harms += harms.length;
        await sim.stop();
      }
      expect(tally.writes).toBeGreaterThan(100 * SEEDS);
      report("linearizable in simulation", { seed: first, seeds: SEEDS, ...tally });
    },
    scale(60_000, 1_100_000),
  );
});
