import { describe, expect, test } from "bun:test";
import { MESSAGES } from "../../src/link/contract.ts";
import type { Outcome } from "../../src/router/outcome.ts";
import { FakeCluster, type FakeNode } from "./fake_cluster.ts";

/** Room for three messages. */
const WAIT = { slowConsumer: "wait", outboxBytesMax: 1_500, sinkBytesMax: 500 } as const;

/** `count` messages of 500 bytes that begin with their number. */
function send(node: FakeNode, connectionId: string, count: number, timeoutMs = 5_000): Promise<Outcome[]> {
  const calls = Array.from({ length: count }, async (_, index) => {
    const outcomes = await node.router.deliver([connectionId], `${index} `.padEnd(500, "x"), { timeoutMs });
    return outcomes.get(connectionId) as Outcome;
  });
  return Promise.all(calls);
}

function numbers(received: readonly unknown[]): number[] {
  return received.map((data) => parseInt(String(data), 10));
}

describe("a slow client under the policy wait", () => {
  test.each([["another node", 1], ["this node", 0]])(
    "on %s gets everything in order, at its pace",
    async (_, owner) => {
      const cluster = new FakeCluster(2, { outbox: WAIT });
      const [a, b] = [cluster.node(0), cluster.node(owner)];
      const sink = b.connect("bob", 50);
      await cluster.clock.advance(5);
      const outcomes = await cluster.run(send(a, "bob", 100));
      expect(new Set(outcomes)).toEqual(new Set(["delivered"]));
      expect(numbers(sink.received)).toEqual(Array.from({ length: 100 }, (_, index) => index));
      expect(cluster.idle).toBe(true);
    },
  );

  test("ends what it never took as backpressure, at the deadline", async () => {
    const cluster = new FakeCluster(2, { outbox: WAIT });
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const sink = b.connect("bob", 0);
    await cluster.clock.advance(5);
    const began = cluster.clock.now();
    const outcomes = await cluster.run(send(a, "bob", 6, 300));
    expect(cluster.clock.now() - began).toBeLessThanOrEqual(305);
    expect(outcomes).toEqual([
      "timeout",
      "timeout",
      "timeout",
      "backpressure",
      "backpressure",
      "backpressure",
    ]);
    expect(cluster.idle).toBe(true);
    sink.bytesPerMs = 500;
    expect(await cluster.run(send(a, "bob", 1))).toEqual(["delivered"]);
    expect(numbers(sink.received)).toEqual([0, 0]);
  });

  test("delays nobody else, not even at the same node", async () => {
    const cluster = new FakeCluster(2, { outbox: WAIT });
    const [a, b] = [cluster.node(0), cluster.node(1)];
    b.connect("slow", 0);
    b.connect("fast");
    await cluster.clock.advance(5);
    const slow = send(a, "slow", 10, 1_000);
    const began = cluster.clock.now();
    expect(await cluster.run(send(a, "fast", 10))).toEqual(Array<Outcome>(10).fill("delivered"));
    expect(cluster.clock.now() - began).toBeLessThanOrEqual(2);
    await cluster.run(slow);
  });

  test("that can be written to again while more is on its way holds nothing back for good", async () => {
    const cluster = new FakeCluster(2, { outbox: WAIT });
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const sink = b.connect("bob", 300);
    await cluster.clock.advance(5);
    cluster.network.delayMs = () => 20;
    const calls: Promise<boolean>[] = [];
    for (let index = 0; index < 100; index++) {
      calls.push(a.router.routeMessage("bob", `${index} `.padEnd(500)));
      await cluster.clock.advance(1);
    }
    expect(new Set(await cluster.run(Promise.all(calls)))).toEqual(new Set([true]));
    expect(numbers(sink.received)).toEqual(Array.from({ length: 100 }, (_, index) => index));
    expect(cluster.idle).toBe(true);
  });

  test("is served fairly enough to several nodes: each gets everything across in its own order", async () => {
    const cluster = new FakeCluster(4, { outbox: WAIT });
    const owner = cluster.node(3);
    const sink = owner.connect("bob", 100);
    await cluster.clock.advance(5);
    const callers = [0, 1, 2].map((index) => cluster.node(index));
    const calls = callers.flatMap(({ router, nodeId }) =>
      Array.from({ length: 30 }, (_, index) => router.routeMessage("bob", `${index} ${nodeId}`.padEnd(500)))
    );
    expect(new Set(await cluster.run(Promise.all(calls)))).toEqual(new Set([true]));
    for (const { nodeId } of callers) {
      const own = sink.received.filter((data) => String(data).includes(nodeId));
      expect(numbers(own)).toEqual(Array.from({ length: 30 }, (_, index) => index));
    }
    expect(cluster.idle).toBe(true);
  });

  test("that leaves is answered closed or not-found, and one that moves gets the rest elsewhere", async () => {
    const cluster = new FakeCluster(3, { outbox: WAIT });
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    b.connect("bob", 0);
    b.connect("carol", 0);
    await cluster.clock.advance(5);
    const gone = send(a, "bob", 6);
    const moved = send(a, "carol", 6);
    await cluster.clock.advance(20);
    b.disconnect("bob");
    b.disconnect("carol");
    const sink = c.connect("carol", 100);
    expect(await cluster.run(gone)).toEqual([
      "closed",
      "closed",
      "closed",
      "not-found",
      "not-found",
      "not-found",
    ]);
    expect(await cluster.run(moved)).toEqual([
      "closed",
      "closed",
      "closed",
      "delivered",
      "delivered",
      "delivered",
    ]);
    expect(numbers(sink.received)).toEqual([3, 4, 5]);
    expect(cluster.idle).toBe(true);
  });
});

describe("a slow client under the other policies", () => {
  test("drop refuses the newest and keeps its word for the rest", async () => {
    const cluster = new FakeCluster(2, { outbox: { ...WAIT, slowConsumer: "drop" } });
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const sink = b.connect("bob", 50);
    await cluster.clock.advance(5);
    const outcomes = await cluster.run(send(a, "bob", 6));
    expect(outcomes.slice(0, 3)).toEqual(["delivered", "delivered", "delivered"]);
    expect(outcomes.slice(3)).toEqual(["backpressure", "backpressure", "backpressure"]);
    expect(numbers(sink.received)).toEqual([0, 1, 2]);
  });

  test("close ends the connection with 4008 and everything that is not out as closed", async () => {
    const cluster = new FakeCluster(2, { outbox: { ...WAIT, slowConsumer: "close" } });
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const sink = b.connect("bob", 0);
    await cluster.clock.advance(5);
    const outcomes = send(a, "bob", 6);
    await cluster.clock.advance(5);
    expect(sink.closedWith?.code).toBe(4008);
    b.disconnect("bob");
    expect(await cluster.run(outcomes)).toEqual(Array<Outcome>(6).fill("closed"));
    expect(b.outboxes.counters.queuedBytes).toBe(0);
  });
});

describe("a full lane", () => {
  test("makes calls wait at the caller, in order, one frame for each call however many it is for", async () => {
    const cluster = new FakeCluster(2);
    cluster.network.laneBytes = 3_000;
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const ids = Array.from({ length: 20 }, (_, index) => `b${index}`);
    const sinks = ids.map((id) => b.connect(id));
    await cluster.clock.advance(5);
    const calls = Array.from({ length: 50 }, (_, index) => a.router.deliver(ids, `${index} `.padEnd(1_000)));
    for (const outcomes of await cluster.run(Promise.all(calls))) {
      expect(new Set(outcomes.values())).toEqual(new Set(["delivered"]));
    }
    for (const sink of sinks) {
      expect(numbers(sink.received)).toEqual(Array.from({ length: 50 }, (_, index) => index));
    }
    expect(a.sessionWith(b).taken[MESSAGES]).toBe(50);
    expect(cluster.idle).toBe(true);
  });

  test("lets at most waitingBytesMax wait, and ends the rest at once", async () => {
    const cluster = new FakeCluster(3, { router: { waitingBytesMax: 10_000 } });
    cluster.network.laneBytes = 1_000;
    cluster.network.delayMs = () => 100;
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    b.connect("bob");
    c.connect("carol");
    await cluster.clock.advance(200);
    const calls = Array.from({ length: 20 }, () => a.router.deliver(["bob"], new Uint8Array(1_000)));
    const atOnce = await cluster.run(Promise.all(calls.slice(8)));
    expect(new Set(atOnce.map((outcomes) => outcomes.get("bob") as string))).toEqual(
      new Set(["backpressure"]),
    );
    expect(await cluster.run(a.router.routeMessage("carol", "not delayed by that"))).toBe(true);
    const waited = await cluster.run(Promise.all(calls.slice(0, 8)));
    expect(new Set(waited.map((outcomes) => outcomes.get("bob") as string))).toEqual(new Set(["delivered"]));
  });

  test("ends what waited in vain as backpressure", async () => {
    const cluster = new FakeCluster(2);
    cluster.network.laneBytes = 1_000;
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const sink = b.connect("bob");
    await cluster.clock.advance(5);
    cluster.network.delayMs = () => 500;
    const calls = [0, 1, 2].map(() => a.router.deliver(["bob"], new Uint8Array(1_000), { timeoutMs: 200 }));
    const outcomes = await cluster.run(Promise.all(calls));
    expect(outcomes.map((each) => each.get("bob") as string)).toEqual([
      "timeout",
      "backpressure",
      "backpressure",
    ]);
    await cluster.clock.advance(5_000);
    expect(sink.received.length).toBe(1);
    expect(cluster.idle).toBe(true);
  });
});
