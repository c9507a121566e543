/** Nodes that come and go at the worst of moments, and leaders that stay. */
import { describe, expect, test } from "bun:test";
import { fromUtf8 } from "../../../src/lib/bytes.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import { MirroredStorage } from "../../../src/raft/storage.ts";
import { memberWith } from "../../../src/raft/stored_member.ts";
import { SimRaft, type SimRaftNode } from "../../support/sim_raft.ts";

type Three = [SimRaftNode, SimRaftNode, SimRaftNode];

async function read(sim: SimRaft, { map }: SimRaftNode, key: string): Promise<string | undefined> {
  const found = await sim.settle(map.get(key));
  return found && fromUtf8(found.value);
}

describe("a leader", () => {
  test("is not away from itself: it leads on, though learners could take its vote", async () => {
    const sim = new SimRaft(51);
    const ids = ["a", "b", "c", "d", "e", "f", "g"];
    await sim.listed(ids, { voterReplaceAfterMs: 3_000 });
    const leader = await sim.led();
    const { term } = leader.raft;
    await sim.clock.advance(15_000);
    expect([(await sim.led()).nodeId, leader.raft.term]).toEqual([leader.nodeId, term]);
    await sim.stop();
  });
});

describe("a voter whose disk fails", () => {
  test("makes room for a learner at once, though it can be reached", async () => {
    const sim = new SimRaft(62);
    const nodes = await sim.listed(["a", "b", "c", "d", "e", "f"], { disk: true });
    const leader = await sim.led();
    const learner = nodes.find(({ raft }) => raft.view().role === "learner") as SimRaftNode;
    const victim = nodes.find((node) => node !== leader && node !== learner) as SimRaftNode;
    victim.keeper.broken = true;
    await sim.settle(leader.map.set("k", "v"));
    await sim.clock.runUntil(() => learner.raft.view().role === "follower", 10_000);
    await sim.stop();
  });
});

describe("a node that comes back", () => {
  test("joins, at whatever moment of its joining it went away for a while", async () => {
    for (let moment = 20; moment < 400; moment += 40) {
      const sim = new SimRaft(52);
      const a = await sim.node("a", { disk: true });
      await sim.led();
      const d = await sim.node("d", { nodes: ["a"], disk: true });
      await sim.clock.advance(moment);
      await d.stop();
      await sim.clock.advance(1_000);
      await d.start();
      await sim.clock.runUntil(() => d.raft.view().role === "follower" || d.raft.isLeader, 15_000);
      expect(await sim.settle(a.map.set("k", "v"))).toBe(1);
      await sim.stop();
    }
  });

  test("joins with its disk when it was removed while it ran, and is started again", async () => {
    const sim = new SimRaft(53);
    const [a, b, c] = await sim.listed(["a", "b", "c"], { disk: true }) as Three;
    await sim.led();
    await sim.settle(a.raft.removeNode("c"));
    await sim.clock.runUntil(() => c.raft.view().role === null, 10_000);
    await sim.clock.advance(10_000);
    expect(c.raft.view().role).toBeNull();
    await c.kill();
    await c.start();
    await sim.clock.runUntil(() => c.raft.view().role === "follower", 20_000);
    await sim.settle(b.map.set("k", "v"));
    expect(await read(sim, c, "k")).toBe("v");
    await sim.stop();
  });

  test("joins with its disk at once when it was removed while it was away", async () => {
    const sim = new SimRaft(54);
    const [a, b, c] = await sim.listed(["a", "b", "c"], { disk: true }) as Three;
    await sim.led();
    await c.kill();
    await sim.led([a, b]);
    await sim.settle(a.raft.removeNode("c"));
    await c.start();
    await sim.clock.runUntil(() => c.raft.view().role === "follower", 20_000);
    await sim.led();
    await sim.stop();
  });

  test("with the disk of another cluster, long gone, does not end the one that serves", async () => {
    const sim = new SimRaft(55);
    const nodes = await sim.listed(["a", "b", "c"], { disk: true }) as Three;
    const [a, b, c] = nodes;
    await sim.led();
    await sim.settle(a.map.set("k", "of the former"));
    await sim.settle(c.map.get("k"));
    for (const node of nodes) await node.kill();
    const disk = c.takeDisk();
    for (const node of nodes) node.wipe();
    for (const node of nodes) await node.start();
    await sim.led();
    await c.kill();
    c.giveDisk(disk);
    await c.start();
    await sim.clock.advance(15_000);
    expect(await sim.settle(b.map.set("k", "of this one"))).toBe(1);
    expect(await read(sim, a, "k")).toBe("of this one");
    expect(c.raft.view().leaderId).toBeNull();
    expect(c.complaints.join()).toContain("met a node of another cluster");
    expect(c.complaints.join()).toContain("the disk of one of them is old");
    await sim.stop();
  });

  test("with a former disk of its own is no obstacle to re-forming", async () => {
    const sim = new SimRaft(56);
    const nodes = await sim.listed(["a", "b", "c"], { disk: true }) as Three;
    const [a, b, c] = nodes;
    await sim.led();
    await c.kill();
    const disk = c.takeDisk();
    await c.start();
    await sim.clock.runUntil(() => c.raft.view().role === "follower", 20_000);
    await sim.settle(a.map.set("k", "kept"));
    await sim.settle(a.map.get("k"));
    // Two of three storages are lost: that of b, and the newer one of c.
    await b.kill();
    await c.kill();
    b.wipe();
    c.giveDisk(disk);
    await b.start();
    await c.start();
    await sim.led(nodes, 40_000);
    for (const node of nodes) expect(await read(sim, node, "k")).toBe("kept");
    await sim.stop();
  });

  test("under another raftId leaves nobody waiting, at whatever moment of its replacement a second one is lost", async () => {
    for (let moment = 200; moment < 1_200; moment += 100) {
      const sim = new SimRaft(57, { features: [], faults: { latencyMs: 40 } });
      const [a, b, c] = await sim.listed(["a", "b", "c"]) as Three;
      await sim.led();
      await sim.settle(a.map.set("k", "kept"));
      await sim.settle(c.map.get("k"));
      await sim.settle(b.map.get("k"));
      await a.kill();
      await a.start();
      await sim.clock.advance(moment);
      await b.kill();
      await b.start();
      await sim.led([a, b, c], 30_000);
      expect(await read(sim, a, "k")).toBe("kept");
      await sim.stop();
    }
  });

  test("with a disk that fails when it gives way takes no part, and does nothing worse", async () => {
    const sim = new SimRaft(58);
    sim.hub.partition([["a"], ["b"]]);
    await sim.node("a", { disk: true });
    await sim.node("b", { disk: true });
    await sim.clock.runUntil(() => sim.nodes.every(({ raft }) => raft.isLeader), 5_000);
    for (const { keeper } of sim.nodes) keeper.broken = true;
    sim.hub.heal();
    const isSaid = (): boolean =>
      sim.nodes.some(({ raft }) => raft.view().reason?.includes("the disk is broken") === true);
    await sim.clock.runUntil(isSaid, 20_000);
    await sim.stop();
  });
});

describe("disks that were copied", () => {
  test("before there was a cluster: one of the nodes draws another raftId, and they form one", async () => {
    const sim = new SimRaft(60);
    const random = seededRandom(60);
    for (const nodeId of ["a", "b", "c"]) {
      const node = await sim.node(nodeId, {
        disk: true,
        nodes: ["a", "b", "c"].filter((id) => id !== nodeId),
      });
      await node.kill();
      node.giveDisk(new MirroredStorage(memberWith(7, undefined, undefined), random, undefined));
    }
    for (const node of sim.nodes) await node.start();
    await sim.led();
    expect(new Set(sim.nodes.map(({ raftId }) => raftId)).size).toBe(3);
    await sim.stop();
  });

  test("of a member: the copy takes no part, and says why", async () => {
    const sim = new SimRaft(61);
    const [a, b, c] = await sim.listed(["a", "b", "c"], { disk: true }) as Three;
    await sim.led();
    await sim.settle(a.map.set("k", "v"));
    await sim.settle(c.map.get("k"));
    const d = await sim.node("d", { disk: true, nodes: ["a", "b", "c"] });
    await d.kill();
    const disk = c.takeDisk();
    c.giveDisk(disk);
    const first = disk.firstIndex(), { hardState } = disk.initialState();
    const copy = {
      ...memberWith(disk.raftId, disk.clusterId, disk.snapshot()),
      hardState,
      offset: first - 1,
      offsetTerm: disk.term(first - 1) ?? 0,
      entries: disk.entries(first, disk.lastIndex() + 1, Infinity) ?? [],
    };
    d.giveDisk(new MirroredStorage(copy, seededRandom(61), undefined));
    await d.start();
    const reason = (): string => d.raft.view().reason ?? "";
    await sim.clock.runUntil(() => reason().includes("one of the two disks is a copy"), 10_000);
    await sim.clock.advance(3_000);
    await sim.led([a, b, c]);
    expect(c.raft.view().role).not.toBeNull();
    expect(await sim.settle(b.map.set("k", "again"))).toBe(2);
    expect(await read(sim, c, "k")).toBe("again");
    await sim.stop();
  });
});

describe("nodes that expect fewer than there are", () => {
  test("form one cluster, though two of them see enough others and not each other", async () => {
    const sim = new SimRaft(59);
    const blocked = ["ab", "ad", "be", "ed"];
    for (const [one = "", other = ""] of blocked) {
      sim.hub.block(one, other);
      sim.hub.block(other, one);
    }
    for (const nodeId of ["a", "b", "c", "d", "e"]) await sim.node(nodeId, { bootstrapExpect: 3 });
    await sim.clock.runUntil(() => sim.nodes.some(({ raft }) => raft.isLeader), 30_000);
    await sim.clock.advance(5_000);
    const clusters = (): Set<string> =>
      new Set(sim.nodes.flatMap(({ clusterId }) => clusterId === undefined ? [] : [clusterId]));
    expect(clusters().size).toBe(1);
    sim.hub.heal();
    await sim.led(sim.nodes, 60_000);
    expect(clusters().size).toBe(1);
    await sim.stop();
  });
});
