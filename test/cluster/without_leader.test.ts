import { describe, expect, test } from "bun:test";
import { SimCluster, type SimClusterNode } from "../support/sim_cluster.ts";

describe("routing without a leader", () => {
  test("reaches connections while the members wait for somebody to form the cluster", async () => {
    const sim = new SimCluster(51);
    const a = await sim.node("a", { raft: true, nodes: ["b", "c"] });
    const b = await sim.node("b", { raft: true, nodes: ["a", "c"] });
    const alice = b.connect("alice");
    await sim.clock.runUntil(() => a.cluster.getConnectionNodeId("alice") === "b", 10_000);
    expect(await sim.settle(a.cluster.routeText("alice", "hello"))).toBe(true);
    expect(alice.received).toEqual(["hello"]);
    expect(a.cluster.leaderId).toBeNull();
    expect(a.cluster.view().raft).toEqual({ status: "off", reason: "waiting for c", members: [] });
    await sim.stop();
  });

  test("reaches connections when the majority is gone", async () => {
    const sim = new SimCluster(52);
    const ids = ["a", "b", "c", "d", "e"];
    for (const id of ids) await sim.node(id, { raft: true, nodes: ids.filter((other) => other !== id) });
    const { nodes } = sim;
    const [a, b] = nodes as [SimClusterNode, SimClusterNode];
    await sim.clock.runUntil(() => nodes.every(({ cluster }) => cluster.leaderId !== null), 20_000);
    sim.hub.partition([["a", "b"], ["c"], ["d"], ["e"]]);
    const alice = b.connect("alice");
    await sim.clock.runUntil(() => [a, b].every(({ cluster }) => cluster.leaderId === null), 20_000);
    expect(await sim.settle(a.cluster.routeText("alice", "hello"))).toBe(true);
    expect(alice.received).toEqual(["hello"]);
    expect(a.cluster.view().raft.reason).toMatch(
      /^no leader: of 5 voters 3 cannot be reached \(c, d, e\)|election/,
    );
    sim.hub.heal();
    await sim.clock.runUntil(() => nodes.every(({ cluster }) => cluster.leaderId !== null), 20_000);
    await sim.stop();
  });

  test("goes on between nodes with Raft and one that takes no part in it", async () => {
    const sim = new SimCluster(54);
    const a = await sim.node("a", { raft: true, nodes: ["b"] });
    const b = await sim.node("b", { raft: true, nodes: ["a"] });
    const passer = await sim.node("c");
    await sim.clock.runUntil(() => a.cluster.leaderId !== null && b.cluster.leaderId !== null, 20_000);
    const alice = b.connect("alice");
    await sim.clock.runUntil(() => passer.cluster.getConnectionNodeId("alice") === "b", 10_000);
    expect(await sim.settle(passer.cluster.routeText("alice", "hello"))).toBe(true);
    expect(alice.received).toEqual(["hello"]);
    expect(passer.events.filter((event) => event.startsWith("down"))).toEqual([]);
    expect(a.cluster.view().raft.members.map(({ nodeId }) => nodeId).sort()).toEqual(["a", "b"]);
    await sim.stop();
  });

  test("leaders and changes of the state are events of every node", async () => {
    const sim = new SimCluster(53);
    const ids = ["a", "b", "c"];
    const seen: string[] = [];
    for (const id of ids) {
      const { cluster } = await sim.node(id, { raft: true, nodes: ids.filter((other) => other !== id) });
      cluster.on(
        "leaderchange",
        ({ leaderId }) => void (leaderId === null || seen.push(`${id} follows ${leaderId}`)),
      );
      cluster.on("statechange", ({ key, revision }) => void seen.push(`${id} sees ${key} at ${revision}`));
    }
    const nodes = sim.nodes.map(({ cluster }) => cluster);
    await sim.clock.runUntil(() => nodes.every(({ leaderId }) => leaderId !== null), 20_000);
    const leaderId = nodes[0]?.leaderId;
    expect(nodes.filter(({ isLeader }) => isLeader).map(({ nodeId }) => nodeId)).toEqual([
      leaderId as string,
    ]);
    await sim.settle(nodes[1]?.state.set("k", "v") ?? Promise.resolve(0));
    await sim.clock.runUntil(() => ids.every((id) => seen.includes(`${id} sees k at 1`)), 5_000);
    for (const id of ids) expect(seen).toContain(`${id} follows ${leaderId}`);
    await sim.stop();
  });
});
