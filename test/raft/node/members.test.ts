import { describe, expect, test } from "bun:test";
import { SimRaft, type SimRaftNode } from "../../support/sim_raft.ts";

const roles = (nodes: readonly SimRaftNode[]): string[] =>
  nodes.filter(({ runs }) => runs).map(({ raft }) => raft.view().role ?? "none").sort();

const LEARNERS = (count: number) => (role: string): boolean => role === "learner" && count > 0;

describe("members", () => {
  test("of seven nodes five vote and two learn, and a learner takes the place of a voter long dead", async () => {
    const sim = new SimRaft(21);
    const ids = ["a", "b", "c", "d", "e", "f", "g"];
    const nodes = await sim.listed(ids, { voterReplaceAfterMs: 10_000 });
    await sim.led();
    expect(roles(nodes).filter(LEARNERS(2))).toHaveLength(2);
    const victim = nodes.find(({ raft }) => raft.view().role === "follower") as SimRaftNode;
    await victim.kill();
    await sim.clock.advance(5_000);
    expect(roles(nodes).filter(LEARNERS(2))).toHaveLength(2);
    await sim.clock.runUntil(() => roles(nodes).filter(LEARNERS(1)).length === 1, 30_000);
    // It comes back as another self, and learns.
    await victim.start();
    await sim.clock.runUntil(() => roles(nodes).filter(LEARNERS(2)).length === 2, 30_000);
    await sim.stop();
  });

  test("a node that is removed takes no part until it starts again", async () => {
    const sim = new SimRaft(22);
    const [a, b, c] = await sim.listed(["a", "b", "c"]) as [SimRaftNode, SimRaftNode, SimRaftNode];
    await sim.led();
    await sim.settle(a.raft.removeNode("c"));
    await sim.clock.runUntil(() => c.raft.view().role === null, 30_000);
    await sim.clock.advance(10_000);
    expect(c.raft.view().reason).toContain("this node was removed from the cluster");
    expect(await sim.settle(b.map.set("k", "v"))).toBe(1);
    await c.kill();
    await c.start();
    await sim.led();
    await sim.clock.runUntil(() => c.raft.view().role === "follower", 30_000);
    await sim.stop();
  });

  test("are told of by every node: who votes, who is there, in which run", async () => {
    const sim = new SimRaft(28);
    const [a, b, c] = await sim.listed(["a", "b", "c"]) as [SimRaftNode, SimRaftNode, SimRaftNode];
    await sim.led();
    a.raft.knowledge = {
      describe: (nodeId) => ({ publicUrl: `ws://${nodeId}`, draining: false }),
      load: () => 0,
    };
    await sim.settle(a.raft.transferLeadership("a"));
    await c.kill();
    const statuses = (): string[] => b.raft.view().members.map(({ nodeId, status }) => `${nodeId} ${status}`);
    await sim.clock.runUntil(() => statuses().includes("c down"), 20_000);
    expect(
      b.raft.view().members.map((
        { nodeId, votes, witness, publicUrl },
      ) => [nodeId, votes, witness, publicUrl]),
    )
      .toEqual([["a", true, false, "ws://a"], ["b", true, false, "ws://b"], ["c", true, false, "ws://c"]]);
    expect(b.raft.view().members[0]?.incarnation).toBe(a.links.incarnation);
    await c.start();
    await sim.clock.runUntil(() => statuses().join() === "a up,b up,c up", 20_000);
    expect(b.raft.view().members[2]?.incarnation).toBe(c.links.incarnation);
    await sim.stop();
  });

  test("removing a node that is no member is refused by name", async () => {
    const sim = new SimRaft(23);
    const [a] = await sim.listed(["a", "b"]) as [SimRaftNode];
    await sim.led();
    const refused = await sim.settle(a.raft.removeNode("z").then(() => undefined, (error) => error));
    expect([refused.code, refused.message]).toEqual(["not-found", 'remove "z": it is no member']);
    await sim.stop();
  });

  test("the leadership goes where it is sent", async () => {
    const sim = new SimRaft(24);
    const nodes = await sim.listed(["a", "b", "c"]);
    for (const target of ["b", "c", "a"]) {
      await sim.led();
      await sim.settle((nodes[0] as SimRaftNode).raft.transferLeadership(target));
      expect((await sim.led()).nodeId).toBe(target);
    }
    await sim.settle((nodes[0] as SimRaftNode).raft.transferLeadership());
    expect((await sim.led()).nodeId).not.toBe("a");
    const refused = await sim.settle(
      (nodes[0] as SimRaftNode).raft.transferLeadership("z").then(() => undefined, (error) => error),
    );
    expect(refused.code).toBe("not-found");
    await sim.stop();
  });

  test("a node that keeps nothing leaves when it stops, and the last voter never does", async () => {
    const sim = new SimRaft(25);
    const [a, b, c] = await sim.listed(["a", "b", "c"]) as [SimRaftNode, SimRaftNode, SimRaftNode];
    await sim.led();
    await c.stop(true);
    await b.stop(true);
    // It alone is the quorum now.
    expect(await sim.settle(a.map.set("k", "v"))).toBe(1);
    await a.stop(true);
    expect(sim.clock.timers).toBe(0);
  });

  test("with disks a stopped node stays a member", async () => {
    const sim = new SimRaft(26);
    const nodes = await sim.listed(["a", "b", "c"], { disk: true });
    await sim.led();
    const [a, b, c] = nodes as [SimRaftNode, SimRaftNode, SimRaftNode];
    await c.stop(true);
    await b.stop(true);
    const write = a.map.set("k", "v", { timeoutMs: 2_000 });
    expect(await sim.settle(write.then(() => "written", (error) => error.code))).not.toBe("written");
    await b.start();
    await sim.led([a, b]);
    expect((await sim.settle(a.map.set("k", "v"))) > 0).toBe(true);
    await sim.stop();
  });

  test("a node that was away for long catches up from a snapshot", async () => {
    const sim = new SimRaft(27);
    const nodes = await sim.listed(["a", "b", "c"], { disk: true });
    await sim.led();
    const [a, b, c] = nodes as [SimRaftNode, SimRaftNode, SimRaftNode];
    await c.kill();
    await sim.led([a, b]);
    const value = new Uint8Array(700_000);
    for (let round = 0; round < 12; round++) await sim.settle(a.map.set(`k${round % 4}`, value));
    await c.start();
    await sim.led();
    expect((await sim.settle(c.map.get("k3")))?.value.byteLength).toBe(700_000);
    expect(c.map.revision).toBe(12);
    await sim.stop();
  });
});
