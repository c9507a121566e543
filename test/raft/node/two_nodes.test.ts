import { describe, expect, test } from "bun:test";
import { Leaders, written } from "../../support/leaders.ts";
import { report } from "../../support/measure.ts";
import { scale } from "../../support/scale.ts";
import { SimRaft, type SimRaftNode } from "../../support/sim_raft.ts";

const IDS = ["a", "b"];
/** The slow side's process stands still for so long, goes on for so long, and so on, ms. */
const STILL_MS = 70;
const GOING_MS = 30;
/** After an election the worse placed leader hands over: measurements settle first, then it takes two seconds more. */
const SETTLED_MS = 15_000;

/** Keeps the process of `node` from being on time, as one that has too much to do. */
function slowDown(sim: SimRaft, node: SimRaftNode): void {
  const { clock } = node;
  const stop = (): void => {
    if (!node.runs) return;
    clock.pause();
    sim.clock.timer(STILL_MS, () => {
      clock.resume();
      sim.clock.timer(GOING_MS, stop);
    });
  };
  stop();
}

/** Cuts the nodes apart until none leads, and lets them elect anew; who is elected. */
async function elect(sim: SimRaft): Promise<SimRaftNode> {
  sim.hub.partition([["a"], ["b"]]);
  await sim.clock.runUntil(() => sim.nodes.every(({ raft }) => raft.leaderId === null), 30_000);
  sim.hub.heal();
  return await sim.led();
}

describe("two nodes", () => {
  test("of which one is slow are led by the other in at least nine of ten elections", async () => {
    let elected = 0, leads = 0;
    const elections = scale(10, 50);
    for (const slow of IDS) {
      const sim = new SimRaft(71);
      const nodes = await sim.listed(IDS);
      await sim.led();
      slowDown(sim, nodes[IDS.indexOf(slow)] as SimRaftNode);
      for (let election = 0; election < elections; election++) {
        if ((await elect(sim)).nodeId !== slow) elected++;
        await sim.clock.advance(SETTLED_MS);
        if ((await sim.led()).nodeId !== slow) leads++;
      }
      await sim.stop();
    }
    const all = elections * IDS.length;
    report("elections of two with one slow", { elections: all, betterElected: elected, betterLeads: leads });
    expect(leads / all).toBeGreaterThanOrEqual(0.9);
  }, 85_000);

  test("cut apart for a minute take no write and have no leader, and go on when they are one again", async () => {
    const sim = new SimRaft(72);
    const [a, b] = await sim.listed(IDS) as [SimRaftNode, SimRaftNode];
    await sim.led();
    const leaders = new Leaders(sim, [a, b]);
    for (const node of [a, b]) expect(await written(sim, node)).toBe("written");
    const { revision } = a.map;
    sim.hub.partition([["a"], ["b"]]);
    const ends: string[] = [];
    for (let second = 0; second < 60; second += 2) {
      const writes = Promise.all(
        [a, b].map((node) =>
          node.map.set("k", node.nodeId, { timeoutMs: 1_500 }).then(() => "written", (error) => error.code)
        ),
      );
      ends.push(...await sim.settle(writes));
      await sim.clock.advance(500);
      // A leader that lost the other notices within an election timeout or two.
      if (second > 2) expect([a.raft.isLeader, b.raft.isLeader]).toEqual([false, false]);
    }
    expect(ends).not.toContain("written");
    expect([a.map.revision, b.map.revision]).toEqual([revision, revision]);
    sim.hub.heal();
    await sim.led();
    for (const node of [a, b]) expect(await written(sim, node)).toBe("written");
    expect(leaders.fault).toBeUndefined();
    await sim.stop();
  });
});
