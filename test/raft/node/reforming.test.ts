import { describe, expect, test } from "bun:test";
import { fromUtf8 } from "../../../src/lib/bytes.ts";
import { SimRaft, type SimRaftNode } from "../../support/sim_raft.ts";

async function read(sim: SimRaft, { map }: SimRaftNode, key: string): Promise<string | undefined> {
  const found = await sim.settle(map.get(key));
  return found && fromUtf8(found.value);
}

describe("nodes that keep nothing on disk", () => {
  test("lose nothing while they restart one at a time", async () => {
    const sim = new SimRaft(11);
    const nodes = await sim.listed(["a", "b", "c"]);
    await sim.led();
    for (const [round, node] of [...nodes, ...nodes].entries()) {
      await sim.settle((nodes[(round + 1) % 3] as SimRaftNode).map.set(`k${round}`, `v${round}`));
      await node.kill();
      await node.start();
      await sim.clock.runUntil(() => nodes.every(({ raft }) => raft.view().role !== null), 30_000);
      await sim.led();
      await sim.clock.runUntil(() => nodes.every(({ raft }) => raft.view().role !== "learner"), 30_000);
    }
    for (let round = 0; round < 6; round++) {
      for (const node of nodes) expect(await read(sim, node, `k${round}`)).toBe(`v${round}`);
    }
    await sim.stop();
  });

  test("re-form from the survivor when two of three restart at once", async () => {
    const sim = new SimRaft(12);
    const [a, b, c] = await sim.listed(["a", "b", "c"]) as [SimRaftNode, SimRaftNode, SimRaftNode];
    await sim.led();
    await sim.settle(a.map.set("k", "kept"));
    await sim.settle(c.map.get("k"));
    await a.kill();
    await b.kill();
    await a.start();
    await b.start();
    await sim.led();
    for (const node of [a, b, c]) expect(await read(sim, node, "k")).toBe("kept");
    expect(await sim.settle(a.map.set("k", "again"))).toBe(2);
    await sim.stop();
  });

  test("do not re-form before all are there, and say for whom they wait", async () => {
    const sim = new SimRaft(13);
    const [a, b, c] = await sim.listed(["a", "b", "c"]) as [SimRaftNode, SimRaftNode, SimRaftNode];
    await sim.led();
    await sim.settle(a.map.set("k", "kept"));
    await sim.settle(c.map.get("k"));
    await a.kill();
    await b.kill();
    await a.start();
    await sim.clock.advance(20_000);
    expect(c.raft.view().leaderId).toBeNull();
    expect(c.raft.view().reason).toContain("b");
    // It lost nothing: as soon as it is back, so is the cluster.
    await b.start();
    await sim.led();
    expect(await read(sim, b, "k")).toBe("kept");
    await sim.stop();
  });

  test("begin anew, empty, when all have restarted", async () => {
    const sim = new SimRaft(14);
    const nodes = await sim.listed(["a", "b", "c"]);
    await sim.led();
    await sim.settle((nodes[0] as SimRaftNode).map.set("k", "gone"));
    for (const node of nodes) await node.kill();
    for (const node of nodes) await node.start();
    await sim.led();
    expect(await read(sim, nodes[0] as SimRaftNode, "k")).toBeUndefined();
    await sim.stop();
  });

  test("give fencing tokens that only grow, across clusters that began anew and re-formed ones", async () => {
    const sim = new SimRaft(15);
    const nodes = await sim.listed(["a", "b", "c"]);
    const [a, b, c] = nodes as [SimRaftNode, SimRaftNode, SimRaftNode];
    const tokens: number[] = [];
    const acquire = async (node: SimRaftNode, holder: string): Promise<void> => {
      const lease = await sim.settle(node.map.acquireLease(`lease of ${holder}`, { ttlMs: 1_000, holder }));
      tokens.push(lease?.token ?? 0);
    };
    await sim.led();
    await acquire(a, "first");
    await a.kill();
    await b.kill();
    await a.start();
    await b.start();
    await sim.led();
    await acquire(b, "second");
    // Nothing forms twice in one millisecond, but in virtual time.
    await sim.clock.advance(1);
    for (const node of nodes) await node.kill();
    for (const node of nodes) await node.start();
    await sim.led();
    await acquire(c, "third");
    expect(tokens).toEqual([...tokens].sort((x, y) => x - y));
    expect(new Set(tokens).size).toBe(3);
    expect(tokens[0]).toBeGreaterThan(0);
    await sim.stop();
  });
});

describe("nodes with a disk", () => {
  test("have their state again when all were killed at once", async () => {
    const sim = new SimRaft(16);
    const nodes = await sim.listed(["a", "b", "c"], { disk: true });
    await sim.led();
    await sim.settle((nodes[1] as SimRaftNode).map.set("k", "kept"));
    for (const node of nodes) await node.kill();
    for (const node of nodes) await node.start();
    await sim.led();
    for (const node of nodes) expect(await read(sim, node, "k")).toBe("kept");
    await sim.stop();
  });

  test("lose nothing when their disks are wiped one at a time", async () => {
    const sim = new SimRaft(17);
    const nodes = await sim.listed(["a", "b", "c"], { disk: true });
    await sim.led();
    for (const [round, node] of nodes.entries()) {
      await sim.settle((nodes[(round + 1) % 3] as SimRaftNode).map.set(`k${round}`, `v${round}`));
      await node.kill();
      node.wipe();
      await node.start();
      await sim.led();
      await sim.clock.runUntil(() => nodes.every(({ raft }) => raft.view().role !== null), 30_000);
      await sim.clock.runUntil(() => nodes.every(({ raft }) => raft.view().role !== "learner"), 30_000);
    }
    for (const node of nodes) {
      for (let round = 0; round < 3; round++) expect(await read(sim, node, `k${round}`)).toBe(`v${round}`);
    }
    await sim.stop();
  });

  test("one that comes back with the disk of a former self takes nothing back", async () => {
    const sim = new SimRaft(18);
    const [a, b, c] = await sim.listed(["a", "b", "c"], { disk: true }) as [
      SimRaftNode,
      SimRaftNode,
      SimRaftNode,
    ];
    await sim.led();
    await sim.settle(a.map.set("k", "old"));
    await sim.settle(c.map.get("k"));
    // c runs without its disk for a while, and is another member then.
    await c.kill();
    c.options = { ...c.options, disk: false };
    const disk = c.takeDisk();
    await c.start();
    await sim.led();
    await sim.clock.runUntil(() => c.raft.view().role === "follower", 30_000);
    await sim.settle(b.map.set("k", "new"));
    await c.kill();
    c.options = { ...c.options, disk: true };
    c.giveDisk(disk);
    const { raftId } = disk;
    await c.start();
    await sim.clock.runUntil(() => c.raft.view().role === "follower" && disk.raftId !== raftId, 30_000);
    await sim.led();
    for (const node of [a, b, c]) expect(await read(sim, node, "k")).toBe("new");
    await sim.stop();
  });

  test("a node whose disk fails takes no part any more, and the others go on", async () => {
    const sim = new SimRaft(19);
    const nodes = await sim.listed(["a", "b", "c"], { disk: true });
    const leader = await sim.led();
    leader.keeper.broken = true;
    const others = nodes.filter((node) => node !== leader);
    const [first] = others as [SimRaftNode];
    expect(await sim.settle(first.map.set("k", "v"))).toBe(1);
    expect(leader.raft.view().reason).toContain("the disk is broken");
    expect(leader.complaints.join()).toContain("the disk is broken");
    await sim.stop();
  });
});
