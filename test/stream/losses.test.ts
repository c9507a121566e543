/** Streams over ways that lose, repeat and reorder, over links that drop, and from and to nodes that die. */
import { describe, expect, test } from "bun:test";
import type { StreamDelivery } from "../../src/stream/contract.ts";
import { bytesOf } from "../support/fake_sdk.ts";
import { scale } from "../support/scale.ts";
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
const FAULTS = {
  lossProbability: 0.05,
  duplicationProbability: 0.02,
  reorderProbability: 0.1,
  reorderMs: 20,
  latencyMs: 2,
};

describe("over a way that loses one packet in twenty, and repeats and reorders others,", () => {
  test.each(["message", "chunks", "framed"] as const)("a stream arrives whole, in %s", async (delivery) => {
    const world = await StreamWorld.of(2, { hub: { faults: FAULTS } });
    const sdk = world.b.connectSdk("sdk");
    const plain = world.b.connect("plain");
    await world.ready();
    const whole = pattern(scale(60, 200) * CHUNK + 1);
    const id = delivery === "framed" ? "sdk" : "plain";
    const sending = world.a.cluster.deliverStream(id, new Source(parts(whole, 100_000)).readable, {
      delivery,
    });
    expect(await world.run(sending, 600_000)).toMatchObject({
      outcome: delivery === "framed" ? "acknowledged" : "delivered",
      bytes: whole.byteLength,
    });
    expectBytes(delivery === "framed" ? bytesOf(sdk.streams[0]) : received(plain.received), whole);
    expect(world.a.cluster.stats().links.retransmits).toBeGreaterThan(0);
  }, 60_000);
});

describe("a link", () => {
  test("that is cut for a while is not noticed", async () => {
    const world = await StreamWorld.of(2);
    const plain = world.b.connect("plain", 5_000);
    await world.ready();
    const whole = pattern(100 * CHUNK);
    const sending = world.a.cluster.deliverStream("plain", new Source(parts(whole, CHUNK)).readable, {
      delivery: "chunks",
    });
    for (let cut = 1; cut <= 5; cut++) {
      await world.until(() => plain.received.length > cut * 15);
      world.sim.hub.partition([["a"], ["b"]]);
      await world.sim.clock.advance(1_500);
      world.sim.hub.heal();
    }
    expect(await world.run(sending, 60_000)).toMatchObject({ outcome: "delivered", bytes: whole.byteLength });
    expectBytes(received(plain.received), whole);
    await world.expectNothingLeft();
  });
});

describe("a node that is lost", () => {
  test("with the client ends the stream, and the source is told", async () => {
    const world = await StreamWorld.of(2);
    const plain = world.b.connect("plain", 1_000);
    await world.ready();
    const source = new Source(zeros(1e6));
    const sending = world.a.cluster.deliverStream("plain", source.readable, { delivery: "chunks" });
    await world.until(() => plain.received.length > 3);
    world.b.clock.pause();
    expect(await world.run(sending, 60_000)).toMatchObject({ outcome: "node-lost" });
    expect(source.cancelled).toContain("node-lost");
    expect(world.a.cluster.stats().streams).toMatchObject({ calls: 0, streams: 0, watches: 0 });
  });

  test.each(["framed", "message", "chunks"] as const)(
    "with the source ends the stream in %s at its client, and frees what it held",
    async (delivery: StreamDelivery) => {
      const world = await StreamWorld.of(2);
      const sdk = world.b.connectSdk("sdk");
      const plain = world.b.connect("plain");
      await world.ready();
      const id = delivery === "framed" ? "sdk" : "plain";
      const source = new Source(zeros(1e6, 100));
      void world.a.cluster.deliverStream(id, source.readable, { delivery }).catch(() => undefined);
      await world.until(() => source.pulledBytes > 10 * CHUNK);
      expect(world.b.cluster.stats().streams.reservedBytes).toBeGreaterThan(0);
      world.a.clock.pause();
      await world.until(() => world.b.cluster.stats().streams.streams === 0, 20_000);
      expect(world.b.cluster.stats().streams).toMatchObject({ connections: 0, reservedBytes: 0, watches: 0 });
      if (delivery === "framed") expect(sdk.streams[0]?.aborted?.code).toBe("node-lost");
      else if (delivery === "message") expect(plain.received).toEqual([]);
    },
  );

  test("on purpose, in the middle of a stream from it, says so to both ends", async () => {
    const world = await StreamWorld.of(2);
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    sdk.reading = false;
    const source = new Source(zeros(1e6));
    const sending = world.a.cluster.deliverStream("sdk", source.readable);
    await world.until(() => (sdk.streams[0]?.bytes ?? 0) > 0);
    await world.run(world.a.cluster.shutdown({ force: true }));
    expect(await world.run(sending)).toMatchObject({ outcome: "node-lost" });
    await world.until(() => sdk.streams[0]?.aborted !== undefined);
    expect(source.cancelled).toContain("stops");
  });
});
