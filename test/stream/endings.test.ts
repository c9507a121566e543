/** How streams end that do not go well: the outcome, what the source is told, and that nothing is left. */
import { describe, expect, test } from "bun:test";
import type { StreamOptions, StreamResult } from "../../src/stream/contract.ts";
import { parts, pattern, SILENCE, Source, StreamWorld, zeros } from "../support/stream_world.ts";

const CHUNK = 65_536;

/** Sends `source` from a to `id`; how it ended, an error of the caller as its code and message. */
function begin(
  world: StreamWorld,
  source: Source,
  options: StreamOptions = {},
  id = "alice",
): Promise<StreamResult | string> {
  return world.a.cluster.deliverStream(id, source.readable, options).catch(
    (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
  );
}

async function ending(...how: Parameters<typeof begin>): Promise<StreamResult | string> {
  return await how[0].run(begin(...how), 200_000);
}

async function worldWithAlice(bytesPerMs?: number, options = {}) {
  const world = await StreamWorld.of(2, options);
  const alice = world.b.connect("alice", bytesPerMs);
  await world.ready();
  return { world, alice };
}

describe("a source", () => {
  test.each(
    [
      ["that fails half-way", [pattern(CHUNK), new Error("disk on fire")], {}, /^aborted: .*disk on fire/],
      [
        "that has more than its total",
        zeros(3),
        { totalBytes: 2 * CHUNK },
        /^malformed: .*at least 196608 bytes, not 131072/,
      ],
      [
        "that has fewer than its total",
        zeros(3),
        { totalBytes: 4 * CHUNK },
        /^malformed: .*only 196608 bytes, not 262144/,
      ],
      [
        "that yields an object",
        [pattern(1), { not: "bytes" }],
        {},
        /^malformed: .*\[object Object\], neither bytes nor text/,
      ],
      ["that yields undefined", [undefined], {}, /^malformed: .*undefined/],
      [
        "whose text is not UTF-8",
        [new Uint8Array([0xff])],
        { messageType: "text" },
        /^malformed: .*not UTF-8/,
      ],
      [
        "whose text ends within a character",
        [new Uint8Array([0xe2, 0x82])],
        { messageType: "text" },
        /^malformed: .*within a character/,
      ],
    ] as const,
  )("%s rejects the call, and the client hears it", async (_, yields, options, message) => {
    const world = await StreamWorld.of(2);
    const sdk = world.b.connectSdk("alice");
    await world.ready();
    expect(await ending(world, new Source(yields), { ...options, delivery: "framed" })).toMatch(message);
    await world.expectNothingLeft();
    expect(sdk.streams[0]?.aborted?.code).toBe("aborted");
  });

  test("that yields text and empty chunks among bytes is fine", async () => {
    const { world, alice } = await worldWithAlice();
    const mixed = ["grüße", new Uint8Array(0), pattern(3), ""];
    expect(await ending(world, new Source(mixed), { delivery: "chunks" })).toMatchObject({
      outcome: "delivered",
      bytes: 10,
    });
    expect(alice.received.length).toBe(1);
    await world.expectNothingLeft();
  });

  test("that falls silent ends by its idle deadline, one that never ends by the deadline of the whole", async () => {
    const { world } = await worldWithAlice();
    const silent = new Source([pattern(10), SILENCE]);
    expect(await ending(world, silent, { delivery: "chunks", idleTimeoutMs: 2_000 })).toMatchObject({
      outcome: "timeout",
      reason: "the source brought nothing for 2000 ms",
    });
    const endless = new Source(zeros(1e9, 100));
    const { b } = world;
    b.connect("slow", 50);
    await world.until(() => world.a.cluster.getConnectionNodeId("slow") === "b");
    const timedOut = await ending(world, endless, { delivery: "chunks", timeoutMs: 3_000 }, "slow");
    expect(timedOut).toMatchObject({ outcome: "timeout", reason: "not done within 3000 ms" });
    expect(endless.cancelled).toContain("not done within 3000 ms");
    await world.expectNothingLeft(30_000);
  });
});

describe("a caller", () => {
  test("whose signal fires ends the stream with its reason, midway or at once", async () => {
    const { world, alice } = await worldWithAlice(10);
    const aborter = new AbortController();
    const source = new Source(zeros(1e6));
    const sending = begin(world, source, { delivery: "chunks", signal: aborter.signal });
    await world.until(() => alice.received.length > 0);
    const why = new Error("the user went away");
    aborter.abort(why);
    expect(await world.run(sending, 200_000)).toMatchObject({ outcome: "timeout" });
    expect(source.reason).toBe(why);
    const never = new Source(zeros(1));
    expect(await ending(world, never, { signal: AbortSignal.abort(why) })).toMatchObject({
      outcome: "timeout",
    });
    expect([never.pulledBytes, never.reason]).toEqual([0, why]);
    await world.expectNothingLeft(60_000);
  });

  test.each([
    [{ chunkSize: 0 }, "chunkSize"],
    [{ chunkSize: 1_048_577 }, "1048577"],
    [{ chunkSize: 3, messageType: "text" }, "from 4"],
    [{ totalBytes: -1 }, "totalBytes"],
    [{ totalBytes: 1.5 }, "1.5"],
    [{ delivery: "pigeon" }, "pigeon"],
    [{ messageType: "jpeg" }, "jpeg"],
    [{ timeoutMs: 0 }, "timeoutMs"],
    [{ stallTimeoutMs: Number.NaN }, "NaN"],
    [{ metadata: 10n }, "metadata"],
    [{ metadata: "x".repeat(20_000) }, "20002 bytes"],
    [{ onProgress: "often" }, "onProgress"],
  ].map(([options, what]) => [what as string, options] as const))(
    "that asks for what cannot be is told so: %s",
    async (what, options) => {
      const { world } = await worldWithAlice();
      const message = await ending(world, new Source([]), options as StreamOptions);
      expect(message).toMatch(/^invalid-option: /);
      expect(message).toContain(what);
      await world.expectNothingLeft();
    },
  );

  test("that hands over no stream, or one that is read already, is told so", async () => {
    const { world } = await worldWithAlice();
    const { a: { cluster } } = world;
    await expect(cluster.routeStream("alice", "text" as never)).rejects.toThrow(
      'must be a ReadableStream, not "text"',
    );
    const { readable } = new Source([]);
    readable.getReader();
    await expect(cluster.routeStream("alice", readable)).rejects.toThrow("locked");
  });

  test("gets chunks of one byte and of a mebibyte as it asked", async () => {
    const { world, alice } = await worldWithAlice();
    expect(await ending(world, new Source([pattern(300)]), { delivery: "chunks", chunkSize: 1 }))
      .toMatchObject({ outcome: "delivered", bytes: 300, chunks: 300 });
    expect(alice.received.length).toBe(300);
    expect(await ending(world, new Source(zeros(50)), { delivery: "chunks", chunkSize: 1_048_576 }))
      .toMatchObject({ outcome: "delivered", bytes: 50 * CHUNK, chunks: 4 });
    await world.expectNothingLeft();
  });
});

describe("a client", () => {
  test("that nobody has ends the stream before anything is read", async () => {
    const { world } = await worldWithAlice();
    const source = new Source(zeros(10));
    expect(await ending(world, source, {}, "nobody")).toMatchObject({ outcome: "not-found", bytes: 0 });
    expect([source.pulledBytes, source.cancelled]).toEqual([0, 'stream to "nobody": not-found']);
    await world.expectNothingLeft();
  });

  test("that closes, or is replaced, ends its stream", async () => {
    for (const replace of [false, true]) {
      const { world, alice } = await worldWithAlice(50);
      const source = new Source(zeros(1e6));
      const sending = begin(world, source, { delivery: "chunks" });
      await world.until(() => alice.received.length > 2);
      if (replace) world.b.connect("alice");
      else {
        alice.cut();
        world.b.cluster.unregisterConnection("alice", alice);
      }
      expect(await world.run(sending, 200_000)).toMatchObject({
        outcome: "closed",
        bytes: alice.received.length * CHUNK,
      });
      expect(source.cancelled).toContain("closed");
      await world.sim.clock.advance(30_000);
      alice.cut();
      if (replace) world.b.cluster.unregisterConnection("alice", alice);
      await world.expectNothingLeft(30_000);
    }
  });

  test("that stops reading stops the source soon, and ends the stream after a while", async () => {
    const { world, alice } = await worldWithAlice(0);
    const source = new Source(zeros(1e6));
    const sending = begin(world, source, { delivery: "chunks", stallTimeoutMs: 10_000 });
    await world.sim.clock.advance(5_000);
    const { pulledBytes } = source;
    expect(pulledBytes).toBeLessThan(2 * 1_048_576);
    await world.sim.clock.advance(2_000);
    expect(source.pulledBytes).toBe(pulledBytes);
    expect(await world.run(sending, 200_000)).toMatchObject({
      outcome: "timeout",
      reason: "the client took nothing for 10000 ms",
    });
    alice.cut();
    world.b.cluster.unregisterConnection("alice", alice);
    await world.expectNothingLeft(30_000);
  });

  test("that reads slowly but steadily is waited for, however long it takes", async () => {
    const { world } = await worldWithAlice(1);
    expect(await ending(world, new Source(zeros(2)), { delivery: "chunks", stallTimeoutMs: 5_000 }))
      .toMatchObject({ outcome: "delivered", bytes: 2 * CHUNK });
    await world.expectNothingLeft();
  });

  test("of the SDK that cancels ends its stream with its reason", async () => {
    const world = await StreamWorld.of(2);
    const sdk = world.b.connectSdk("alice");
    await world.ready();
    sdk.reading = false;
    const source = new Source(zeros(1e6));
    const sending = begin(world, source);
    await world.until(() => (sdk.streams[0]?.bytes ?? 0) > 0);
    sdk.cancel(sdk.streams[0] as NonNullable<typeof sdk.streams[0]>, "seen enough");
    expect(await world.run(sending, 200_000)).toMatchObject({
      outcome: "closed",
      reason: "the client cancelled: seen enough",
    });
    expect(source.cancelled).toContain("seen enough");
    await world.expectNothingLeft();
  });

  test("that is none of the SDK's is not given a framed stream", async () => {
    const { world } = await worldWithAlice();
    expect(await ending(world, new Source([]), { delivery: "framed" })).toMatchObject({
      outcome: "unauthorized",
    });
    await world.expectNothingLeft();
  });

  test("gets messages while a stream to it goes on", async () => {
    const { world, alice } = await worldWithAlice(2_000);
    const source = new Source(zeros(200));
    const sending = begin(world, source, { delivery: "chunks" });
    await world.until(() => alice.received.length > 5);
    const from = world.sim.clock.now();
    expect(await world.run(world.a.cluster.routeText("alice", "between"))).toBe(true);
    expect(world.sim.clock.now() - from).toBeLessThan(150);
    expect(alice.received).toContain("between");
    expect(await world.run(sending, 200_000)).toMatchObject({ outcome: "delivered" });
    await world.expectNothingLeft();
  });
});

describe("what is too much", () => {
  test("a message longer than any is refused before its first byte when that is known, else as soon as it is", async () => {
    const { world, alice } = await worldWithAlice(undefined, { messageBytesMax: 3 * CHUNK });
    const known = new Source(zeros(100));
    const refused = { outcome: "too-large", reason: expect.stringContaining('delivery: "chunks"') };
    expect(await ending(world, known, { totalBytes: 100 * CHUNK })).toMatchObject(refused);
    expect(known.pulledBytes).toBe(0);
    const unknown = new Source(zeros(1e6));
    expect(await ending(world, unknown)).toMatchObject(refused);
    expect(unknown.pulledBytes).toBeLessThan(20 * CHUNK);
    expect(alice.received).toEqual([]);
    await world.expectNothingLeft();
  });

  test("two messages that together exceed the budget: the second ends backpressure, the first arrives", async () => {
    const { world } = await worldWithAlice(1_000, {
      nodeStreamBytesMax: 3_000_000,
      connectionStreamBytesMax: 3_000_000,
    });
    const one = begin(world, new Source(parts(pattern(2_000_000), CHUNK)), { totalBytes: 2_000_000 });
    const two = begin(world, new Source(parts(pattern(2_000_000), CHUNK)), { totalBytes: 2_000_000 });
    expect(await world.run(one, 200_000)).toMatchObject({ outcome: "delivered", bytes: 2_000_000 });
    expect(await world.run(two, 200_000)).toMatchObject({ outcome: "backpressure", bytes: 0 });
    await world.expectNothingLeft();
  });

  test("a second stream in chunks to one client ends backpressure", async () => {
    const { world } = await worldWithAlice(500);
    const one = begin(world, new Source(zeros(20)), { delivery: "chunks" });
    expect(await ending(world, new Source(zeros(1)), { delivery: "chunks" })).toMatchObject({
      outcome: "backpressure",
      reason: "another stream in chunks is under way to this connection",
    });
    expect(await world.run(one, 200_000)).toMatchObject({ outcome: "delivered" });
    await world.expectNothingLeft();
  });

  test("a thousand streams opened and abandoned leave nothing", async () => {
    const world = await StreamWorld.of(2);
    const sdk = world.b.connectSdk("alice");
    await world.ready();
    const opened = Array.from({ length: 1_000 }, () => world.a.cluster.openStream("alice"));
    const writers = opened.map((stream) => stream.getWriter());
    const writes = writers.map((writer) => writer.write(pattern(10)).catch(() => undefined));
    await world.sim.clock.advance(200);
    const aborts = writers.map((writer) => writer.abort(new Error("abandoned")));
    await world.run(Promise.all([...writes, ...aborts]));
    const results = opened.map((stream) => stream.result.catch((error: { code: string }) => error.code));
    const codes = new Set(
      (await world.run(Promise.all(results))).map((result) =>
        typeof result === "string" ? result : result.outcome
      ),
    );
    expect([...codes].filter((code) => code !== "aborted" && code !== "backpressure")).toEqual([]);
    await world.expectNothingLeft();
    expect(sdk.streams.every(({ aborted }) => aborted !== undefined)).toBe(true);
  });
});
