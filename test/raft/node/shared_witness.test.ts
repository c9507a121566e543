import { describe, expect, test } from "bun:test";
import { type Random, randomBelow, seededRandom } from "../../../src/lib/random.ts";
import { Leaders, written } from "../../support/leaders.ts";
import { report } from "../../support/measure.ts";
import { scale } from "../../support/scale.ts";
import { SimRaft, type SimRaftNode, type SimRaftOptions } from "../../support/sim_raft.ts";
import { SimRedis } from "../../support/sim_redis.ts";

type Two = [SimRaftNode, SimRaftNode];

/** Nodes a and b whose witness is a record, which has its vote. */
async function recorded(
  seed: number,
  options: SimRaftOptions = {},
): Promise<{ sim: SimRaft; redis: SimRedis; nodes: Two }> {
  const sim = new SimRaft(seed);
  const redis = new SimRedis(sim.clock, seededRandom(seed));
  const nodes = await sim.listed(["a", "b"], { ...options, redis });
  await sim.led();
  await sim.clock.runUntil(() => redis.changed > 0, 20_000);
  await sim.clock.advance(3_000);
  return { sim, redis, nodes: nodes as Two };
}

async function leadAt(sim: SimRaft, node: SimRaftNode): Promise<void> {
  if ((await sim.led()) !== node) await sim.settle(node.raft.transferLeadership(node.nodeId));
  await sim.led();
}

describe("a witness that is a record", () => {
  test("gives two nodes their third vote: when one dies the other goes on with all that was written", async () => {
    const { sim, nodes: [a, b] } = await recorded(51);
    for (let round = 1; round <= 20; round++) {
      expect(await sim.settle(b.map.set(`k${round}`, "v"))).toBe(round);
    }
    const leader = await sim.led();
    const other = leader === a ? b : a;
    await leader.kill();
    expect(await sim.led([other])).toBe(other);
    expect(await written(sim, other)).toBe("written");
    expect((await sim.settle(other.map.get("k20")))?.revision).toBe(20);
    await leader.start();
    await sim.led();
    expect((await sim.settle(leader.map.get("k20")))?.revision).toBe(20);
    await sim.stop();
  });

  const cuts: [string, string[], string][] = [
    ["both, lets the leader or the other go on and never two", [], "one"],
    ["the leader, lets it go on", ["b"], "a"],
    ["the other, lets that go on", ["a"], "b"],
    ["neither, lets nobody go on", ["a", "b"], "none"],
  ];
  test.each(cuts)("that two nodes cut apart for a minute leave with %s", async (_, away, who) => {
    const { sim, redis, nodes: [a, b] } = await recorded(52, { disk: true });
    await leadAt(sim, a);
    const leaders = new Leaders(sim, [a, b]);
    sim.hub.partition([["a"], ["b"]]);
    for (const nodeId of away) redis.cut.add(nodeId);
    await sim.clock.advance(10_000);
    for (let round = 0; round < 5; round++) {
      const found = [];
      for (const node of [a, b]) if (await written(sim, node) === "written") found.push(node.nodeId);
      expect(found).toHaveLength(who === "none" ? 0 : 1);
      if (who === "a" || who === "b") expect(found).toEqual([who]);
      await sim.clock.advance(6_000);
    }
    redis.cut.clear();
    sim.hub.heal();
    await sim.led();
    for (const node of [a, b]) expect(await written(sim, node)).toBe("written");
    expect(leaders.fault).toBeUndefined();
    await sim.stop();
  });

  test.each([["flushed", (redis: SimRedis) => redis.flush()], [
    "restarted",
    (redis: SimRedis) => redis.restart(redis.dump()),
  ]])("that was %s abstains until both nodes replace it", async (_, spoil) => {
    const { sim, redis, nodes: [a, b] } = await recorded(53, { disk: true });
    await leadAt(sim, a);
    const leaders = new Leaders(sim, [a, b]);
    sim.hub.partition([["a"], ["b"]]);
    spoil(redis);
    await sim.clock.advance(30_000);
    for (const node of [a, b]) expect(await written(sim, node)).not.toBe("written");
    sim.hub.heal();
    await sim.led();
    await sim.clock.advance(10_000);
    // It has its vote again, under another raftId.
    const changed = redis.changed;
    expect(await written(sim, a)).toBe("written");
    await sim.clock.advance(1_000);
    expect(redis.changed).toBeGreaterThan(changed);
    const leader = await sim.led();
    await leader.kill();
    const other = leader === a ? b : a;
    expect(await sim.led([other])).toBe(other);
    expect(leaders.fault).toBeUndefined();
    await sim.stop();
  });

  test("goes when a third node keeps the state, and is made anew when two are left", async () => {
    const { sim, redis, nodes: [a, b] } = await recorded(54, { disk: true });
    const c = await sim.node("c", { nodes: ["a", "b"], disk: true, redis });
    await sim.clock.runUntil(() => c.raft.view().role === "follower", 20_000);
    await sim.clock.advance(5_000);
    const changed = redis.changed;
    for (let round = 0; round < 5; round++) expect(await written(sim, a)).toBe("written");
    expect(redis.changed).toBe(changed);
    await sim.settle(a.raft.removeNode("c"));
    await sim.clock.advance(8_000);
    const leader = await sim.led([a, b]);
    await leader.kill();
    const other = leader === a ? b : a;
    expect(await sim.led([other])).toBe(other);
    await sim.stop();
  });

  test("that answers late or not at all holds nobody up while both nodes are there", async () => {
    const { sim, redis, nodes: [a, b] } = await recorded(55);
    redis.lossProbability = 0.5;
    for (let round = 0; round < 20; round++) {
      expect(await written(sim, round % 2 === 0 ? a : b)).toBe("written");
    }
    redis.cut.add("a").add("b");
    for (let round = 0; round < 20; round++) {
      expect(await written(sim, round % 2 === 0 ? a : b)).toBe("written");
    }
    await sim.stop();
  });
});

/** Does one thing of `random`'s choice. */
async function disturb(sim: SimRaft, redis: SimRedis, nodes: Two, random: Random): Promise<void> {
  const node = nodes[randomBelow(random, 2)] as SimRaftNode;
  switch (randomBelow(random, 9)) {
    case 0:
    case 1:
      return sim.hub.partition([["a"], ["b"]]);
    case 2:
      return sim.hub.heal();
    case 3:
      redis.lossProbability = random.float() < 0.5 ? 0 : 0.3;
      return;
    case 4:
      return void (redis.cut.delete(node.nodeId) || redis.cut.add(node.nodeId));
    case 5:
      return redis.flush();
    case 6: {
      const dump = redis.dump();
      await sim.clock.advance(randomBelow(random, 500));
      return redis.restart(random.float() < 0.5 ? dump : redis.dump());
    }
    case 7:
      if (node.runs) await node.kill();
      return;
    case 8:
      if (!node.runs) await node.start();
  }
}

test(
  "whatever happens to nodes, network and record, no term has two leaders and no write that was acknowledged is lost",
  async () => {
    let terms = 0, writes = 0;
    for (let seed = 1; seed <= scale(6, 40); seed++) {
      const { sim, redis, nodes } = await recorded(seed * 1_000, { disk: true });
      const leaders = new Leaders(sim, nodes);
      const random = seededRandom(seed);
      const acknowledged: string[] = [];
      for (let turn = 0; turn < 40; turn++) {
        await disturb(sim, redis, nodes, random);
        await sim.clock.advance(randomBelow(random, 3_000));
        for (const node of nodes.filter(({ runs }) => runs)) {
          const key = `${node.nodeId}${turn}`;
          if (await written(sim, node, 500, key) === "written") acknowledged.push(key);
        }
      }
      sim.hub.heal();
      redis.cut.clear();
      redis.lossProbability = 0;
      for (const node of nodes) if (!node.runs) await node.start();
      await sim.led(nodes, 60_000);
      for (const key of acknowledged) {
        if ((await sim.settle(nodes[0].map.get(key))) === undefined) {
          throw new Error(`seed ${seed}: ${key} is lost`);
        }
      }
      if (leaders.fault !== undefined) throw new Error(`seed ${seed}: ${leaders.fault}`);
      terms += leaders.byTerm.size;
      writes += acknowledged.length;
      await sim.stop();
    }
    expect(terms).toBeGreaterThan(scale(10, 90));
    expect(writes).toBeGreaterThan(scale(60, 400));
    report("two nodes and a record disturbed", { seeds: scale(6, 40), terms, writes });
  },
  80_000,
);
