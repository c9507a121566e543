/** One source for several connections: read once, one copy a node, an outcome each. */
import { describe, expect, test } from "bun:test";
import type { Bytes } from "../../src/lib/bytes.ts";
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

const MIB = 1_048_576;

/** Outcomes by connection. */
function outcomesOf(results: ReadonlyMap<string, { readonly outcome: string }>): Record<string, string> {
  return Object.fromEntries([...results].map(([id, { outcome }]) => [id, outcome]));
}

describe("a stream to many connections", () => {
  test("reads its source once, sends one copy to each node, and reaches plain and SDK clients", async () => {
    const world = await StreamWorld.of(3);
    const nodes = [world.a, world.b, world.node(2)];
    const sinks = nodes.flatMap((node, at) => [0, 1, 2].map((index) => node.connect(`p${at}${index}`)));
    const sdks = nodes.flatMap((node, at) => [0, 1, 2].map((index) => node.connectSdk(`s${at}${index}`)));
    await world.ready();
    const ids = nodes.flatMap((_, at) => [0, 1, 2].flatMap((index) => [`p${at}${index}`, `s${at}${index}`]));
    const whole = pattern(2 * MIB + 7);
    const source = new Source(parts(whole, 50_000));
    const wire: Record<string, number> = {};
    const stop = world.sim.hub.tap(({ from, to, packet }) => {
      if (from === "a") wire[to] = (wire[to] ?? 0) + packet.byteLength;
    });
    const results = await world.run(world.a.cluster.deliverStreams([...ids, ...ids], source.readable));
    stop();
    expect([...results.keys()]).toEqual(ids);
    for (const [id, result] of results) {
      const outcome = id.startsWith("s") ? "acknowledged" : "delivered";
      expect({ id, ...result }).toMatchObject({ id, outcome, bytes: whole.byteLength, chunks: 33 });
    }
    expect(source.pulledBytes).toBe(whole.byteLength);
    for (const sink of sinks) expectBytes(received(sink.received), whole);
    for (const { streams } of sdks) expectBytes(bytesOf(streams[0]), whole);
    for (const to of ["b", "c"]) {
      expect(wire[to]).toBeGreaterThan(whole.byteLength);
      expect(wire[to]).toBeLessThan(1.05 * whole.byteLength);
    }
    await world.expectNothingLeft();
  });

  test("to nobody is over at once", async () => {
    const world = await StreamWorld.of(1);
    await world.ready();
    const source = new Source(zeros(10));
    expect(await world.run(world.a.cluster.deliverStreams([], source.readable))).toEqual(new Map());
    await world.until(() => source.cancelled !== undefined);
    await world.expectNothingLeft();
  });

  test("says true and false of each with routeStreams", async () => {
    const world = await StreamWorld.of(2);
    world.a.connect("here");
    world.b.connect("there");
    await world.ready();
    const source = new Source(["all of it"]);
    const routed = await world.run(
      world.a.cluster.routeStreams(["here", "nobody", "there"], source.readable),
    );
    expect([...routed]).toEqual([["here", true], ["nobody", false], ["there", true]]);
    await world.expectNothingLeft();
  });

  test("leaves the others alone when one closes, cancels, is unknown or may not have it", async () => {
    const world = await StreamWorld.of(3);
    const good = [world.a.connect("good a", 5_000), world.b.connect("good b", 5_000)];
    const [closing, plain] = [world.b.connect("closing", 5_000), world.node(2).connect("plain", 5_000)];
    const [cancelling, sdk] = [world.node(2).connectSdk("cancelling"), world.b.connectSdk("sdk")];
    await world.ready();
    const whole = pattern(4 * MIB);
    const source = new Source(parts(whole, 65_536));
    const ids = ["good a", "good b", "closing", "plain", "cancelling", "sdk", "nobody"];
    const call = world.a.cluster.deliverStreams(ids, source.readable, { delivery: "chunks" });
    await world.until(() => closing.received.length > 3);
    world.b.cluster.unregisterConnection("closing");
    const results = await world.run(call);
    expect(outcomesOf(results)).toEqual({
      "good a": "delivered",
      "good b": "delivered",
      "closing": "closed",
      "plain": "delivered",
      "cancelling": "delivered",
      "sdk": "delivered",
      "nobody": "not-found",
    });
    expect(results.get("closing")?.bytes).toBeGreaterThan(0);
    expect(results.get("closing")?.bytes).toBeLessThan(MIB);
    for (const sink of [...good, plain]) expectBytes(received(sink.received), whole);
    expectBytes(received(sdk.messages), whole);

    const again = new Source(parts(whole, 65_536));
    const framed = world.a.cluster.deliverStreams(["cancelling", "sdk", "plain"], again.readable);
    await world.until(() => (cancelling.streams[0]?.bytes ?? 0) > 0);
    cancelling.cancel(cancelling.streams[0] as never, "no more");
    const mixed = await world.run(framed);
    expect(outcomesOf(mixed)).toEqual({ cancelling: "closed", sdk: "acknowledged", plain: "delivered" });
    expect(mixed.get("cancelling")?.reason).toContain("no more");
    await world.expectNothingLeft();
  });

  test("ends the one that stands still as timeout, in time, and the rest goes on", async () => {
    const world = await StreamWorld.of(3);
    const stopped = world.b.connect("stopped", 0);
    const sinks = [world.a.connect("here"), world.b.connect("beside"), world.node(2).connect("there")];
    await world.ready();
    const whole = pattern(6 * MIB);
    const source = new Source(parts(whole, 65_536));
    const ids = ["stopped", "here", "beside", "there"];
    const options = { delivery: "chunks", stallTimeoutMs: 1_000 } as const;
    const results = await world.run(world.a.cluster.deliverStreams(ids, source.readable, options));
    expect(outcomesOf(results)).toEqual({
      stopped: "timeout",
      here: "delivered",
      beside: "delivered",
      there: "delivered",
    });
    const { ms = 0 } = results.get("stopped") ?? {};
    expect(ms).toBeGreaterThanOrEqual(1_000);
    expect(ms).toBeLessThanOrEqual(1_300);
    for (const sink of sinks) expectBytes(received(sink.received), whole);
    stopped.bytesPerMs = Infinity;
    await world.expectNothingLeft();
  });

  test("ends what is on a node that is out of reach with that node, and the rest goes on", async () => {
    const world = await StreamWorld.of(3);
    const [far, near] = [world.b.connect("far"), world.node(2).connect("near")];
    await world.ready();
    const whole = pattern(6 * MIB);
    let pulls = 0;
    const source = new Source((function* () {
      for (const part of parts(whole, 65_536)) {
        if (pulls++ === 20) {
          for (const other of ["a", "c"]) world.sim.hub.block("b", other);
          for (const other of ["a", "c"]) world.sim.hub.block(other, "b");
        }
        yield part;
      }
    })());
    const options = { delivery: "chunks", stallTimeoutMs: 1_000 } as const;
    const results = await world.run(
      world.a.cluster.deliverStreams(["far", "near"], source.readable, options),
    );
    expect(outcomesOf(results)).toEqual({ far: "node-lost", near: "delivered" });
    expect(results.get("far")?.ms).toBeLessThanOrEqual(6_000);
    expectBytes(received(near.received), whole);
    expect(far.received.length).toBeLessThan(60);
    world.sim.hub.heal();
    await world.expectNothingLeft(10_000);
  });

  test("ends what cannot be opened in time, and the rest goes on", async () => {
    const world = await StreamWorld.of(3, { peerTimeoutMs: 60_000, deliveryTimeoutMs: 2_000 });
    const [far, near] = [world.b.connect("far"), world.node(2).connect("near")];
    await world.ready();
    for (const other of ["a", "c"]) world.sim.hub.block("b", other);
    const source = new Source(["some"]);
    const results = await world.run(world.a.cluster.deliverStreams(["far", "near"], source.readable));
    expect(outcomesOf(results)).toEqual({ far: "timeout", near: "delivered" });
    expect(near.received.length).toBe(1);
    expect(far.received.length).toBe(0);
    world.sim.hub.heal();
    await world.expectNothingLeft(10_000);
  });

  test("to thousands of slow ones on one node goes at the pace of one", async () => {
    const world = await StreamWorld.of(2, { connectionStreamBytesMax: MIB });
    const ids = Array.from({ length: 3_000 }, (_, index) => `c${index}`);
    const sinks = ids.map((id) => world.b.connect(id, 50_000));
    await world.ready();
    const whole = pattern(20 * 10_000);
    const source = new Source([whole]);
    const options = { delivery: "chunks", chunkSize: 10_000 } as const;
    const results = await world.run(world.a.cluster.deliverStreams(ids, source.readable, options));
    expect(new Set([...results.values()].map(({ outcome }) => outcome))).toEqual(new Set(["delivered"]));
    expect(results.get("c0")?.ms).toBeLessThan(100);
    for (const sink of sinks) expect(sink.received.length).toBe(20);
    expectBytes(received(sinks[7]?.received as Bytes[]), whole);
    await world.expectNothingLeft();
  }, 30_000);
});
