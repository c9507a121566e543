import { describe, expect, test } from "bun:test";
import { fromUtf8 } from "../../../src/lib/bytes.ts";
import { SimRaft, type SimRaftNode } from "../../support/sim_raft.ts";

function reasonAt(node: SimRaftNode): string {
  return node.raft.view().reason ?? "";
}

describe("forming a cluster", () => {
  test("nodes that list each other elect one leader and keep one state", async () => {
    const sim = new SimRaft(1);
    const [a, b, c] = await sim.listed(["a", "b", "c"]) as [SimRaftNode, SimRaftNode, SimRaftNode];
    await sim.led();
    expect(await sim.settle(a.map.set("greeting", "hello"))).toBe(1);
    expect(await sim.settle(b.map.set("greeting", "hello again"))).toBe(2);
    const found = await sim.settle(c.map.get("greeting"));
    expect(fromUtf8(found?.value ?? new Uint8Array())).toBe("hello again");
    expect(found?.revision).toBe(2);
    await sim.stop();
    expect(sim.clock.timers).toBe(0);
  });

  test("before all of a list are there Raft is off and says for whom it waits", async () => {
    const sim = new SimRaft(2);
    const a = await sim.node("a", { nodes: ["b", "c"] });
    await sim.clock.advance(0);
    expect(a.raft.view()).toEqual({
      role: null,
      leaderId: null,
      term: null,
      commitIndex: null,
      status: "off",
      reason: "waiting for b, c",
      members: [],
    });
    await sim.node("b", { nodes: ["a", "c"] });
    await sim.clock.advance(5_000);
    for (const node of sim.nodes) expect(reasonAt(node)).toBe("waiting for c");
    await sim.node("c", { nodes: ["a", "b"] });
    await sim.led();
    await sim.stop();
  });

  test("a node alone leads itself at once, and nodes that list it join", async () => {
    const sim = new SimRaft(3);
    const a = await sim.node("a");
    await sim.led([a], 1_000);
    await sim.settle(a.map.set("k", "v"));
    const b = await sim.node("b", { nodes: ["a"] });
    const c = await sim.node("c", { nodes: ["a", "b"] });
    await sim.led();
    expect((await sim.settle(c.map.get("k")))?.revision).toBe(1);
    await sim.clock.runUntil(() => [b, c].every(({ raft }) => raft.view().role === "follower"), 10_000);
    await a.kill();
    await sim.led([...sim.nodes].slice(1));
    expect((await sim.settle(c.map.get("k")))?.revision).toBe(1);
    await sim.stop();
  });

  test("nodes that expect a number form as soon as they are so many", async () => {
    const sim = new SimRaft(4);
    await sim.node("a", { bootstrapExpect: 3 });
    await sim.node("b", { bootstrapExpect: 3 });
    await sim.clock.advance(3_000);
    for (const node of sim.nodes) expect(reasonAt(node)).toBe("found 2 of 3 nodes");
    await sim.node("c", { bootstrapExpect: 3 });
    await sim.led();
    await sim.node("d", { bootstrapExpect: 3 });
    await sim.led();
    await sim.stop();
  });
});

describe("node lists that differ", () => {
  const lists: [string, Record<string, string[]>][] = [
    ["one is longer", { a: ["b"], b: ["a", "c"] }],
    ["they overlap", { a: ["b", "x"], b: ["a", "y"] }],
    ["they go round in a circle", { a: ["b"], b: ["c"], c: ["a"] }],
    ["one expects a number", { a: ["b"], b: [] }],
  ];
  for (const [name, nodes] of lists) {
    test(`form nothing and say which: ${name}`, async () => {
      const sim = new SimRaft(5);
      const counts = name === "one expects a number" ? { b: 2 } as Record<string, number> : {};
      for (const [id, others] of Object.entries(nodes)) {
        const bootstrapExpect = counts[id];
        await sim.node(id, { nodes: others, ...bootstrapExpect === undefined ? {} : { bootstrapExpect } });
      }
      await sim.clock.advance(10_000);
      for (const node of sim.nodes) {
        expect(node.raft.view().leaderId).toBeNull();
        expect(reasonAt(node)).toContain("node lists differ: ");
        expect(reasonAt(node)).toContain(`${node.nodeId} expects `);
        const write = node.map.set("k", "v", { timeoutMs: 1_000 });
        expect(await sim.settle(write.then(() => "written", (error) => error.code))).toBe("no-leader");
        expect(node.complaints.filter((line) => line.includes("node lists differ"))).toHaveLength(1);
      }
      await sim.stop();
    });
  }

  test("a node whose list names others joins the cluster that they have formed already", async () => {
    const sim = new SimRaft(6);
    await sim.node("a", { nodes: ["b"] });
    await sim.node("b", { nodes: ["a"] });
    await sim.led();
    await sim.node("c", { nodes: ["a", "b", "d"] });
    await sim.led();
    await sim.stop();
  });

  test("two that each led themselves become one while nobody has written", async () => {
    const sim = new SimRaft(7);
    sim.hub.partition([["a"], ["b"]]);
    await sim.node("a");
    await sim.node("b");
    await sim.clock.runUntil(() => sim.nodes.every(({ raft }) => raft.isLeader), 5_000);
    sim.hub.heal();
    await sim.led();
    await sim.stop();
  });

  test("of two that each led themselves and were written to, one refuses from then on and names the lists", async () => {
    const sim = new SimRaft(8);
    sim.hub.partition([["a"], ["b"]]);
    const a = await sim.node("a");
    const b = await sim.node("b");
    await sim.clock.runUntil(() => sim.nodes.every(({ raft }) => raft.isLeader), 5_000);
    for (const { map, nodeId } of sim.nodes) await sim.settle(map.set("k", nodeId));
    sim.hub.heal();
    await sim.clock.runUntil(() => sim.nodes.some(({ raft }) => raft.view().status === "off"), 20_000);
    const [refusing, going] = a.raft.view().status === "off" ? [a, b] : [b, a];
    expect(reasonAt(refusing)).toContain("node lists differ: ");
    const write = refusing.map.set("k", "again", { timeoutMs: 1_000 });
    expect(await sim.settle(write.then(() => "written", (error) => error.code))).toBe("no-leader");
    await sim.settle(going.map.set("k", "again"));
    // What it had accepted is still there to be looked at.
    const kept = await refusing.map.get("k", { stale: true });
    expect(fromUtf8(kept?.value ?? new Uint8Array())).toBe(refusing.nodeId);
    await sim.stop();
  });
});
