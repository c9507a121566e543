/** More than there is room for, and chunks of all sizes. */
import { describe, expect, test } from "bun:test";
import { parts, pattern, Source, StreamWorld, zeros } from "../support/stream_world.ts";

const MIB = 1_048_576;

describe("more than there is room for", () => {
  test("the second of two large messages that exceed a connection's budget is backpressure", async () => {
    const world = await StreamWorld.of(2, { messageBytesMax: 3 * MIB, connectionStreamBytesMax: 5 * MIB });
    const sink = world.b.connect("x", 10_000);
    await world.ready();
    const totalBytes = 3 * MIB;
    const send = () => {
      const source = new Source(zeros(48));
      return { source, call: world.a.cluster.deliverStream("x", source.readable, { totalBytes }) };
    };
    const [one, two] = [send(), send()];
    expect((await world.run(two.call)).outcome).toBe("backpressure");
    await world.until(() => two.source.cancelled !== undefined);
    expect(two.source.pulledBytes).toBeLessThanOrEqual(65_536);
    expect((await world.run(one.call)).outcome).toBe("delivered");
    expect((await world.run(send().call)).outcome).toBe("delivered");
    expect(sink.received.length).toBe(2);
    await world.expectNothingLeft();
  });

  test("likewise of a node's budget, whoever gets them", async () => {
    const world = await StreamWorld.of(2, { messageBytesMax: 3 * MIB, nodeStreamBytesMax: 4 * MIB });
    for (const id of ["x", "y"]) world.b.connect(id, 10_000);
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const send = (id: string) => world.a.cluster.deliverStream(id, new Source(zeros(20)).readable);
    const first = send("x");
    expect((await world.run(send("y"))).outcome).toBe("backpressure");
    expect((await world.run(send("sdk"))).outcome).toBe("acknowledged");
    expect((await world.run(first)).outcome).toBe("delivered");
    expect((await world.run(send("y"))).outcome).toBe("delivered");
    expect(sdk.streams.length).toBe(1);
    await world.expectNothingLeft();
  });

  test("a second stream in chunks to one connection is backpressure; after the first there may be another", async () => {
    const world = await StreamWorld.of(2);
    world.b.connect("x", 5_000);
    await world.ready();
    const send = () => {
      const source = new Source(zeros(20));
      return world.a.cluster.deliverStream("x", source.readable, { delivery: "chunks" });
    };
    const [one, two] = [send(), send()];
    expect(await world.run(two)).toMatchObject({ outcome: "backpressure", bytes: 0 });
    expect((await world.run(one)).outcome).toBe("delivered");
    expect((await world.run(send())).outcome).toBe("delivered");
    await world.expectNothingLeft();
  });

  test("a message beyond messageBytesMax is too-large, before the first byte where the total is known", async () => {
    const world = await StreamWorld.of(2, { messageBytesMax: MIB });
    const sink = world.b.connect("x");
    await world.ready();
    const known = new Source(zeros(17));
    const options = { totalBytes: 17 * 65_536 };
    const first = await world.run(world.a.cluster.deliverStream("x", known.readable, options));
    expect(first.outcome).toBe("too-large");
    expect(first.reason).toContain('delivery: "chunks"');
    expect(known.pulledBytes).toBeLessThanOrEqual(65_536);
    const unknown = new Source(zeros(1_000));
    const second = await world.run(world.a.cluster.deliverStream("x", unknown.readable));
    expect(second).toMatchObject({ outcome: "too-large", bytes: 0, chunks: 0 });
    expect(second.reason).toContain('delivery: "chunks"');
    expect(unknown.pulledBytes).toBeLessThan(3 * MIB);
    const fits = await world.run(world.a.cluster.deliverStream("x", new Source(zeros(16)).readable));
    expect(fits).toMatchObject({ outcome: "delivered", bytes: MIB });
    expect(sink.received.length).toBe(1);
    await world.expectNothingLeft();
  });

  test("a thousand streams that are opened and abandoned leave nothing", async () => {
    const world = await StreamWorld.of(2);
    const sdks = [world.b.connectSdk("x"), world.b.connectSdk("y", 1_000)];
    await world.ready();
    const ids = ["x", "y", "nobody"];
    const results: Promise<unknown>[] = [];
    for (let index = 0; index < 1_000; index++) {
      const stream = world.a.cluster.openStream(ids[index % 3] as string, { idleTimeoutMs: 5_000 });
      const writer = stream.getWriter();
      results.push(stream.result.catch(() => {}));
      for (const ended of [writer.closed, index % 2 === 0 ? writer.write("x") : undefined]) {
        ended?.catch(() => {});
      }
      if (index % 5 === 0) writer.abort(new Error("abandoned")).catch(() => {});
    }
    await world.run(Promise.all(results));
    await world.sim.clock.advance(500);
    for (const { streams } of sdks) {
      expect(streams.every(({ aborted }) => aborted !== undefined)).toBe(true);
      expect(streams.length).toBeGreaterThan(100);
    }
    await world.expectNothingLeft();
  }, 20_000);
});

describe("chunk sizes", () => {
  test.each([1, 100, MIB])("of %i bytes are what the client gets", async (chunkSize) => {
    const world = await StreamWorld.of(2);
    const sink = world.b.connect("x");
    await world.ready();
    const size = chunkSize === MIB ? 2 * MIB + 1 : 1_001;
    const source = new Source(parts(pattern(size), 77_777));
    const options = { delivery: "chunks", chunkSize } as const;
    const result = await world.run(world.a.cluster.deliverStream("x", source.readable, options));
    expect(result.chunks).toBe(Math.ceil(size / chunkSize));
    expect(sink.received.length).toBe(result.chunks);
    expect(sink.received[0]?.length).toBe(chunkSize);
    await world.expectNothingLeft();
  });
});
