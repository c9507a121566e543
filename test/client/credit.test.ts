/** What a client tells its node of what the reader took, and what it tells the application. */
import { describe, expect, test } from "bun:test";
import type { FlotillaClient, IncomingProgress, IncomingStream } from "../../src/client/contract.ts";
import { Rate } from "../../src/lib/rate.ts";
import { type FakeSocket, joined } from "./fake_node.ts";
import { until } from "../support/until.ts";
import { connected, pattern } from "./fake_node.ts";

const KIB = 1_024;

async function streaming(totalBytes: number | null = null): Promise<{
  client: FlotillaClient;
  socket: FakeSocket;
  stream: IncomingStream;
}> {
  const { client, socket, streams } = await connected();
  socket.begin(1, { totalBytes });
  return { client, socket, stream: streams[0] as IncomingStream };
}

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

const bytesOf = (socket: FakeSocket): number[] => socket.of("credit", 1).map(({ bytes }) => bytes);

describe("credit", () => {
  test("is not given for what nobody has read", async () => {
    const { client, socket, stream } = await streaming();
    for (let chunk = 0; chunk < 16; chunk++) socket.data(1, pattern(64 * KIB));
    const reader = stream.readable.getReader();
    await settled();
    expect(socket.frames).toEqual([]);
    reader.releaseLock();
    client.close();
  });

  test("is given for 128 KiB at a time while more waits", async () => {
    const { client, socket, stream } = await streaming();
    for (let chunk = 0; chunk < 16; chunk++) socket.data(1, pattern(32 * KIB));
    const reader = stream.readable.getReader();
    for (let chunk = 0; chunk < 10; chunk++) {
      await reader.read();
      await settled();
    }
    expect(bytesOf(socket)).toEqual([128 * KIB, 256 * KIB]);
    expect(socket.of("credit", 1).map(({ chunks }) => chunks)).toEqual([4, 8]);
    client.close();
  });

  test("is given when everything that arrived was read, so that no window is too small", async () => {
    const { client, socket, stream } = await streaming();
    socket.data(1, pattern(10));
    socket.data(1, pattern(10));
    const reader = stream.readable.getReader();
    await reader.read();
    await settled();
    expect(bytesOf(socket)).toEqual([]);
    await reader.read();
    await settled();
    expect(socket.of("credit", 1)).toEqual([{ kind: "credit", stream: 1, bytes: 20, chunks: 2 }]);
    client.close();
  });

  test("is given once for what arrived in one turn", async () => {
    const { client, socket, stream } = await streaming();
    const read = stream.bytes();
    for (let chunk = 0; chunk < 100; chunk++) socket.data(1, pattern(10));
    await settled();
    expect(bytesOf(socket)).toEqual([1_000]);
    socket.end(1, ...Array.from({ length: 100 }, () => pattern(10)));
    expect((await read).byteLength).toBe(1_000);
    expect(bytesOf(socket)).toEqual([1_000]);
    client.close();
  });

  test("is not given for every chunk that comes in a turn of its own, and forgets none", async () => {
    const { client, socket, stream } = await streaming();
    const read = stream.bytes();
    for (let chunk = 0; chunk < 1_000; chunk++) {
      socket.data(1, pattern(10));
      await Promise.resolve().then(() => undefined).then(() => undefined).then(() => undefined);
    }
    await until("all is credited", () => bytesOf(socket).at(-1) === 10_000);
    expect(bytesOf(socket).length).toBeLessThan(500);
    client.close();
    await read.catch(() => undefined);
  });

  test("is given for every 1,024 chunks, however short", async () => {
    const { client, socket, stream } = await streaming();
    for (let chunk = 0; chunk < 3_000; chunk++) socket.data(1, pattern(1));
    const reader = stream.readable.getReader();
    for (let chunk = 0; chunk < 2_500; chunk++) await reader.read();
    await settled();
    expect(socket.of("credit", 1).map(({ chunks }) => chunks)).toEqual([1_024, 2_048]);
    client.close();
  });

  test("is given for empty chunks, which no reader sees", async () => {
    const { client, socket } = await streaming();
    socket.data(1, new Uint8Array(0));
    await settled();
    expect(socket.of("credit", 1)).toEqual([{ kind: "credit", stream: 1, bytes: 0, chunks: 1 }]);
    client.close();
  });

  test("is not given once the end has arrived", async () => {
    const { client, socket, streams } = await connected();
    socket.stream(1, Array.from({ length: 8 }, () => pattern(64 * KIB)));
    await streams[0]?.bytes();
    await settled();
    expect(socket.frames).toEqual([{ kind: "finished", stream: 1 }]);
    client.close();
  });

  test.each([1, 64, 1_024])(
    "lets a whole stream through a window of %i KiB, which is never exceeded",
    async (window) => {
      const { client, socket, stream } = await streaming();
      const payloads = Array.from({ length: 100 }, (_, index) => pattern(KIB, index));
      const read = stream.bytes();
      let sent = 0;
      for (const payload of payloads) {
        await until("there is room", () => sent + KIB - (bytesOf(socket).at(-1) ?? 0) <= window * KIB);
        socket.data(1, payload);
        sent += KIB;
      }
      socket.end(1, ...payloads);
      expect(await read).toEqual(joined(payloads));
      client.close();
    },
  );

  test("follows a pipe: what its target does not take is not credited", async () => {
    const { client, socket, stream } = await streaming();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => void (release = resolve));
    let written = 0;
    const target = new WritableStream<Uint8Array>({
      async write(chunk) {
        await held;
        written += chunk.byteLength;
      },
    });
    const piped = stream.readable.pipeTo(target);
    const payloads = Array.from({ length: 16 }, () => pattern(64 * KIB));
    for (const payload of payloads) socket.data(1, payload);
    await settled();
    // One chunk stands in the target's own queue.
    expect(bytesOf(socket)).toEqual([]);
    release();
    socket.end(1, ...payloads);
    await piped;
    expect(written).toBe(1_024 * KIB);
    client.close();
  });
});

describe("progress", () => {
  test("says what the reader took, and of how much", async () => {
    const { client, socket, stream } = await streaming(30);
    socket.data(1, pattern(10));
    socket.data(1, pattern(20));
    expect(stream.progress).toEqual({ bytes: 0, totalBytes: 30, bytesPerSecond: 0 });
    await stream.readable.getReader().read();
    expect(stream.progress).toMatchObject({ bytes: 10, totalBytes: 30 });
    expect(stream.progress.bytesPerSecond).toBeGreaterThan(0);
    client.close();
  });

  test("is told once a turn, the last one whole, and a listener that throws harms nothing", async () => {
    const { client, socket, stream } = await streaming();
    const told: number[] = [];
    stream.onProgress(() => {
      throw new Error("thrown on purpose");
    });
    stream.onProgress(({ bytes }) => void told.push(bytes));
    const stop = stream.onProgress(() => void told.push(-1));
    stop();
    const read = stream.bytes();
    const payloads = [pattern(10), pattern(20), pattern(30)];
    for (const payload of payloads) {
      socket.data(1, payload);
      socket.data(1, payload);
      await settled();
    }
    socket.end(1, ...payloads.flatMap((payload) => [payload, payload]));
    await read;
    await settled();
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect(told.at(-1)).toBe(120);
    // A read takes a turn of microtasks of its own, so two chunks may be told apart; more never is.
    expect(told.length).toBeLessThan(8);
    client.close();
  });

  test("can be iterated: the present one first, the last one whole, then it ends", async () => {
    const { client, socket, stream } = await streaming();
    const seen: IncomingProgress[] = [];
    const watched = (async () => {
      for await (const progress of stream.watchProgress()) seen.push(progress);
    })();
    await settled();
    const read = stream.bytes();
    socket.data(1, pattern(10));
    await settled();
    socket.data(1, pattern(5));
    await settled();
    socket.end(1, pattern(10), pattern(5));
    await read;
    await watched;
    expect(seen.map(({ bytes }) => bytes)).toEqual([0, 10, 15]);
    client.close();
  });

  test("ends for those who iterate it when the stream fails, is cancelled, or has ended before", async () => {
    const { client, socket, streams } = await connected();
    for (const stream of [1, 2, 3]) socket.begin(stream);
    socket.stream(4, []);
    const count = async (stream: IncomingStream | undefined): Promise<number> => {
      let seen = 0;
      for await (const _ of stream?.watchProgress() ?? []) seen++;
      return seen;
    };
    const counts = Promise.all(streams.map(count));
    await settled();
    socket.abort(1, "timeout", "too slow");
    streams[1]?.cancel();
    socket.lose(1006);
    expect(await counts).toEqual([1, 1, 1, 1]);
    await client.closed;
  });
});

describe("the rate", () => {
  test("is that since the start while it is young, then that of the last second", () => {
    const rate = new Rate(0);
    expect(rate.perSecond(0)).toBe(0);
    rate.add(500, 250);
    expect(rate.perSecond(500)).toBe(1_000);
    for (let at = 300; at <= 10_000; at += 50) rate.add(100, at);
    expect(Math.abs(rate.perSecond(10_000) - 2_000)).toBeLessThan(200);
  });

  test("falls to nothing when nothing comes", () => {
    const rate = new Rate(0);
    for (let at = 0; at <= 3_000; at += 10) rate.add(10, at);
    expect(rate.perSecond(3_000)).toBeGreaterThan(900);
    expect(rate.perSecond(4_100)).toBeLessThan(100);
    expect(rate.bytes).toBe(3_010);
  });
});
