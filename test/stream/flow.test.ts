/** Pace: a source is read as fast as its client takes, and nobody else is slower for it. */
import { describe, expect, test } from "bun:test";
import type { StreamDelivery } from "../../src/stream/contract.ts";
import {
  expectBytes,
  parts,
  pattern,
  PLACES,
  received,
  Source,
  StreamWorld,
  zeros,
} from "../support/stream_world.ts";

const MIB = 1_048_576;
/** What one stream may have under way, a chunk in hand, and a chunk in the pipe. */
const PULLED_MAX = MIB + 2 * 65_536;

describe.each(PLACES)("a client %s that takes nothing", (_, nodes) => {
  test.each(["chunks", "framed"] as const)("holds up its source within the window: %s", async (delivery) => {
    const world = await StreamWorld.of(nodes);
    const sdk = delivery === "framed" ? world.b.connectSdk("x") : undefined;
    if (sdk !== undefined) sdk.reading = false;
    const sink = sdk ?? world.b.connect("x", 0);
    await world.ready();
    const source = new Source(zeros(1_000));
    const call = world.a.cluster.deliverStream("x", source.readable, { delivery });
    await world.sim.clock.advance(20_000);
    expect(source.pulledBytes).toBeGreaterThan(100_000);
    expect(source.pulledBytes).toBeLessThanOrEqual(PULLED_MAX);
    if (delivery === "chunks") expect(world.b.cluster.stats().queuedBytes).toBeLessThanOrEqual(3 * 65_536);
    const result = await world.run(call);
    expect(result.outcome).toBe("timeout");
    expect(result.reason).toContain("took nothing for 30000 ms");
    expect(result.ms).toBeGreaterThanOrEqual(30_000);
    expect(result.ms).toBeLessThanOrEqual(39_000);
    expect(source.reason).toMatchObject({ code: "timeout" });
    sink.bytesPerMs = Infinity;
    await world.expectNothingLeft();
  });

  test("is told that its stream was given up, and what it had not taken never comes", async () => {
    const world = await StreamWorld.of(nodes);
    const sdk = world.b.connectSdk("sdk", 0);
    await world.ready();
    const source = new Source(zeros(100));
    const call = world.a.cluster.deliverStream("sdk", source.readable, { stallTimeoutMs: 1_000 });
    expect((await world.run(call)).outcome).toBe("timeout");
    sdk.bytesPerMs = 10_000;
    await world.until(() => sdk.streams[0]?.aborted !== undefined);
    expect(sdk.streams[0]?.aborted?.code).toBe("timeout");
    expect(sdk.streams[0]?.bytes).toBeLessThanOrEqual(3 * 65_536);
    await world.expectNothingLeft();
  });
});

describe.each(PLACES)("a slow client %s", (_, nodes) => {
  test.each(["chunks", "framed", "message"] as const)("gets all of it at its pace: %s", async (delivery) => {
    const world = await StreamWorld.of(nodes);
    const sdk = delivery === "framed" ? world.b.connectSdk("x", 1_000) : undefined;
    const sink = sdk ?? world.b.connect("x", 1_000);
    await world.ready();
    const whole = pattern(5 * MIB);
    const source = new Source(parts(whole, 65_536));
    const call = world.a.cluster.deliverStream("x", source.readable, { delivery });
    await world.sim.clock.advance(1_000);
    if (delivery !== "message") expect(source.pulledBytes).toBeLessThanOrEqual(MIB + PULLED_MAX);
    const result = await world.run(call);
    expect(result).toMatchObject({ bytes: 5 * MIB, chunks: 80 });
    expect(result.ms).toBeGreaterThan(5_000);
    expect(result.ms).toBeLessThan(5_700);
    if (sdk !== undefined) expect(sdk.streams[0]?.verified).toBe(true);
    else expectBytes(received(sink.received), whole);
    await world.expectNothingLeft();
  }, 20_000);

  test("gets messages at once while a stream fills its socket, and never passes for a slow consumer", async () => {
    const world = await StreamWorld.of(nodes);
    const sink = world.b.connect("x", 1_000);
    await world.ready();
    const source = new Source(zeros(100));
    const call = world.a.cluster.routeStream("x", source.readable, { delivery: "chunks" });
    for (let index = 0; index < 20; index++) {
      await world.sim.clock.advance(150);
      const began = world.sim.clock.now();
      expect(await world.run(world.a.cluster.routeMessage("x", "now"))).toBe(true);
      // Behind what the streams may have in its outbox.
      expect(world.sim.clock.now() - began).toBeLessThan(250);
    }
    expect(await world.run(call)).toBe(true);
    expect(sink.closedWith).toBe(undefined);
    await world.expectNothingLeft();
  });

  test("of tiny chunks is not a slow consumer either", async () => {
    const world = await StreamWorld.of(nodes);
    const sdk = world.b.connectSdk("x", 100);
    await world.ready();
    const options = { chunkSize: 1 };
    const calls = [1, 2, 3].map(() =>
      world.a.cluster.routeStream("x", new Source(zeros(20, 1_000)).readable, options)
    );
    for (let index = 0; index < 20; index++) {
      await world.sim.clock.advance(150);
      expect(await world.run(world.a.cluster.routeMessage("x", "now"))).toBe(true);
    }
    expect(await world.run(Promise.all(calls))).toEqual([true, true, true]);
    expect(sdk.closedWith).toBe(undefined);
    await world.expectNothingLeft();
  }, 20_000);
});

describe("streams that were given up", () => {
  test("one after the other leave no more in the outbox of a stopped client than one may", async () => {
    const world = await StreamWorld.of(2);
    const sdk = world.b.connectSdk("sdk", 0);
    await world.ready();
    for (let index = 0; index < 12; index++) {
      const source = new Source(zeros(100));
      await world.run(world.a.cluster.routeStream("sdk", source.readable, { timeoutMs: 500 }));
    }
    await world.sim.clock.advance(100);
    expect(world.b.cluster.stats().queuedBytes).toBeLessThanOrEqual(4 * 65_536);
    // So a message still has room.
    const call = world.a.cluster.routeMessage("sdk", "hello");
    await world.sim.clock.advance(100);
    expect(sdk.closedWith).toBe(undefined);
    sdk.bytesPerMs = Infinity;
    expect(await world.run(call)).toBe(true);
    await world.until(() => sdk.streams.every(({ aborted }) => aborted !== undefined));
    await world.expectNothingLeft();
  });
});

describe("a stream to a stopped client", () => {
  test("leaves other streams and messages on the same link alone", async () => {
    const world = await StreamWorld.of(2);
    world.b.connect("stopped", 0);
    const fast = world.b.connect("fast");
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const stopped = Array.from({ length: 10 }, (_, index) => {
      const source = new Source(zeros(100));
      const to = index === 0 ? "chunks" : "message";
      return world.a.cluster.routeStream("stopped", source.readable, { delivery: to, stallTimeoutMs: 2_000 });
    });
    await world.sim.clock.advance(10);
    const began = world.sim.clock.now();
    const [one, two] = [pattern(3 * MIB), pattern(3 * MIB, 1)];
    const calls = [
      world.a.cluster.routeStream("fast", new Source(parts(one, 50_000)).readable, { delivery: "chunks" }),
      world.a.cluster.routeStream("sdk", new Source(parts(two, 50_000)).readable),
      world.a.cluster.routeMessage("fast", "!"),
    ];
    expect(await world.run(Promise.all(calls))).toEqual([true, true, true]);
    expect(world.sim.clock.now() - began).toBeLessThan(100);
    expectBytes(received(fast.received.filter((each) => each !== "!")), one);
    expect(sdk.streams[0]?.verified).toBe(true);
    expect(new Set(await world.run(Promise.all(stopped)))).toEqual(new Set([false]));
    const { cluster } = world.b;
    cluster.unregisterConnection("stopped");
    await world.expectNothingLeft();
  });
});

describe("the window of a stream", () => {
  test("grows for a client that is far away, so that its rate is not bound by the first one", async () => {
    const rate = async (streamWindowBytes: number): Promise<number> => {
      const world = await StreamWorld.of(2, { hub: { faults: { latencyMs: 50 } }, streamWindowBytes });
      world.b.connectSdk("sdk");
      await world.ready();
      const options: { delivery: StreamDelivery } = { delivery: "framed" };
      const source = new Source(zeros(160));
      const { ms } = await world.run(world.a.cluster.deliverStream("sdk", source.readable, options));
      await world.expectNothingLeft(1_000);
      return (10 * MIB) / ms;
    };
    expect(await rate(MIB)).toBeGreaterThan(3 * await rate(131_072));
  }, 20_000);

  test("leaves room for one chunk of any size", async () => {
    const world = await StreamWorld.of(2, { streamWindowBytes: 131_072 });
    const sink = world.b.connect("x", 10_000);
    await world.ready();
    const whole = pattern(3 * MIB + 5);
    const options = { delivery: "chunks", chunkSize: MIB } as const;
    const source = new Source([whole]);
    expect(await world.run(world.a.cluster.routeStream("x", source.readable, options))).toBe(true);
    expect(sink.received.map(({ length }) => length)).toEqual([MIB, MIB, MIB, 5]);
    expectBytes(received(sink.received), whole);
    await world.expectNothingLeft();
  });

  test("bounds chunks of one byte too", async () => {
    const world = await StreamWorld.of(2);
    world.b.connect("x", 0);
    await world.ready();
    const source = new Source(zeros(10_000, 100));
    const options = { delivery: "chunks", chunkSize: 1, stallTimeoutMs: 1_000 } as const;
    const call = world.a.cluster.routeStream("x", source.readable, options);
    expect(await world.run(call)).toBe(false);
    expect(source.pulledBytes).toBeLessThan(20_000);
    world.b.cluster.unregisterConnection("x");
    await world.expectNothingLeft();
  });
});
