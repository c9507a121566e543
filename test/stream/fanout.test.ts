/** One source for several connections: read once, one copy a node, an outcome each. */
import { describe, expect, test } from "bun:test";
import { bytesOf } from "../support/fake_sdk.ts";
import {
  expectBytes,
  parts,
  pattern,
  received,
  Source,
  StreamWorld,
  zeros,
} from "../support/stream_world.ts";

const CHUNK = 65_536;

describe("a stream to several connections", () => {
  test("arrives whole at each of them, plain or of the SDK, on three nodes", async () => {
    const world = await StreamWorld.of(3);
    const plain = [0, 1, 2].map((node) => world.node(node).connect(`plain-${node}`));
    const sdk = [1, 2].map((node) => world.node(node).connectSdk(`sdk-${node}`));
    await world.ready();
    const whole = pattern(40 * CHUNK + 7);
    const ids = ["plain-0", "plain-1", "plain-2", "sdk-1", "sdk-2", "nobody", "plain-1"];
    const source = new Source(parts(whole, 50_000));
    const results = await world.run(world.a.cluster.deliverStreams(ids, source.readable));
    expect([...results].map(([id, { outcome, bytes }]) => [id, outcome, bytes])).toEqual([
      ["plain-0", "delivered", whole.byteLength],
      ["plain-1", "delivered", whole.byteLength],
      ["plain-2", "delivered", whole.byteLength],
      ["sdk-1", "acknowledged", whole.byteLength],
      ["sdk-2", "acknowledged", whole.byteLength],
      ["nobody", "not-found", 0],
    ]);
    expect(source.pulledBytes).toBe(whole.byteLength);
    for (const sink of plain) expectBytes(received(sink.received), whole);
    for (const { streams } of sdk) expectBytes(bytesOf(streams[0]), whole);
    await world.expectNothingLeft();
  });

  test("travels once to each node, however many of its connections it is for", async () => {
    const world = await StreamWorld.of(2);
    const ids = Array.from({ length: 50 }, (_, index) => `client-${index}`);
    const sinks = ids.map((id) => world.b.connect(id));
    await world.ready();
    const before = world.a.cluster.stats().links.bytesSent;
    const results = await world.run(
      world.a.cluster.routeStreams(ids, new Source(zeros(20)).readable, { delivery: "chunks" }),
    );
    expect([...results.values()].every((arrived) => arrived)).toBe(true);
    expect(sinks.every((sink) => sink.received.length === 20)).toBe(true);
    expect(world.a.cluster.stats().links.bytesSent - before).toBeLessThan(1.1 * 20 * CHUNK);
    await world.expectNothingLeft();
  });

  test("goes on for the others when one closes, and when one stops reading, after a while", async () => {
    const world = await StreamWorld.of(2);
    const [good, closing, stuck] = [
      world.b.connect("good", 5_000),
      world.b.connect("closing", 5_000),
      world.b.connect("stuck", 0),
    ];
    await world.ready();
    const source = new Source(zeros(300));
    const sending = world.a.cluster.deliverStreams(["good", "closing", "stuck"], source.readable, {
      delivery: "chunks",
      stallTimeoutMs: 4_000,
    });
    await world.until(() => closing.received.length > 0);
    closing.cut();
    world.b.cluster.unregisterConnection("closing", closing);
    const from = world.sim.clock.now();
    const results = await world.run(sending, 60_000);
    expect([...results].map(([id, { outcome }]) => [id, outcome])).toEqual([
      ["good", "delivered"],
      ["closing", "closed"],
      ["stuck", "timeout"],
    ]);
    expect(good.received.length).toBe(300);
    expect(world.sim.clock.now() - from).toBeLessThan(4_000 * 1.3 + 300 * CHUNK / 5_000 + 1_000);
    stuck.cut();
    world.b.cluster.unregisterConnection("stuck", stuck);
    await world.expectNothingLeft(30_000);
  });

  test("goes on for the others when a node is lost", async () => {
    const world = await StreamWorld.of(3);
    const [there, lost] = [world.node(1).connect("there", 1_000), world.node(2).connect("lost", 1_000)];
    await world.ready();
    const sending = world.a.cluster.deliverStreams(["there", "lost"], new Source(zeros(100)).readable, {
      delivery: "chunks",
    });
    await world.until(() => lost.received.length > 3);
    world.sim.hub.partition([["a", "b"], ["c"]]);
    const results = await world.run(sending, 60_000);
    expect([...results].map(([id, { outcome }]) => [id, outcome])).toEqual([
      ["there", "delivered"],
      ["lost", "node-lost"],
    ]);
    expect(there.received.length).toBe(100);
  });

  test("ends, and cancels its source, when nobody is left", async () => {
    const world = await StreamWorld.of(2);
    const [one, two] = [world.b.connect("one", 1_000), world.a.connect("two", 1_000)];
    await world.ready();
    const source = new Source(zeros(1e6));
    const sending = world.a.cluster.deliverStreams(["one", "two"], source.readable, { delivery: "chunks" });
    await world.until(() => one.received.length > 0 && two.received.length > 0);
    one.cut();
    two.cut();
    world.b.cluster.unregisterConnection("one", one);
    world.a.cluster.unregisterConnection("two", two);
    const results = await world.run(sending);
    expect([...results.values()].map(({ outcome }) => outcome)).toEqual(["closed", "closed"]);
    expect(source.cancelled).toContain("closed");
    await world.expectNothingLeft();
  });

  test("of none is nothing", async () => {
    const world = await StreamWorld.of(1);
    await world.ready();
    expect(await world.run(world.a.cluster.deliverStreams([], new Source(zeros(3)).readable))).toEqual(
      new Map(),
    );
    await world.expectNothingLeft();
  });
});
