/** What arrives: every size in every delivery, on another node and on the caller's own. */
import { describe, expect, test } from "bun:test";
import type { Bytes } from "../../src/lib/bytes.ts";
import type { StreamDelivery, StreamProgress } from "../../src/stream/contract.ts";
import { bytesOf, textOf } from "../support/fake_sdk.ts";
import {
  expectBytes,
  parts,
  pattern,
  PLACES,
  received,
  Source,
  StreamWorld,
} from "../support/stream_world.ts";

const CHUNK = 65_536;
const SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 40 * CHUNK];

describe.each(PLACES)("a stream to a client %s", (_, nodes) => {
  test.each(SIZES)("of %i bytes arrives whole in each delivery", async (size) => {
    const world = await StreamWorld.of(nodes);
    const [plain, chunked] = [world.b.connect("plain"), world.b.connect("chunked")];
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const whole = pattern(size);
    const send = (id: string, delivery?: StreamDelivery) =>
      world.run(world.a.cluster.deliverStream(id, new Source(parts(whole, 10_000)).readable, { delivery }));
    const chunks = Math.ceil(size / CHUNK);
    const arrived = { bytes: size, chunks, ms: expect.any(Number), reason: undefined };

    expect(await send("plain")).toEqual({ outcome: "delivered", ...arrived });
    expect(plain.received.length).toBe(1);
    expectBytes(plain.received[0] as Bytes, whole);

    expect(await send("chunked", "chunks")).toEqual({ outcome: "delivered", ...arrived });
    expect(chunked.received.map(({ length }) => length)).toEqual(
      Array.from({ length: chunks }, (_, index) => Math.min(CHUNK, size - index * CHUNK)),
    );
    expectBytes(received(chunked.received), whole);

    expect(await send("sdk")).toEqual({ outcome: "acknowledged", ...arrived });
    expect(sdk.streams[0]?.head).toEqual({ text: false, totalBytes: null, metadata: null });
    expect(sdk.streams[0]?.verified).toBe(true);
    expectBytes(bytesOf(sdk.streams[0]), whole);
    await world.expectNothingLeft();
  }, 20_000);
});

describe.each(PLACES)("text %s", (_, nodes) => {
  const text = "aä€😀\ufeff".repeat(7_000);

  test("arrives as text in each delivery, and no chunk splits a character", async () => {
    const world = await StreamWorld.of(nodes);
    const [plain, chunked] = [world.b.connect("plain"), world.b.connect("chunked")];
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const strings = text.match(/[^]{1,999}/g) ?? [];
    const send = (id: string, delivery?: StreamDelivery) => {
      const options = { delivery, messageType: "text", chunkSize: 1_000 } as const;
      return world.run(world.a.cluster.routeStream(id, new Source(strings).readable, options));
    };
    expect(await send("plain")).toBe(true);
    expect(plain.received.length).toBe(1);
    expect(plain.received[0] === text).toBe(true);
    expect(await send("chunked", "chunks")).toBe(true);
    expect(new Set(chunked.received.map((each) => typeof each))).toEqual(new Set(["string"]));
    expect(chunked.received.join("") === text).toBe(true);
    expect(await send("sdk")).toBe(true);
    expect(sdk.streams[0]?.head.text).toBe(true);
    expect(textOf(sdk.streams[0]) === text).toBe(true);
    expect(await send("sdk", "message")).toBe(true);
    expect(sdk.messages.length).toBe(1);
    expect(sdk.messages[0] === text).toBe(true);
    await world.expectNothingLeft();
  });
});

describe("a delivery", () => {
  test("of an SDK client may be a message or chunks too: each in its envelope", async () => {
    const world = await StreamWorld.of(2);
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const whole = pattern(2_500);
    for (const delivery of ["message", "chunks"] as const) {
      const source = new Source([whole]).readable;
      const options = { delivery, chunkSize: 1_000 };
      expect(await world.run(world.a.cluster.deliverStream("sdk", source, options)))
        .toMatchObject({ outcome: "delivered", bytes: 2_500, chunks: 3 });
    }
    expect(sdk.messages).toEqual([
      whole,
      whole.slice(0, 1_000),
      whole.slice(1_000, 2_000),
      whole.slice(2_000),
    ]);
    expect(sdk.streams.length).toBe(0);
    await world.expectNothingLeft();
  });

  test("framed is for SDK clients only", async () => {
    const world = await StreamWorld.of(2);
    world.b.connect("plain");
    await world.ready();
    const source = new Source([pattern(10)]);
    const result = await world.run(
      world.a.cluster.deliverStream("plain", source.readable, { delivery: "framed" }),
    );
    expect(result).toMatchObject({ outcome: "unauthorized", bytes: 0, chunks: 0 });
    expect(result.reason).toContain("SDK");
    await world.until(() => source.cancelled !== undefined);
    expect(source.reason).toMatchObject({ code: "unauthorized" });
    await world.expectNothingLeft();
  });

  test("shows the SDK client the metadata and the total", async () => {
    const world = await StreamWorld.of(2);
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const metadata = { name: "ä.bin", tags: [1, null] };
    const options = { metadata, totalBytes: 5 };
    expect(await world.run(world.a.cluster.routeStream("sdk", new Source(["12345"]).readable, options)))
      .toBe(true);
    expect(sdk.streams[0]?.head).toEqual({ text: false, totalBytes: 5, metadata });
    await world.expectNothingLeft();
  });

  test("of many streams at once to one SDK client keeps each whole", async () => {
    const world = await StreamWorld.of(2);
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const wholes = Array.from({ length: 20 }, (_, index) => pattern(50_000 + 7_000 * index, index));
    const calls = wholes.map((whole, metadata) =>
      world.a.cluster.routeStream("sdk", new Source(parts(whole, 9_000)).readable, { metadata })
    );
    expect(new Set(await world.run(Promise.all(calls)))).toEqual(new Set([true]));
    for (const stream of sdk.streams) {
      expect(stream.verified).toBe(true);
      expectBytes(bytesOf(stream), wholes[stream.head.metadata as number] as Bytes);
    }
    expect(sdk.streams.length).toBe(20);
    await world.expectNothingLeft();
  });
});

describe("progress", () => {
  test("is told as bytes arrive, grows, and ends with the whole", async () => {
    const world = await StreamWorld.of(2);
    const sdk = world.b.connectSdk("sdk", 1_000);
    await world.ready();
    const told: StreamProgress[] = [];
    const options = {
      totalBytes: 1_000_000,
      onProgress: (progress: StreamProgress) => void told.push(progress),
    };
    expect(
      await world.run(
        world.a.cluster.routeStream("sdk", new Source(parts(pattern(1_000_000), 30_000)).readable, options),
      ),
    ).toBe(true);
    expect(told.length).toBeGreaterThan(5);
    for (const [index, { bytes, totalBytes }] of told.entries()) {
      expect(totalBytes).toBe(1_000_000);
      expect(bytes).toBeGreaterThan(told[index - 1]?.bytes ?? 0);
    }
    expect(told.at(-1)).toMatchObject({ bytes: 1_000_000, chunks: 16 });
    // A thousand bytes a millisecond.
    const rates = told.slice(3).map(({ bytesPerSecond }) => bytesPerSecond);
    for (const rate of rates) expect(Math.abs(rate / 1_000_000 - 1)).toBeLessThan(0.3);
    expect(sdk.streams[0]?.verified).toBe(true);
    await world.expectNothingLeft();
  });

  test("of a listener that throws harms nothing", async () => {
    const world = await StreamWorld.of(2);
    world.b.connect("plain");
    await world.ready();
    const options = {
      onProgress: () => {
        throw new Error("the listener's own");
      },
    };
    expect(await world.run(world.a.cluster.routeStream("plain", new Source(["hi"]).readable, options)))
      .toBe(true);
    await world.expectNothingLeft();
  });
});

describe("openStream", () => {
  test("takes writes, tells progress and resolves close when all has arrived", async () => {
    const world = await StreamWorld.of(2);
    const sdk = world.b.connectSdk("sdk", 1_000);
    await world.ready();
    const stream = world.a.cluster.openStream("sdk");
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { bytes } of stream.progress) seen.push(bytes);
    })();
    const writer = stream.getWriter();
    const whole = pattern(400_000);
    const writing = (async () => {
      for (const part of parts(whole, 50_000)) await writer.write(part);
      await writer.close();
    })();
    await world.run(writing);
    expect(sdk.streams[0]?.verified).toBe(true);
    expectBytes(bytesOf(sdk.streams[0]), whole);
    expect(await stream.result).toMatchObject({ outcome: "acknowledged", bytes: 400_000, chunks: 7 });
    await reading;
    expect(seen.at(-1)).toBe(400_000);
    expect(seen).toEqual([...seen].sort((x, y) => x - y));
    await world.expectNothingLeft();
  });

  test("tells the client why the writer aborted", async () => {
    const world = await StreamWorld.of(2);
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const stream = world.a.cluster.openStream("sdk");
    const result = stream.result.then(() => "resolved", (error: { code: string }) => error.code);
    const writer = stream.getWriter();
    await world.run(writer.write("some"));
    await world.run(writer.abort(new Error("had enough")));
    await world.until(() => sdk.streams[0]?.aborted !== undefined);
    expect(sdk.streams[0]?.aborted).toMatchObject({ code: "aborted" });
    expect(sdk.streams[0]?.aborted?.message).toContain("had enough");
    expect(await result).toBe("aborted");
    await world.expectNothingLeft();
  });

  test("rejects writes and close with the outcome", async () => {
    const world = await StreamWorld.of(2);
    await world.ready();
    const stream = world.a.cluster.openStream("nobody");
    const writer = stream.getWriter();
    const closed = writer.closed.catch((error: { code: string }) => error.code);
    const written = writer.write("x").catch((error: { code: string }) => error.code);
    const end = writer.close().catch((error: { code: string }) => error.code);
    expect(await world.run(Promise.all([written, end, closed]))).toEqual([
      "not-found",
      "not-found",
      "not-found",
    ]);
    expect((await stream.result).outcome).toBe("not-found");
    await world.expectNothingLeft();
  });

  test("left alone is ended by its idle timeout, and nobody hears of a rejection", async () => {
    const world = await StreamWorld.of(2);
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const stream = world.a.cluster.openStream("sdk", { idleTimeoutMs: 2_000 });
    const began = world.sim.clock.now();
    await world.until(() => sdk.streams[0]?.aborted !== undefined);
    expect(world.sim.clock.now() - began).toBeLessThan(2_600);
    expect(sdk.streams[0]?.aborted?.code).toBe("timeout");
    expect((await stream.result).outcome).toBe("timeout");
    await world.expectNothingLeft();
  });
});
