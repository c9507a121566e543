import { describe, expect, test } from "bun:test";
import { codeOf } from "./code_of.ts";
import { FakeCluster } from "./fake_cluster.ts";

describe("closing a connection", () => {
  test("closes it wherever it is, after what its outbox holds", async () => {
    const cluster = new FakeCluster(2);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const bob = b.connect("bob", 10);
    const alice = a.connect("alice");
    await cluster.clock.advance(5);
    const message = a.router.routeMessage("bob", "bye".repeat(100));
    await cluster.clock.advance(2);
    expect(await cluster.run(a.router.closeConnection("bob", 4000, "enough"))).toBe(true);
    expect(bob.closedWith).toEqual({ code: 4000, reason: "enough" });
    expect(await cluster.run(message)).toBe(true);
    expect(await a.router.closeConnection("alice", 1000, "")).toBe(true);
    expect(alice.closedWith).toEqual({ code: 1000, reason: "" });
  });

  test("says when nobody has it, and when that cannot be known", async () => {
    const cluster = new FakeCluster(2);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    expect(await cluster.run(a.router.closeConnection("nobody", 1000, ""))).toBe(false);
    b.connect("bob");
    await cluster.clock.advance(5);
    const closing = a.router.closeConnection("bob", 1000, "");
    cluster.network.end(a.sessionWith(b), "timeout", 0);
    expect(await codeOf(cluster.run(closing))).toBe("node-lost");
    cluster.network.joinAll();
    await cluster.clock.advance(5);
    cluster.network.delayMs = () => 1_000;
    expect(await codeOf(cluster.run(a.router.closeConnection("bob", 1000, "", 100)))).toBe("timeout");
    expect(await codeOf(a.router.closeConnection("bob", 1005, ""))).toBe("invalid-option");
    expect(await codeOf(a.router.closeConnection("bob", 1000, "é".repeat(62)))).toBe("invalid-option");
  });
});

describe("a router that stops", () => {
  test("ends every wait and holds nothing", async () => {
    const cluster = new FakeCluster(2);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    b.connect("bob", 0);
    a.connect("alice", 0);
    await cluster.clock.advance(5);
    const waits = a.router.deliver(["bob", "alice", "nobody"], "x");
    const closing = a.router.closeConnection("bob", 1000, "");
    a.router.stop();
    expect([...(await waits).values()]).toEqual(["node-lost", "node-lost", "node-lost"]);
    expect(await codeOf(closing)).toBe("node-lost");
    expect(a.router.inFlight).toEqual({ connections: 0, calls: 0, waitingBytes: 0 });
    b.router.stop();
    await cluster.clock.advance(10);
    expect(cluster.clock.timers).toBe(0);
  });
});
