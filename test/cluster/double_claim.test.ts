import { describe, expect, test } from "bun:test";
import type { FakeSink } from "../support/fake_sink.ts";
import { report } from "../support/measure.ts";
import { scale } from "../support/scale.ts";
import { SimCluster } from "../support/sim_cluster.ts";

/** Two nodes claim each id at the same moment; returns the sockets by id and node. */
function claim(
  sim: SimCluster,
  ids: readonly string[],
  claimants: readonly number[],
): Map<string, Map<string, FakeSink>> {
  return new Map(ids.map((id) => {
    const sinks = claimants.map((index) => {
      const node = sim.nodes[index];
      if (node === undefined) throw new Error("no such node");
      return [node.cluster.nodeId, node.connect(id)] as const;
    });
    return [id, new Map(sinks)];
  }));
}

/** Every node names the same owner, and only that one's socket is open. */
function expectOneOwner(sim: SimCluster, sockets: Map<string, Map<string, FakeSink>>): void {
  const wrong: string[] = [];
  for (const [id, sinks] of sockets) {
    const owners = new Set(sim.nodes.map(({ cluster }) => cluster.getConnectionNodeId(id)));
    const open = [...sinks].filter(([, sink]) => sink.closedWith === undefined).map(([nodeId]) => nodeId);
    const codes = [...sinks.values()].flatMap(({ closedWith }) =>
      closedWith === undefined ? [] : [closedWith.code]
    );
    if (
      owners.size !== 1 || open.length !== 1 || !owners.has(open[0]) || codes.some((code) => code !== 4409)
    ) {
      wrong.push(`${id}: owners ${[...owners]}, open ${open}, closed with ${codes}`);
    }
  }
  expect(wrong).toEqual([]);
}

async function threeNodes(seed: number): Promise<SimCluster> {
  const sim = new SimCluster(seed, { faults: { latencyMs: 2, jitterMs: 3 }, features: ["lossless"] });
  for (const nodeId of ["a", "b", "c"]) await sim.node(nodeId);
  await sim.whole();
  return sim;
}

async function expectQuiet(sim: SimCluster): Promise<void> {
  const repairs = (): number => sim.nodes.reduce((sum, { cluster }) => sum + cluster.stats().repairs, 0);
  const bytes = (): number =>
    sim.nodes.reduce((sum, { cluster }) => sum + cluster.stats().links.bytesSent, 0);
  await sim.clock.advance(5_000);
  const [repairsBefore, bytesBefore] = [repairs(), bytes()];
  await sim.clock.advance(10_000);
  expect(repairs()).toBe(repairsBefore);
  // Heartbeats and pings only; a refetch of a thousand entries would be far more.
  expect(bytes() - bytesBefore).toBeLessThan(20_000);
}

describe("one connectionId claimed twice", () => {
  test("at the same moment on two nodes: one owner everywhere, one socket open, and quiet afterwards", async () => {
    const sim = await threeNodes(7);
    const rounds = scale(200, 1_000);
    const all = new Map<string, Map<string, FakeSink>>();
    for (let round = 0; round < rounds; round++) {
      const claimants = [round % 3, (round + 1) % 3];
      for (const [id, sinks] of claim(sim, [`client ${round}`], claimants)) all.set(id, sinks);
      if (round % 4 === 0) await sim.clock.advance(round % 7);
    }
    await sim.clock.advance(1_000);
    expectOneOwner(sim, all);
    await expectQuiet(sim);
    expect(sim.nodes.map(({ cluster }) => cluster.view().connections.total)).toEqual([
      rounds,
      rounds,
      rounds,
    ]);
    report("double claims", { seed: 7, claims: rounds });
    await sim.stop();
  });

  test("across a partition that heals", async () => {
    for (const silent of [true, false]) {
      const sim = await threeNodes(8);
      const rounds = scale(200, 1_000);
      sim.hub.partition([["a"], ["b", "c"]], { cut: !silent });
      await sim.clock.advance(silent ? 1_000 : 10_000);
      const ids = Array.from({ length: rounds }, (_, index) => `client ${index}`);
      const all = claim(sim, ids, [0, 1]);
      await sim.clock.advance(1_000);
      sim.hub.heal();
      await sim.whole();
      await sim.clock.advance(2_000);
      expectOneOwner(sim, all);
      await expectQuiet(sim);
      expect(sim.nodes.map(({ cluster }) => cluster.view().connections.total)).toEqual([
        rounds,
        rounds,
        rounds,
      ]);
      await sim.stop();
    }
  });

  test("a client that moves to another node is reached there at once, and its old socket's late end takes nothing away", async () => {
    const sim = await threeNodes(9);
    const [a, b, c] = sim.nodes as [typeof sim.nodes[0], typeof sim.nodes[0], typeof sim.nodes[0]];
    const before = a.connect("alice");
    await sim.clock.advance(100);
    const after = b.connect("alice");
    await sim.clock.advance(100);
    expect(before.closedWith?.code).toBe(4409);
    a.cluster.unregisterConnection("alice", before);
    await sim.clock.advance(100);
    expect(await sim.settle(c.cluster.routeText("alice", "there you are"))).toBe(true);
    expect(after.received).toEqual(["there you are"]);
    await sim.stop();
  });

  test("a newer connection to the same node replaces the older one", async () => {
    const sim = await threeNodes(10);
    const [a, b] = sim.nodes as [typeof sim.nodes[0], typeof sim.nodes[0]];
    const [before, after] = [a.connect("alice"), a.connect("alice")];
    a.cluster.unregisterConnection("alice", before);
    await sim.clock.advance(100);
    expect(before.closedWith?.code).toBe(4409);
    expect(await sim.settle(b.cluster.routeText("alice", "hello"))).toBe(true);
    expect(after.received).toEqual(["hello"]);
    expect(a.cluster.stats().rejected.replaced).toBe(1);
    await sim.stop();
  });
});
