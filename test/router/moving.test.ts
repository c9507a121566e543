import { describe, expect, test } from "bun:test";
import { FakeCluster } from "./fake_cluster.ts";

describe("a lost node", () => {
  test("ends what was sent at once, as unknown, and later calls find the new owner", async () => {
    const cluster = new FakeCluster(3);
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    b.connect("bob", 0);
    await cluster.clock.advance(5);
    const sent = a.router.deliver(["bob"], "1");
    await cluster.clock.advance(5);
    const began = cluster.clock.now();
    const sink = c.connect("bob");
    cluster.network.end(a.sessionWith(b), "timeout", 50);
    expect([...await cluster.run(sent)]).toEqual([["bob", "node-lost"]]);
    expect(cluster.clock.now()).toBe(began);
    expect(await cluster.run(a.router.routeMessage("bob", "2"))).toBe(true);
    expect(sink.received).toEqual(["2"]);
    expect(cluster.idle).toBe(true);
  });

  test("does not lose what was never sent: it goes to the new owner, in order", async () => {
    const cluster = new FakeCluster(3);
    cluster.network.laneBytes = 2_000;
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    b.connect("bob");
    await cluster.clock.advance(5);
    cluster.network.delayMs = () => 100;
    const calls = [0, 1, 2, 3].map((index) => a.router.deliver(["bob"], `${index}`.padEnd(1_500)));
    const sink = c.connect("bob");
    cluster.network.end(a.sessionWith(b), "timeout", 0);
    const outcomes = await cluster.run(Promise.all(calls));
    const expected = ["node-lost", "delivered", "delivered", "delivered"];
    expect(outcomes.map((outcome) => outcome.get("bob") as string)).toEqual(expected);
    expect(sink.received.map((data) => (data as string).trim())).toEqual(["1", "2", "3"]);
    expect(cluster.idle).toBe(true);
  });
});

describe("a session that has ended and was not announced yet", () => {
  test("takes nothing, and what it did not take goes where the connection turns up", async () => {
    const cluster = new FakeCluster(3);
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    b.connect("bob");
    await cluster.clock.advance(5);
    const session = a.sessionWith(b);
    session.live = false;
    const calls = [a.router.routeMessage("bob", "1"), a.router.routeMessage("bob", "2")];
    await cluster.clock.advance(10);
    const sink = c.connect("bob");
    expect(await cluster.run(Promise.all(calls), 100)).toEqual([true, true]);
    expect(sink.received).toEqual(["1", "2"]);
    a.links.ended(session, "timeout");
    expect(cluster.idle).toBe(true);
  });
});

describe("a connection that moves", () => {
  test("to a node that just went away, and then on, keeps what was queued", async () => {
    const cluster = new FakeCluster(3);
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    b.connect("bob", 0);
    await cluster.clock.advance(5);
    const first = a.router.deliver(["bob"], "1");
    await cluster.clock.advance(5);
    c.connect("bob");
    await cluster.clock.advance(2);
    const second = a.router.deliver(["bob"], "2");
    a.sessionWith(c).live = false;
    expect([...await cluster.run(first)]).toEqual([["bob", "closed"]]);
    await cluster.clock.advance(5);
    const sink = a.connect("bob");
    expect([...await cluster.run(second)]).toEqual([["bob", "delivered"]]);
    expect(sink.received).toEqual(["2"]);
  });

  test("gets the messages that its old owner no longer took, in order, once", async () => {
    const cluster = new FakeCluster(3);
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    b.connect("bob");
    await cluster.clock.advance(5);
    cluster.network.delayMs = () => 20;
    const calls = [a.router.routeMessage("bob", "1"), a.router.routeMessage("bob", "2")];
    b.disconnect("bob");
    const sink = c.connect("bob");
    await cluster.clock.advance(25);
    calls.push(a.router.routeMessage("bob", "3"));
    expect(await cluster.run(Promise.all(calls))).toEqual([true, true, true]);
    expect(sink.received).toEqual(["1", "2", "3"]);
    expect(cluster.idle).toBe(true);
  });

  test("to the calling node gets what was on its way to another", async () => {
    const cluster = new FakeCluster(2);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    b.connect("bob");
    await cluster.clock.advance(5);
    b.disconnect("bob");
    const first = a.router.routeMessage("bob", "1");
    const sink = a.connect("bob");
    const second = a.router.routeMessage("bob", "2");
    expect(sink.received).toEqual([]);
    expect(await cluster.run(Promise.all([first, second]))).toEqual([true, true]);
    expect(sink.received).toEqual(["1", "2"]);
  });

  test("that nobody has any more is not found, at the latest at the deadline", async () => {
    const cluster = new FakeCluster(2);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    b.connect("bob");
    await cluster.clock.advance(5);
    b.disconnect("bob");
    expect([...await cluster.run(a.router.deliver(["bob"], "x"))]).toEqual([["bob", "not-found"]]);
    expect(cluster.idle).toBe(true);
  });
});
