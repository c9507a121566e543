import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { CONTROL, MESSAGES } from "../../src/link/contract.ts";
import { codeOf } from "./code_of.ts";
import { FakeCluster } from "./fake_cluster.ts";

describe("routing one message", () => {
  test("reaches a connection of this node in the same turn, without a frame", async () => {
    const cluster = new FakeCluster(2);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const sink = a.connect("alice");
    const routed = a.router.routeMessage("alice", "hello");
    expect(sink.received).toEqual(["hello"]);
    expect(a.router.inFlight).toEqual({ connections: 0, calls: 0, waitingBytes: 0 });
    expect(a.sessionWith(b).taken[MESSAGES]).toBe(0);
    expect(await routed).toBe(true);
  });

  test("reaches a connection of another node, as text and as binary", async () => {
    const cluster = new FakeCluster(2);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const sink = b.connect("bob");
    await cluster.clock.advance(5);
    expect(await cluster.run(a.router.routeMessage("bob", "\uFEFFhéllo 🛶"))).toBe(true);
    expect(await cluster.run(a.router.routeMessage("bob", new Uint8Array([0, 255, 1])))).toBe(true);
    expect(await cluster.run(a.router.routeMessage("bob", utf8("as text"), { messageType: "text" }))).toBe(
      true,
    );
    expect(await cluster.run(a.router.routeMessage("bob", "as bytes", { messageType: "binary" }))).toBe(true);
    expect(await cluster.run(a.router.routeMessage("bob", ""))).toBe(true);
    expect(await cluster.run(a.router.routeJson("bob", { n: 1 }))).toBe(true);
    const [text, binary, fromBytes, bytes, ...rest] = sink.received;
    expect(text).toBe("\uFEFFhéllo 🛶");
    expect([...binary as Uint8Array]).toEqual([0, 255, 1]);
    expect(fromBytes).toBe("as text");
    expect([...bytes as Uint8Array]).toEqual([...utf8("as bytes")]);
    expect(rest).toEqual(["", '{"n":1}']);
    expect(a.router.routed.delivered).toBe(6);
    expect(cluster.idle).toBe(true);
  });

  test("asks the peers for a connection that it does not know", async () => {
    const cluster = new FakeCluster(3);
    const [a, , c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    c.directory.announces = false;
    const sink = c.connect("carol");
    await cluster.clock.advance(5);
    const first = a.router.routeMessage("carol", "1");
    const second = a.router.routeMessage("carol", "2");
    expect(await cluster.run(first)).toBe(true);
    expect(await cluster.run(second)).toBe(true);
    expect(sink.received).toEqual(["1", "2"]);
    expect([...await cluster.run(a.router.deliver(["nobody"], "x"))]).toEqual([["nobody", "not-found"]]);
    expect(cluster.idle).toBe(true);
  });

  test("is too large above messageBytesMax, counted in bytes, at the caller and at the owner", async () => {
    const cluster = new FakeCluster(2, { router: { messageBytesMax: 8 } });
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const sink = b.connect("bob");
    await cluster.clock.advance(5);
    expect(await cluster.run(a.router.routeMessage("bob", "éééé"))).toBe(true);
    expect([...await a.router.deliver(["bob", "x"], "ééééé")]).toEqual([["bob", "too-large"], [
      "x",
      "too-large",
    ]]);
    expect([...await a.router.deliver(["bob"], new Uint8Array(9))]).toEqual([["bob", "too-large"]]);
    expect(sink.received).toEqual(["éééé"]);
  });

  test("rejects options that cannot be used, and bytes that are not the text they should be", async () => {
    const a = new FakeCluster(1).node(0);
    a.connect("alice");
    const invalid = "invalid-option";
    expect(await codeOf(a.router.routeMessage("alice", new Uint8Array([255]), { messageType: "text" }))).toBe(
      invalid,
    );
    expect(await codeOf(a.router.routeMessage("alice", "", { timeoutMs: 0 }))).toBe(invalid);
    expect(await codeOf(a.router.routeMessage("alice", "", { timeoutMs: Number.NaN }))).toBe(invalid);
    expect(await codeOf(a.router.routeMessage("alice", "", { messageId: "" }))).toBe(invalid);
    expect(await codeOf(a.router.routeMessage("alice", "", { messageId: "é".repeat(33) }))).toBe(invalid);
    expect(await codeOf(a.router.routeMessage("alice", "", null as unknown as object))).toBe(invalid);
    expect(await codeOf(a.router.routeJson("alice", undefined))).toBe(invalid);
    expect(await codeOf(a.router.routeJson("alice", 5n))).toBe(invalid);
    a.router.stop();
    expect(await codeOf(a.router.routeMessage("alice", ""))).toBe("not-running");
  });

  test("rejects what is no message, and sends nothing of it", async () => {
    const a = new FakeCluster(1).node(0);
    const sink = a.connect("alice");
    const wrong: readonly unknown[] = [5, undefined, null, {}, [1], new ArrayBuffer(3), new Float64Array(2)];
    for (const data of wrong) {
      expect(await codeOf(a.router.routeMessage("alice", data as string))).toBe("invalid-option");
      expect(await codeOf(a.router.routeText("alice", data as string))).toBe("invalid-option");
    }
    const messageType = "txt" as "text";
    expect(await codeOf(a.router.routeMessage("alice", "x", { messageType }))).toBe("invalid-option");
    const one: unknown = "alice";
    expect(await codeOf(a.router.deliver(one as string[], "x"))).toBe("invalid-option");
    expect(sink.received).toEqual([]);
  });
});

describe("routing one message to many", () => {
  test("takes one frame for each node and gives an outcome for each connection, in order", async () => {
    const cluster = new FakeCluster(3);
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    a.connect("a1");
    const sinks = ["b1", "b2", "b3"].map((id) => b.connect(id));
    c.connect("c1");
    await cluster.clock.advance(5);
    const ids = ["b1", "nobody", "c1", "b2", "a1", "b1", "b3"];
    const outcomes = await cluster.run(a.router.deliver(ids, "all"));
    expect([...outcomes]).toEqual([
      ["b1", "delivered"],
      ["nobody", "not-found"],
      ["c1", "delivered"],
      ["b2", "delivered"],
      ["a1", "delivered"],
      ["b3", "delivered"],
    ]);
    expect(sinks.map((sink) => sink.received)).toEqual([["all"], ["all"], ["all"]]);
    expect(a.sessionWith(b).taken[MESSAGES]).toBe(1);
    expect(a.sessionWith(c).taken[MESSAGES]).toBe(1);
    const arrivals = await cluster.run(a.router.routeTexts(["b1", "nobody"], "again"));
    expect([...arrivals]).toEqual([["b1", true], ["nobody", false]]);
    expect(cluster.idle).toBe(true);
  });

  test("takes one frame for each 65,536 connections of a node", async () => {
    const cluster = new FakeCluster(2);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    b.connect("bob");
    await cluster.clock.advance(5);
    const route = a.directory.lookup("bob");
    // All of them are one connection in truth, which makes them quick to have.
    a.directory.lookup = () => route;
    const ids = Array.from({ length: 70_000 }, (_, index) => `b${index}`);
    const outcomes = await cluster.run(a.router.deliver(ids, "all"));
    expect(outcomes.size).toBe(70_000);
    expect(new Set(outcomes.values())).toEqual(new Set(["delivered"]));
    expect(a.sessionWith(b).taken[MESSAGES]).toBe(2);
    expect(cluster.idle).toBe(true);
  });

  test("to none resolves with nothing", async () => {
    const a = new FakeCluster(1).node(0);
    expect((await a.router.deliver([], "x")).size).toBe(0);
  });

  test("is answered in one frame for all the messages that came in one turn", async () => {
    const cluster = new FakeCluster(2);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const ids = Array.from({ length: 1_000 }, (_, index) => `b${index}`);
    for (const id of ids) b.connect(id);
    await cluster.clock.advance(5);
    const before = b.sessionWith(a).taken[CONTROL] ?? 0;
    const calls = ids.map((id) => a.router.routeMessage(id, "x"));
    const all = a.router.deliver(ids, "y");
    expect(await cluster.run(Promise.all(calls))).toEqual(ids.map(() => true));
    expect(new Set((await cluster.run(all)).values())).toEqual(new Set(["delivered"]));
    expect((b.sessionWith(a).taken[CONTROL] ?? 0) - before).toBe(1);
    expect(cluster.idle).toBe(true);
  });
});

describe("a deadline", () => {
  test("ends a wait on a socket that takes nothing", async () => {
    const cluster = new FakeCluster(2, { router: { deliveryTimeoutMs: 500 } });
    const [a, b] = [cluster.node(0), cluster.node(1)];
    b.connect("bob", 0);
    a.connect("alice", 0);
    await cluster.clock.advance(5);
    const began = cluster.clock.now();
    const outcomes = await cluster.run(a.router.deliver(["bob", "alice"], "x"));
    expect([...outcomes.values()]).toEqual(["timeout", "timeout"]);
    expect(cluster.clock.now() - began).toBeGreaterThanOrEqual(500);
    expect(cluster.clock.now() - began).toBeLessThanOrEqual(505);
    expect(cluster.idle).toBe(true);
  });

  test("may be set for each call, and an AbortSignal comes before it", async () => {
    const cluster = new FakeCluster(2);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    b.connect("bob", 0);
    await cluster.clock.advance(5);
    const began = cluster.clock.now();
    expect(await cluster.run(a.router.routeMessage("bob", "x", { timeoutMs: 50 }))).toBe(false);
    expect(cluster.clock.now() - began).toBeLessThanOrEqual(55);
    const abort = new AbortController();
    const aborted = a.router.deliver(["bob"], "x", { signal: abort.signal });
    await cluster.clock.advance(10);
    abort.abort();
    expect([...await aborted]).toEqual([["bob", "timeout"]]);
    expect([...await a.router.deliver(["bob"], "x", { signal: abort.signal })]).toEqual([["bob", "timeout"]]);
    expect(cluster.idle).toBe(true);
  });

  test("keeps the owner from sending later what was still queued", async () => {
    const cluster = new FakeCluster(2, { outbox: { sinkBytesMax: 1 } });
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const sink = b.connect("bob", 0);
    await cluster.clock.advance(5);
    const calls = [100, 100, 5_000].map((timeoutMs, index) =>
      a.router.deliver(["bob"], `m${index}`, { timeoutMs })
    );
    await cluster.clock.advance(200);
    sink.bytesPerMs = 100;
    const outcomes = await cluster.run(Promise.all(calls));
    expect(outcomes.map((outcome) => outcome.get("bob"))).toEqual(["timeout", "timeout", "delivered"]);
    expect(sink.received).toEqual(["m0", "m2"]);
  });
});
