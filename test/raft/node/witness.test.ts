import { describe, expect, test } from "bun:test";
import { Leaders, written } from "../../support/leaders.ts";
import { SimRaft, type SimRaftNode, type SimRaftOptions } from "../../support/sim_raft.ts";

type Three = [SimRaftNode, SimRaftNode, SimRaftNode];

/** Nodes a and b with the witness w, and a leader. */
async function witnessed(
  seed: number,
  options: SimRaftOptions = {},
): Promise<{ sim: SimRaft; nodes: Three }> {
  const sim = new SimRaft(seed);
  const nodes: SimRaftNode[] = [];
  for (const id of ["a", "b", "w"]) {
    const others = ["a", "b", "w"].filter((other) => other !== id);
    nodes.push(await sim.node(id, { ...options, nodes: others, witness: id === "w" }));
  }
  await sim.led();
  return { sim, nodes: nodes as Three };
}

describe("a node that is a witness", () => {
  test("gives two nodes their third vote: when one dies the other goes on with all that was written", async () => {
    const { sim, nodes: [a, b, w] } = await witnessed(31);
    expect(w.raft.view()).toMatchObject({ role: "witness", status: "on", commitIndex: null });
    for (let round = 1; round <= 20; round++) {
      expect(await sim.settle(b.map.set(`k${round}`, "v"))).toBe(round);
    }
    const leader = await sim.led();
    const other = leader === a ? b : a;
    await leader.kill();
    expect(await sim.led([other, w])).toBe(other);
    expect(await written(sim, other)).toBe("written");
    expect((await sim.settle(other.map.get("k20")))?.revision).toBe(20);
    // The dead one comes back without what it had, as another member.
    await leader.start();
    await sim.led();
    expect((await sim.settle(leader.map.get("k20")))?.revision).toBe(20);
    await sim.stop();
  });

  test("has no state, leads nobody and says so", async () => {
    const { sim, nodes: [, , w] } = await witnessed(32);
    let thrown: unknown;
    try {
      void w.map;
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "unsupported", message: 'state of node "w": it is a witness' });
    const refused = await w.raft.transferLeadership().then(() => "", (error) => error.code);
    expect(refused).toBe("unsupported");
    await sim.stop();
    expect(sim.clock.timers).toBe(0);
  });

  const cuts: [string, string[][]][] = [
    ["its leader", [["a", "w"], ["b"]]],
    ["the other", [["a"], ["b", "w"]]],
    ["neither", [["a"], ["b"], ["w"]]],
  ];
  test.each(cuts)(
    "that two nodes cut apart for a minute leave with %s lets at most one go on",
    async (_, cut) => {
      const { sim, nodes: [a, b, w] } = await witnessed(33, { disk: true });
      if ((await sim.led()) !== a) await sim.settle(a.raft.transferLeadership("a"));
      await sim.led();
      await sim.settle(a.map.set("before", "v"));
      const leaders = new Leaders(sim, [a, b]);
      sim.hub.partition(cut);
      await sim.clock.advance(10_000);
      const beside = cut.find((group) => group.includes("w")) ?? [];
      for (let round = 0; round < 5; round++) {
        for (const node of [a, b]) {
          const goesOn = beside.includes(node.nodeId) && beside.length > 1;
          expect(`${node.nodeId} ${await written(sim, node, 2_000)}`).toBe(
            `${node.nodeId} ${goesOn ? "written" : "no-leader"}`,
          );
        }
        await sim.clock.advance(6_000);
      }
      sim.hub.heal();
      await sim.led([a, b, w]);
      expect(await written(sim, a)).toBe("written");
      expect(await written(sim, b)).toBe("written");
      expect(leaders.fault).toBeUndefined();
      expect(leaders.byTerm.size).toBeGreaterThan(0);
      await sim.stop();
    },
  );

  test("does not let a node go on that lacks what it has noted", async () => {
    const { sim, nodes: [a, b, w] } = await witnessed(34, { disk: true });
    const leader = await sim.led();
    const other = leader === a ? b : a;
    sim.hub.partition([[leader.nodeId, "w"], [other.nodeId]]);
    await sim.clock.advance(8_000);
    expect(await written(sim, leader)).toBe("written");
    await leader.kill();
    sim.hub.heal();
    await sim.clock.advance(20_000);
    expect(other.raft.leaderId).toBeNull();
    expect(await written(sim, other)).toBe("no-leader");
    await leader.start();
    await sim.led([a, b, w]);
    expect(await written(sim, other)).toBe("written");
    await sim.stop();
  });

  test("does not let a leader leave the members as the only one that has all entries", async () => {
    const { sim, nodes: [a, b, w] } = await witnessed(39, { disk: true });
    if ((await sim.led()) !== a) await sim.settle(a.raft.transferLeadership("a"));
    await sim.led();
    sim.hub.partition([["a", "w"], ["b"]]);
    await sim.clock.advance(8_000);
    expect(await written(sim, a)).toBe("written");
    const removed = a.raft.removeNode("a", { timeoutMs: 5_000 }).then(() => "removed", (error) => error.code);
    expect(await sim.settle(removed)).toBe("timeout");
    sim.hub.heal();
    await sim.led([a, b, w]);
    await sim.settle(a.raft.removeNode("a"));
    await sim.clock.runUntil(() => a.raft.view().role === null, 10_000);
    await sim.led([b]);
    expect((await sim.settle(b.map.get("k")))?.revision).toBe(1);
    expect(await written(sim, b)).toBe("written");
    await sim.stop();
  });

  test.each([["with", true], ["without", false]])(
    "restarted %s a disk it gives the third vote again",
    async (_, disk) => {
      const { sim, nodes: [a, b, w] } = await witnessed(35, { disk });
      await w.kill();
      await sim.led([a, b]);
      expect(await written(sim, a)).toBe("written");
      await w.start();
      await sim.clock.runUntil(() => w.raft.view().status === "on", 20_000);
      // Without a disk it is another member, which learns before it votes.
      await sim.clock.advance(3_000);
      const leader = await sim.led();
      await leader.kill();
      const other = leader === a ? b : a;
      expect(await sim.led([other, w])).toBe(other);
      expect(await written(sim, other)).toBe("written");
      await sim.stop();
    },
  );

  test("has no vote beside three nodes that keep the state, and gets it back when they are two", async () => {
    const { sim, nodes: [a, b, w] } = await witnessed(36, { disk: true });
    const c = await sim.node("c", { nodes: ["a", "b", "w"], disk: true });
    await sim.clock.runUntil(() => c.raft.view().role === "follower", 20_000);
    await sim.clock.advance(3_000);
    // One of three and a witness without a vote are no majority.
    if ((await sim.led()) !== a) await sim.settle(a.raft.transferLeadership("a"));
    await b.kill();
    await c.kill();
    await sim.clock.advance(10_000);
    expect(await written(sim, a)).toBe("no-leader");
    await b.start();
    await sim.led([a, b]);
    await sim.settle(a.raft.removeNode("c"));
    await sim.clock.advance(5_000);
    const leader = await sim.led([a, b, w]);
    await leader.kill();
    const other = leader === a ? b : a;
    expect(await sim.led([other, w])).toBe(other);
    expect(await written(sim, other)).toBe("written");
    await sim.stop();
  });

  test("goes with two nodes that lost all they had into their next cluster", async () => {
    const { sim, nodes: [a, b, w] } = await witnessed(37);
    await a.kill();
    await b.kill();
    await a.start();
    await b.start();
    await sim.led([a, b, w], 60_000);
    await sim.clock.advance(5_000);
    const leader = await sim.led();
    await leader.kill();
    const other = leader === a ? b : a;
    expect(await sim.led([other, w])).toBe(other);
    await sim.stop();
  });

  test("whose disk fails says nothing more", async () => {
    const { sim, nodes: [a, b, w] } = await witnessed(38, { disk: true });
    w.keeper.broken = true;
    expect(await written(sim, a)).toBe("written");
    await sim.clock.runUntil(() => w.raft.view().status === "off", 5_000);
    expect(w.raft.view().reason ?? "").toContain("its storage failed");
    await (await sim.led([a, b])).kill();
    await sim.clock.advance(10_000);
    const left = a.runs ? a : b;
    expect(left.raft.isLeader).toBe(false);
    await sim.stop();
  });
});
