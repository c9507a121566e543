/** Leaving, with clients that follow what they are told, in virtual time. */
import { describe, expect, test } from "bun:test";
import type { DrainReport } from "../../src/cluster/contract.ts";
import { encodeMessage } from "../../src/client_protocol.ts";
import { FakeSink } from "../support/fake_sink.ts";
import { SimCluster, type SimClusterNode } from "../support/sim_cluster.ts";

/** Clients with ids of their own that go where a close reason sends them. */
class Crowd {
  readonly sim: SimCluster;
  /** How long a client takes to be back. */
  readonly comeBackMs: (target: string) => number;
  /** Close codes and reasons, by client. */
  readonly told: Map<string, { code: number; reason: string }[]> = new Map();

  constructor(sim: SimCluster, comeBackMs: (target: string) => number = () => 50) {
    this.sim = sim;
    this.comeBackMs = comeBackMs;
  }

  async node(nodeId: string): Promise<SimClusterNode> {
    return await this.sim.node(nodeId, { publicUrl: `ws://${nodeId}.test:80` });
  }

  connect(node: SimClusterNode, id: string, ownId = true): FakeSink {
    const sink = new FakeSink(node.clock);
    const { close } = sink;
    sink.close = (code, reason) => {
      if (sink.closedWith !== undefined) return;
      close.call(sink, code, reason);
      this.told.set(id, [...this.told.get(id) ?? [], { code, reason }]);
      this.sim.clock.timer(1, () => node.cluster.unregisterConnection(id, sink));
      this.#follow(reason, ownId);
    };
    const turnedAway = node.cluster.turnAway("/ws", ownId ? id : null);
    if (turnedAway !== null) sink.close(1001, turnedAway);
    else node.cluster.registerConnection(id, { endpoint: "/ws", ownId }, sink);
    return sink;
  }

  #follow(reason: string, ownId: boolean): void {
    const { redirect } = JSON.parse(reason || "{}") as { redirect?: string };
    if (redirect === undefined) return;
    const url = new URL(redirect);
    const target = this.sim.nodes.find(({ cluster }) => `${cluster.nodeId}.test` === url.hostname);
    const id = url.searchParams.get("id") ??
      `anonymous-${Math.round(this.sim.clock.now())}-${this.told.size}`;
    if (target === undefined) return;
    this.sim.clock.timer(this.comeBackMs(target.cluster.nodeId), () => void this.connect(target, id, ownId));
  }
}

async function leave(sim: SimCluster, node: SimClusterNode, deadlineMs?: number): Promise<DrainReport> {
  return await sim.settle(node.cluster.shutdown({ deadlineMs }));
}

async function three(seed: number, comeBackMs?: (target: string) => number) {
  const sim = new SimCluster(seed);
  const crowd = new Crowd(sim, comeBackMs);
  const nodes = [await crowd.node("a"), await crowd.node("b"), await crowd.node("c")] as const;
  await sim.whole();
  return { sim, crowd, nodes };
}

describe("a node that leaves", () => {
  test("moves all its clients to the others, evenly, and they keep their ids", async () => {
    const { sim, crowd, nodes: [a, b, c] } = await three(61);
    for (let index = 0; index < 3_000; index++) crowd.connect(a, `client-${index}`);
    const report = await leave(sim, a);
    expect(report).toMatchObject({ moved: 3_000, refused: 0, timedOut: 0 });
    expect(report.batches.map(({ size }) => size)).toEqual([1_000, 2_000]);
    const [atB, atC] = [b, c].map(({ cluster }) => cluster.view().connections.local);
    expect((atB ?? 0) + (atC ?? 0)).toBe(3_000);
    expect(Math.abs((atB ?? 0) - (atC ?? 0))).toBeLessThan(300);
    for (const [, told] of crowd.told) expect(told.map(({ code }) => code)).toEqual([1001]);
    await sim.stop();
  });

  test("sends more to the emptier of two nodes", async () => {
    const { sim, crowd, nodes: [a, b] } = await three(62);
    for (let index = 0; index < 1_000; index++) crowd.connect(b, `old-${index}`);
    for (let index = 0; index < 1_000; index++) crowd.connect(a, `new-${index}`);
    await sim.clock.runUntil(() => a.cluster.connectionCounts["b"] === 1_000, 5_000);
    const { targets } = await leave(sim, a);
    expect(targets["c"]?.arrived).toBeGreaterThan(4 * (targets["b"]?.arrived ?? 0));
    await sim.stop();
  });

  test("counts clients without ids by what their targets got", async () => {
    const { sim, crowd, nodes: [a] } = await three(63);
    for (let index = 0; index < 500; index++) crowd.connect(a, `nameless-${index}`, false);
    expect(await leave(sim, a)).toMatchObject({ moved: 500, timedOut: 0 });
    await sim.stop();
  });

  test("sends smaller and smaller batches to nodes that are slow to take them", async () => {
    const { sim, crowd, nodes: [a] } = await three(64, () => 3_000);
    for (let index = 0; index < 2_500; index++) crowd.connect(a, `client-${index}`);
    const { batches, moved } = await leave(sim, a);
    const sizes = batches.slice(0, 5).map(({ size }) => size);
    expect(sizes).toEqual([...sizes].sort((one, other) => other - one));
    expect(sizes.at(-1)).toBeLessThanOrEqual(250);
    expect(moved).toBe(2_500);
    await sim.stop();
  });

  test("says after some seconds who did not come back, and waits no longer", async () => {
    const { sim, crowd, nodes: [a] } = await three(65, () => 1e9);
    for (let index = 0; index < 10; index++) crowd.connect(a, `client-${index}`);
    const report = await leave(sim, a);
    expect(report).toMatchObject({ moved: 0, timedOut: 10 });
    expect(report.ms).toBeLessThan(10_000);
    await sim.stop();
  });

  test("closes its clients without a redirect when there is no other node", async () => {
    const sim = new SimCluster(66);
    const crowd = new Crowd(sim);
    const a = await crowd.node("a");
    crowd.connect(a, "alice");
    const report = await leave(sim, a);
    expect(report).toMatchObject({ moved: 0, refused: 1, timedOut: 0 });
    expect(crowd.told.get("alice")).toEqual([{ code: 1001, reason: "{}" }]);
    expect(report.ms).toBeLessThan(1_000);
  });

  test("with force, or no time, tells all of them at once where to go and waits for nobody", async () => {
    for (const options of [{ force: true }, { deadlineMs: 0 }]) {
      const { sim, crowd, nodes: [a, b, c] } = await three(67);
      for (let index = 0; index < 1_500; index++) crowd.connect(a, `client-${index}`);
      const report = await sim.settle(a.cluster.shutdown(options));
      expect(report.ms).toBe(0);
      await sim.clock.runUntil(
        () => b.cluster.view().connections.local + c.cluster.view().connections.local === 1_500,
        5_000,
      );
      await sim.stop();
    }
  });

  test("is hurried by a second call with force and by a signal", async () => {
    const { sim, crowd, nodes: [a, b] } = await three(68, () => 1e9);
    for (let index = 0; index < 10; index++) {
      crowd.connect(a, `a-${index}`);
      crowd.connect(b, `b-${index}`);
    }
    const first = a.cluster.shutdown();
    const aborter = new AbortController();
    const second = b.cluster.shutdown({ signal: aborter.signal });
    await sim.clock.advance(200);
    const forced = a.cluster.shutdown({ force: true });
    aborter.abort();
    expect(await sim.settle(first)).toBe(await sim.settle(forced));
    expect((await sim.settle(second)).ms).toBeLessThan(500);
    await sim.stop();
  });

  test("turns newcomers away to another node while it leaves", async () => {
    const { sim, crowd, nodes: [a, b, c] } = await three(69, () => 400);
    crowd.connect(a, "early");
    const leaving = a.cluster.shutdown();
    await sim.clock.advance(100);
    expect(a.cluster.running).toBe(true);
    crowd.connect(a, "late");
    expect(crowd.told.get("late")?.[0]?.reason).toMatch(
      /^\{"redirect":"ws:\/\/[bc]\.test:80\/ws\?id=late"\}$/,
    );
    await sim.settle(leaving);
    await sim.clock.runUntil(
      () => b.cluster.view().connections.local + c.cluster.view().connections.local === 2,
      5_000,
    );
    await sim.stop();
  });

  test("is not chosen by others that leave at the same time: all clients end where nobody leaves", async () => {
    const sim = new SimCluster(70);
    const crowd = new Crowd(sim);
    const nodes: SimClusterNode[] = [];
    for (const id of ["a", "b", "c", "d", "e"]) nodes.push(await crowd.node(id));
    await sim.whole();
    nodes.forEach((node, at) => {
      for (let index = 0; index < 100; index++) crowd.connect(node, `${at}-${index}`);
    });
    const leaving = nodes.slice(0, 3).map(({ cluster }) => cluster.shutdown());
    for (const each of leaving) expect((await sim.settle(each)).refused).toBe(0);
    const stay = nodes.slice(3);
    await sim.clock.runUntil(
      () => stay.reduce((sum, { cluster }) => sum + cluster.view().connections.local, 0) === 500,
      5_000,
    );
    for (const [, told] of crowd.told) expect(told.length).toBeLessThanOrEqual(2);
    await sim.stop();
  });

  test("does not lose a client whose target dies while it is on its way", async () => {
    const { sim, crowd, nodes: [a, b, c] } = await three(71, (target) => target === "b" ? 1e9 : 50);
    for (let index = 0; index < 100; index++) crowd.connect(a, `client-${index}`);
    const leaving = a.cluster.shutdown({ deadlineMs: 8_000 });
    await sim.clock.advance(100);
    sim.hub.partition([["b"], ["a", "c"]]);
    const report = await sim.settle(leaving);
    expect(report.targets["c"]?.arrived).toBe(report.targets["c"]?.sent as number);
    expect(report.moved + report.timedOut).toBe(100);
    sim.hub.heal();
    await sim.stop();
    expect([b, c].every(({ cluster }) => !cluster.running)).toBe(true);
  });

  test("refuses a deadline that cannot be, and then goes on serving", async () => {
    const { sim, nodes: [a] } = await three(72);
    for (const deadlineMs of [-1, Number.NaN, 1e12]) {
      await expect(a.cluster.shutdown({ deadlineMs })).rejects.toThrow(`not ${deadlineMs}`);
    }
    expect(a.cluster.running).toBe(true);
    await sim.stop();
  });

  test("tells an SDK client of any URL, and lets it close its socket itself", async () => {
    const { sim, nodes: [a] } = await three(73);
    const sink = new FakeSink(a.clock);
    const client = Object.assign(sink, { envelope: encodeMessage });
    const id = "x".repeat(120);
    a.cluster.registerConnection(id, { endpoint: "/ws", ownId: true }, client);
    const leaving = a.cluster.shutdown();
    await sim.clock.advance(200);
    expect(sink.closedWith).toBeUndefined();
    await sim.settle(leaving);
    expect(sink.closedWith).toEqual({ code: 1001, reason: '{"reconnect":true}' });
    const [goodbye] = sink.received as Uint8Array[];
    expect(new TextDecoder().decode(goodbye?.subarray(1))).toMatch(
      new RegExp(`^\\{"redirect":"ws://[bc].test:80/ws\\?id=${id}"\\}$`),
    );
    await sim.stop();
  });
});

describe("streams of a node that leaves", () => {
  test("are waited for, and their clients move last", async () => {
    const { sim, crowd, nodes: [a, b] } = await three(74);
    const slow = crowd.connect(a, "slow");
    slow.bytesPerMs = 100;
    crowd.connect(a, "quick");
    await sim.clock.runUntil(() => b.cluster.getConnectionNodeId("slow") === "a", 5_000);
    const readable = new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array(1_000_000));
        controller.close();
      },
    });
    const streaming = b.cluster.deliverStream("slow", readable, { delivery: "chunks" });
    await sim.clock.advance(100);
    const leaving = a.cluster.shutdown();
    expect(await sim.settle(streaming)).toMatchObject({ outcome: "delivered", bytes: 1_000_000 });
    expect(await sim.settle(leaving)).toMatchObject({ moved: 2, timedOut: 0 });
    await sim.stop();
  });

  test("end at the deadline, with a reason", async () => {
    const { sim, crowd, nodes: [a, b] } = await three(75);
    const stuck = crowd.connect(a, "stuck");
    stuck.bytesPerMs = 0;
    await sim.clock.runUntil(() => b.cluster.getConnectionNodeId("stuck") === "a", 5_000);
    let cancelled: unknown;
    const readable = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
      cancel: (reason) => void (cancelled = reason),
    });
    const streaming = b.cluster.deliverStream("stuck", readable, { delivery: "chunks" });
    await sim.clock.advance(100);
    await leave(sim, a, 3_000);
    const { outcome } = await sim.settle(streaming);
    expect(["closed", "node-lost"]).toContain(outcome);
    expect(String(cancelled)).toContain("stuck");
    await sim.stop();
  });
});
