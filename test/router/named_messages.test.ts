import { describe, expect, test } from "bun:test";
import { FakeCluster } from "./fake_cluster.ts";

describe("a named message", () => {
  test("is delivered once however often it is sent, and each call hears so", async () => {
    const cluster = new FakeCluster(2);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const sink = b.connect("bob", 0);
    await cluster.clock.advance(5);
    const messageId = "m-1";
    expect(await cluster.run(a.router.routeMessage("bob", "x", { messageId, timeoutMs: 100 }))).toBe(false);
    const again = a.router.routeMessage("bob", "x", { messageId });
    const fromOwner = b.router.routeMessage("bob", "x", { messageId });
    await cluster.clock.advance(10);
    sink.bytesPerMs = 10;
    expect(await cluster.run(Promise.all([again, fromOwner]))).toEqual([true, true]);
    expect(await cluster.run(a.router.routeMessage("bob", "x", { messageId }))).toBe(true);
    expect(sink.received).toEqual(["x"]);
  });

  test("is forgotten after rememberMs, or when newer ones take its place", async () => {
    const cluster = new FakeCluster(1, { router: { rememberMs: 1_000, rememberedMessagesMax: 2 } });
    const a = cluster.node(0);
    const sink = a.connect("alice");
    const send = (messageId: string): Promise<boolean> =>
      a.router.routeMessage("alice", messageId, { messageId });
    await Promise.all(["1", "1", "2", "2"].map(send));
    expect(sink.received).toEqual(["1", "2"]);
    await Promise.all(["3", "1"].map(send));
    expect(sink.received).toEqual(["1", "2", "3", "1"]);
    await cluster.clock.advance(1_001);
    await send("1");
    expect(sink.received).toEqual(["1", "2", "3", "1", "1"]);
  });

  test("that did not arrive may be sent again", async () => {
    const cluster = new FakeCluster(1, { outbox: { outboxBytesMax: 100, slowConsumer: "drop" } });
    const a = cluster.node(0);
    const sink = a.connect("alice", 0);
    void a.router.routeMessage("alice", "x".repeat(100));
    const options = { messageId: "m" };
    expect([...await a.router.deliver(["alice"], "y", options)]).toEqual([["alice", "backpressure"]]);
    sink.bytesPerMs = 50;
    await cluster.clock.advance(10);
    expect(await cluster.run(a.router.routeMessage("alice", "y", options))).toBe(true);
  });
});
