/** Nodes that die or leave and links that fail while streams are under way. */
import { describe, expect, test } from "bun:test";
import type { StreamDelivery } from "../../src/stream/contract.ts";
import { bytesOf } from "../support/fake_sdk.ts";
import type { SimClusterNode } from "../support/sim_cluster.ts";
import {
  both,
  endless,
  expectBytes,
  parts,
  pattern,
  received,
  Source,
  StreamWorld,
  zeros,
} from "../support/stream_world.ts";

const MIB = 1_048_576;
const LOSSY = {
  lossProbability: 0.05,
  duplicationProbability: 0.05,
  reorderProbability: 0.1,
  reorderMs: 10,
  latencyMs: 3,
  jitterMs: 2,
};

/** The process is gone, without a word: nothing of it fires or arrives any more. */
function kill(world: StreamWorld, node: SimClusterNode): void {
  node.clock.pause();
  world.sim.hub.partition([[node.cluster.nodeId]]);
}

/** `IDLE` on the nodes that are left. */
async function expectNothingLeftOn(world: StreamWorld, node: SimClusterNode): Promise<void> {
  await world.sim.clock.advance(100);
  expect(Object.values(node.cluster.stats().streams)).toEqual([0, 0, 0, 0, 0]);
  expect(node.cluster.stats().queuedBytes).toBe(0);
}

describe("the node of the client", () => {
  test.each(["plain", "sdk"])(
    "that dies ends the stream node-lost and cancels its source: %s",
    async (id) => {
      const { world } = await both(2);
      const source = new Source(endless(world));
      const call = world.a.cluster.deliverStream(id, source.readable);
      await world.until(() => source.pulledBytes > 50_000);
      kill(world, world.b);
      const result = await world.run(call);
      expect(result.outcome).toBe("node-lost");
      expect(result.reason).toContain("b ended");
      await world.sim.clock.advance(50);
      expect(source.reason).toMatchObject({ code: "node-lost" });
      await expectNothingLeftOn(world, world.a);
    },
  );

  test("that dies while the stream opens, waits for room or for its end is lost likewise", async () => {
    for (const when of ["opening", "full", "closing"]) {
      const { world, sdk } = await both(2);
      sdk.reading = false;
      if (when === "opening") kill(world, world.b);
      const source = new Source(when === "closing" ? ["x"] : zeros(100));
      const options = { stallTimeoutMs: 60_000 };
      const call = world.a.cluster.deliverStream("sdk", source.readable, options);
      await world.sim.clock.advance(100);
      if (when !== "opening") kill(world, world.b);
      const { outcome } = await world.run(call);
      // The deadline for opening is as long as the one for a silent peer.
      expect(["node-lost", "timeout"].includes(outcome)).toBe(true);
      if (when !== "opening") expect(outcome).toBe("node-lost");
      await world.sim.clock.advance(3_000);
      await expectNothingLeftOn(world, world.a);
    }
  });

  test("that shuts down ends the stream as closed or node-lost, soon", async () => {
    const { world } = await both(2);
    for (const id of ["plain", "sdk"]) {
      const source = new Source(endless(world));
      const call = world.a.cluster.deliverStream(id, source.readable);
      await world.until(() => source.pulledBytes > 50_000);
      if (id === "sdk") await world.run(world.b.cluster.shutdown());
      else world.b.cluster.unregisterConnection("plain");
      const began = world.sim.clock.now();
      const { outcome } = await world.run(call);
      expect(["closed", "node-lost"].includes(outcome)).toBe(true);
      expect(world.sim.clock.now() - began).toBeLessThan(200);
      await world.sim.clock.advance(50);
      expect(source.cancelled === undefined).toBe(false);
    }
    await expectNothingLeftOn(world, world.a);
    await expectNothingLeftOn(world, world.b);
  });
});

describe("the node of the caller", () => {
  test("that dies: the SDK client hears node-lost, the plain one nothing, and the owner keeps nothing", async () => {
    const world = await StreamWorld.of(2);
    const [plain, chunked] = [world.b.connect("plain"), world.b.connect("chunked")];
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    for (const [id, delivery] of [["plain"], ["sdk"], ["chunked", "chunks"]] as [string, StreamDelivery?][]) {
      void world.a.cluster.deliverStream(id, new Source(endless(world, 70_000)).readable, { delivery });
    }
    await world.until(() => chunked.received.length > 3);
    expect(world.b.cluster.stats().streams).toMatchObject({ streams: 3, connections: 3, watches: 3 });
    kill(world, world.a);
    await world.until(() => sdk.streams[0]?.aborted !== undefined);
    expect(sdk.streams[0]?.aborted?.code).toBe("node-lost");
    const { length } = chunked.received;
    await expectNothingLeftOn(world, world.b);
    expect(plain.received).toEqual([]);
    expect(chunked.received.length).toBe(length);
    for (const sink of [plain, chunked, sdk]) expect(sink.closedWith).toBe(undefined);
  });

  test("that shuts down ends its calls node-lost, and the clients hear of it at once", async () => {
    const { world, sdk } = await both(2);
    const here = world.a.connectSdk("here");
    await world.ready();
    const sources = ["plain", "sdk", "here", "nobody"].map((id) => {
      const source = new Source(endless(world));
      return { source, call: world.a.cluster.deliverStream(id, source.readable) };
    });
    await world.sim.clock.advance(105);
    const stream = world.a.cluster.openStream("sdk");
    const writer = stream.getWriter();
    const ended = writer.closed.catch(() => "ended");
    await world.sim.clock.advance(5);
    await world.run(world.a.cluster.shutdown());
    const outcomes = await Promise.all(sources.map(async ({ call }) => (await call).outcome));
    expect(outcomes).toEqual(["node-lost", "node-lost", "node-lost", "not-found"]);
    expect((await stream.result).outcome).toBe("node-lost");
    expect(await ended).toBe("ended");
    await world.sim.clock.advance(50);
    for (const { source } of sources) expect(source.cancelled === undefined).toBe(false);
    expect(sdk.streams.map(({ aborted }) => aborted?.code)).toEqual(["node-lost", "node-lost"]);
    expect(here.closedWith?.code).toBe(1001);
    await expectNothingLeftOn(world, world.a);
    await expectNothingLeftOn(world, world.b);
  });
});

describe("a link", () => {
  test("that drops and resumes its session is not noticed by any delivery", async () => {
    const world = await StreamWorld.of(2, { hub: { faults: { latencyMs: 2 }, features: ["lossless"] } });
    const [plain, chunked] = [world.b.connect("plain"), world.b.connect("chunked")];
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const whole = pattern(3 * MIB);
    const calls = ([["plain"], ["sdk"], ["chunked", "chunks"]] as [string, StreamDelivery?][]).map(
      ([id, delivery]) =>
        world.a.cluster.deliverStream(id, new Source(parts(whole, 65_536)).readable, { delivery }),
    );
    for (let index = 0; index < 4; index++) {
      await world.sim.clock.advance(5);
      world.sim.hub.cut("a", "b");
      await world.sim.clock.advance(300);
      world.sim.hub.heal("a", "b");
      await world.sim.clock.advance(20);
    }
    const results = await world.run(Promise.all(calls));
    expect(results.map(({ outcome }) => outcome)).toEqual(["delivered", "acknowledged", "delivered"]);
    expect(world.a.events).toEqual(["up b"]);
    expect(world.a.cluster.stats().links.sessionsResumed).toBeGreaterThan(0);
    expectBytes(received(plain.received), whole);
    expectBytes(received(chunked.received), whole);
    expectBytes(bytesOf(sdk.streams[0]), whole);
    await world.expectNothingLeft(1_000);
  }, 20_000);

  test("that loses, repeats and reorders packets changes no byte in any delivery", async () => {
    const world = await StreamWorld.of(2, { hub: { faults: LOSSY }, seed: 77 });
    const [plain, chunked] = [world.b.connect("plain"), world.b.connect("chunked")];
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const whole = pattern(3 * MIB + 11);
    const sha = async (data: Uint8Array<ArrayBuffer>) =>
      new Uint8Array(await crypto.subtle.digest("SHA-256", data));
    const calls = ([["plain"], ["sdk"], ["chunked", "chunks"]] as [string, StreamDelivery?][]).map(
      ([id, delivery]) =>
        world.a.cluster.deliverStream(id, new Source(parts(whole, 50_000)).readable, { delivery }),
    );
    const results = await world.run(Promise.all(calls), 300_000);
    expect(results.map(({ outcome }) => outcome)).toEqual(["delivered", "acknowledged", "delivered"]);
    for (const got of [received(plain.received), received(chunked.received), bytesOf(sdk.streams[0])]) {
      expect(await sha(got)).toEqual(await sha(whole));
    }
    expect(world.a.cluster.stats().links.retransmits).toBeGreaterThan(10);
    await world.expectNothingLeft(3_000);
  }, 20_000);

  test("that is slow and full makes streams wait in turns, and ends those that are called off", async () => {
    const faults = { bytesPerSecond: 2_000_000 };
    const world = await StreamWorld.of(2, { hub: { faults, features: ["lossless"] } });
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const wholes = Array.from({ length: 12 }, (_, index) => pattern(MIB, index));
    const controller = new AbortController();
    const calls = wholes.map((whole, metadata) => {
      const signal = metadata % 4 === 3 ? controller.signal : undefined;
      const source = new Source(parts(whole, 65_536));
      return world.a.cluster.deliverStream("sdk", source.readable, { metadata, signal });
    });
    await world.sim.clock.advance(1_500);
    controller.abort();
    const results = await world.run(Promise.all(calls));
    expect(results.map(({ outcome }) => outcome)).toEqual(
      wholes.map((_, index) => index % 4 === 3 ? "timeout" : "acknowledged"),
    );
    for (const stream of sdk.streams) {
      const index = stream.head.metadata as number;
      if (index % 4 !== 3) expectBytes(bytesOf(stream), wholes[index] as Uint8Array<ArrayBuffer>);
      else expect(stream.aborted?.code).toBe("timeout");
    }
    await world.expectNothingLeft(1_000);
  }, 20_000);
});
