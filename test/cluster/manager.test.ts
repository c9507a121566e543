import { describe, expect, test } from "bun:test";
import type { ConnectionSink } from "../../src/connection/sink.ts";
import { createCluster } from "../../src/create.ts";
import { FakeSink } from "../support/fake_sink.ts";
import { SimCluster, type SimClusterNode } from "../support/sim_cluster.ts";

/** What the node says of its own connections, in order. */
function connectionEvents({ cluster }: SimClusterNode): string[] {
  const events: string[] = [];
  cluster.on(
    "connectionopen",
    ({ connectionId, endpoint }) => void events.push(`open ${connectionId} ${endpoint}`),
  );
  cluster.on("connectionclose", ({ connectionId }) => void events.push(`close ${connectionId}`));
  return events;
}

describe("a node of the cluster", () => {
  test("tells of its connections and peers as they come and go", async () => {
    const sim = new SimCluster(1);
    const [a, b] = [await sim.node("a"), await sim.node("b")];
    const events = connectionEvents(a);
    await sim.whole();
    const first = a.connect("alice");
    a.connect("alice");
    a.cluster.unregisterConnection("alice", first);
    a.cluster.unregisterConnection("alice");
    a.cluster.unregisterConnection("alice");
    await sim.settle(b.cluster.shutdown());
    await sim.clock.runUntil(() => a.events.length === 2, 1_000);
    expect(events).toEqual(["open alice /ws", "close alice", "open alice /ws", "close alice"]);
    expect(a.events).toEqual(["up b", "down b left"]);
    await sim.stop();
  });

  test("has cleared the routes and counts of a node that is down before it says so", async () => {
    const sim = new SimCluster(2);
    const [a, b] = [await sim.node("a"), await sim.node("b")];
    await sim.whole();
    b.connect("bob");
    await sim.clock.runUntil(() => a.cluster.getConnectionNodeId("bob") === "b", 1_000);
    expect(a.cluster.connectionCounts).toEqual({ a: 0, b: 1 });
    let seen: unknown;
    a.cluster.on("nodedown", () => {
      const { connections, nodes } = a.cluster.view();
      seen = {
        owner: a.cluster.getConnectionNodeId("bob"),
        total: connections.total,
        peer: nodes[1]?.connections,
      };
    });
    sim.hub.cut("a", "b");
    sim.hub.partition([["a"], ["b"]]);
    await sim.clock.runUntil(() => seen !== undefined, 10_000);
    expect(seen).toEqual({ owner: undefined, total: 0, peer: 0 });
    await sim.stop();
  });

  test("has no role, leader or term before there is Raft, and says why", async () => {
    const sim = new SimCluster(3);
    const a = await sim.node("a");
    const { role, leaderId, term, commitIndex, raft } = a.cluster.view();
    expect({ role, leaderId, term, commitIndex }).toEqual({
      role: null,
      leaderId: null,
      term: null,
      commitIndex: null,
    });
    expect(raft.status).toBe("off");
    expect(raft.reason).not.toBe("");
    await sim.stop();
  });

  test("measures others, is perfect to itself, and names the node with the fewest connections", async () => {
    const sim = new SimCluster(4, { features: ["lossless"], faults: { latencyMs: 10 } });
    const [a, b] = [await sim.node("a"), await sim.node("b")];
    await sim.whole();
    expect(await sim.settle(a.cluster.measureLatency("b"))).toBeGreaterThanOrEqual(20);
    expect(await a.cluster.measureLatency("a")).toBe(0);
    expect([a.cluster.getNetworkQuality("a"), a.cluster.getNetworkQuality("nobody")]).toEqual([100, 0]);
    expect(a.cluster.getNetworkQuality("b")).toBeGreaterThan(0);
    expect(a.cluster.getOptimalNode()).toBe("a");
    a.connect("alice");
    expect(a.cluster.getOptimalNode()).toBe("b");
    await sim.settle(b.cluster.shutdown());
    await sim.clock.runUntil(() => a.cluster.getOptimalNode() === "a", 10_000);
    await sim.stop();
  });

  test("tells the others where clients reach it", async () => {
    const sim = new SimCluster(5);
    const [a] = [await sim.node("a"), await sim.node("b", { publicUrl: "wss://b.example" })];
    await sim.whole();
    await sim.clock.runUntil(() => a.cluster.view().nodes[1]?.publicUrl === "wss://b.example", 1_000);
    await sim.stop();
  });

  test("closes its clients with 1001 when it stops, once, and takes no more", async () => {
    const sim = new SimCluster(6);
    const a = await sim.node("a");
    const events = connectionEvents(a);
    const alice = a.connect("alice");
    await sim.settle(Promise.all([a.cluster.shutdown(), a.cluster.shutdown()]));
    expect(alice.closedWith?.code).toBe(1001);
    expect(events).toEqual(["open alice /ws", "close alice"]);
    expect(a.cluster.running).toBe(false);
    expect(() => a.connect("bob")).toThrow("this node has stopped");
    await expect(a.cluster.routeText("alice", "late")).rejects.toMatchObject({ code: "not-running" });
    await expect(a.cluster.getConnection("alice")).rejects.toMatchObject({ code: "not-running" });
    await expect(a.cluster.start()).rejects.toMatchObject({ code: "not-running" });
    expect(sim.clock.timers).toBe(0);
  });

  test("that cannot start has stopped and holds nothing", async () => {
    const sim = new SimCluster(7);
    const transport = sim.hub.transport("a", sim.clock);
    transport.start = () => Promise.reject(new Error("no such broker"));
    const cluster = createCluster({
      nodeId: "a",
      transportType: transport,
      clock: sim.clock,
      secret: "secret",
    });
    await expect(sim.settle(cluster.start())).rejects.toThrow("no such broker");
    expect(cluster.running).toBe(false);
    expect(sim.clock.timers).toBe(0);
  });
});

describe("the health check", () => {
  test("forgets a connection that its provider no longer has, and says so", async () => {
    const sim = new SimCluster(8);
    const [a, b] = [await sim.node("a"), await sim.node("b")];
    const events = connectionEvents(a);
    await sim.whole();
    const sinks = new Map<string, ConnectionSink>([["alice", new FakeSink(a.clock)]]);
    a.cluster.setConnectionProvider(sinks);
    a.cluster.registerConnection("alice", { endpoint: "/chat" });
    await sim.clock.runUntil(() => b.cluster.getConnectionNodeId("alice") === "a", 1_000);
    sinks.delete("alice");
    await sim.clock.runUntil(() => b.cluster.getConnectionNodeId("alice") === undefined, 6_000);
    expect(events).toEqual(["open alice /chat", "close alice"]);
    expect(a.cluster.stats().repairs).toBe(1);
    await sim.clock.advance(20_000);
    expect(a.cluster.stats().repairs).toBe(1);
    await sim.stop();
  });

  test("goes on over the provider's new socket of a connection", async () => {
    const sim = new SimCluster(9);
    const a = await sim.node("a");
    const [before, after] = [new FakeSink(a.clock), new FakeSink(a.clock)];
    const sinks = new Map<string, ConnectionSink>([["alice", before]]);
    a.cluster.setConnectionProvider(sinks);
    a.cluster.registerConnection("alice", { endpoint: "/chat" });
    sinks.set("alice", after);
    await sim.clock.advance(5_000);
    expect(await sim.settle(a.cluster.routeText("alice", "hello"))).toBe(true);
    expect([before.received, after.received]).toEqual([[], ["hello"]]);
    await sim.stop();
  });

  test("of a provider that throws is logged, and the node goes on", async () => {
    const sim = new SimCluster(10);
    const lines: string[] = [];
    const say = (message: string): void => void lines.push(message);
    const logger = { debug() {}, info() {}, warn: say, error: say };
    const a = await sim.node("a", { logger });
    const alice = new FakeSink(a.clock);
    let broken = false;
    a.cluster.setConnectionProvider({
      get() {
        if (broken) throw new Error("the provider is broken");
        return alice;
      },
    });
    a.cluster.registerConnection("alice", { endpoint: "/chat" });
    broken = true;
    await sim.clock.advance(11_000);
    expect(lines).toEqual(["the health check failed", "the health check failed"]);
    expect(await sim.settle(a.cluster.routeText("alice", "hello"))).toBe(true);
    await sim.stop();
  });
});
