/** Streams as they arrive and as they are read, over sockets in memory. */
import { describe, expect, test } from "bun:test";
import { encodeEnd, encodeMessage } from "../../src/client_protocol.ts";
import type { FlotillaClient, IncomingStream } from "../../src/client/contract.ts";
import { type Bytes, utf8 } from "../../src/lib/bytes.ts";
import { until } from "../support/until.ts";
import { connected, FakeNode, type FakeSocket, joined, pattern, sumOf, welcome } from "./fake_node.ts";

/** A client with one open stream. */
async function streaming(): Promise<{
  client: FlotillaClient;
  socket: FakeSocket;
  stream: IncomingStream;
}> {
  const { client, socket, streams } = await connected();
  socket.begin(1);
  return { client, socket, stream: streams[0] as IncomingStream };
}

/** What a read rejects with. */
const failureOf = (read: Promise<unknown>): Promise<unknown> =>
  read.then(() => "no failure", (error) => error);

/** Everything asynchronous that is under way has happened. */
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe("a stream arrives", () => {
  test.each<[string, Bytes[]]>([
    ["empty", []],
    ["in one chunk", [pattern(1_000)]],
    ["in two chunks", [pattern(65_536), pattern(1, 2)]],
    ["in many chunks", Array.from({ length: 300 }, (_, index) => pattern(1 + index * 13, index))],
    ["with empty chunks between", [new Uint8Array(0), pattern(3), new Uint8Array(0), pattern(4, 2)]],
  ])("%s", async (_, payloads) => {
    const { client, socket, streams } = await connected();
    socket.stream(1, payloads);
    expect(await streams[0]?.bytes()).toEqual(joined(payloads));
    expect(socket.frames).toEqual([{ kind: "finished", stream: 1 }]);
    expect(client.openStreams).toBe(0);
    client.close();
  });

  test("with what the sender said of it", async () => {
    const { client, socket, streams } = await connected();
    socket.begin(9, { text: true, totalBytes: 77, metadata: { name: "a.txt" } });
    socket.begin(10);
    const [first, second] = streams;
    expect([first?.id, first?.isText, first?.totalBytes, first?.metadata]).toEqual([9, true, 77, {
      name: "a.txt",
    }]);
    expect([second?.id, second?.isText, second?.totalBytes, second?.metadata]).toEqual([
      10,
      false,
      null,
      null,
    ]);
    client.close();
  });

  test("as text whose characters are split between chunks", async () => {
    const { client, socket, streams } = await connected();
    const bytes = utf8("aä🚢z");
    socket.stream(1, [...bytes].map((byte) => new Uint8Array([byte])), { text: true });
    expect(await streams[0]?.text()).toBe("aä🚢z");
    client.close();
  });

  test("and is malformed as text when it is not UTF-8", async () => {
    const { client, socket, streams } = await connected();
    socket.stream(1, [new Uint8Array([0xff])]);
    expect(await failureOf(streams[0]?.text() as Promise<string>)).toMatchObject({ code: "malformed" });
    client.close();
  });

  test("without being copied", async () => {
    const { client, socket, stream } = await streaming();
    socket.data(1, pattern(10));
    const { value } = await stream.readable.getReader().read();
    expect([value?.byteOffset, value?.buffer.byteLength]).toEqual([5, 15]);
    client.close();
  });

  test("among 200 others and messages, each to its own reader", async () => {
    const { client, socket, streams, messages } = await connected();
    const sent = Array.from(
      { length: 200 },
      (_, stream) =>
        Array.from(
          { length: stream % 7 },
          (_, chunk) => pattern(100 + stream * 3 + chunk, stream * 10 + chunk),
        ),
    );
    sent.forEach((_, stream) => socket.begin(stream, { metadata: stream }));
    for (let chunk = 0; chunk < 7; chunk++) {
      sent.forEach((payloads, stream) => {
        const payload = payloads[chunk];
        if (payload !== undefined) socket.data(stream, payload);
        else if (chunk === payloads.length) socket.end(stream, ...payloads);
      });
      socket.say(`message ${chunk}`);
      socket.say(encodeMessage(new Uint8Array([chunk])));
    }
    const read = await Promise.all(streams.map((stream) => stream.bytes()));
    expect(read).toEqual(sent.map(joined));
    expect(messages.length).toBe(14);
    expect(client.openStreams).toBe(0);
    client.close();
  });

  test("and can still be read when the socket has closed behind its end", async () => {
    const { client, socket, streams } = await connected();
    const payloads = [pattern(5_000), pattern(5_000, 2)];
    socket.stream(1, payloads);
    socket.lose(1006);
    await client.closed;
    expect(await streams[0]?.bytes()).toEqual(joined(payloads));
  });
});

describe("a stream fails", () => {
  test.each<[string, bigint, number]>([
    ["when its digest is wrong", 1n, 0],
    ["when bytes are missing", 0n, 1],
    ["when there are too many bytes", 0n, -1],
  ])("%s, and the node is told why", async (_, digestOff, bytesOff) => {
    const { client, socket, stream } = await streaming();
    const payloads = [pattern(100), pattern(50, 2)];
    for (const payload of payloads) socket.data(1, payload);
    const { bytes, digest } = sumOf(payloads);
    socket.say(encodeEnd(1, bytes + bytesOff, digest ^ digestOff));
    expect(await failureOf(stream.bytes())).toMatchObject({ name: "FlotillaError", code: "malformed" });
    expect(socket.of("cancel", 1).length).toBe(1);
    expect(socket.of("cancel", 1)[0]?.reason).toMatch(/digest|bytes arrived/);
    expect(socket.of("finished", 1)).toEqual([]);
    expect(client.openStreams).toBe(0);
    expect(client.send("the client lives on")).toBe(true);
    client.close();
  });

  test("when it is shorter than was announced", async () => {
    const { client, socket, streams } = await connected();
    socket.stream(1, [pattern(9)], { totalBytes: 10 });
    expect(await failureOf(streams[0]?.bytes() as Promise<Bytes>)).toMatchObject({ code: "malformed" });
    expect(socket.of("cancel", 1)[0]?.reason).toContain("10 were announced");
    client.close();
  });

  test.each([["timeout", "timeout"], ["backpressure", "backpressure"], ["constructor", "node-lost"]])(
    "when the node aborts it with %s: %s",
    async (sent, code) => {
      const { client, socket, stream } = await streaming();
      socket.data(1, pattern(10));
      socket.abort(1, sent, "the source broke");
      const failure = await failureOf(stream.bytes());
      expect(failure).toMatchObject({ name: "FlotillaError", code });
      expect((failure as Error).message).toContain("the source broke");
      socket.data(1, pattern(10));
      socket.end(1, pattern(10));
      await settled();
      expect(socket.frames).toEqual([]);
      expect(client.openStreams).toBe(0);
      client.close();
    },
  );

  test("when the socket closes in the middle, with the close in the message", async () => {
    const { client, socket, stream } = await streaming();
    socket.data(1, pattern(10));
    const reader = stream.readable.getReader();
    await reader.read();
    const waiting = failureOf(reader.read());
    socket.lose(1001, "leaving");
    const failure = await waiting;
    expect(failure).toMatchObject({ code: "node-lost" });
    expect((failure as Error).message).toContain("1001 leaving");
    expect(client.openStreams).toBe(0);
  });

  test("when the application closes the client", async () => {
    const { client, stream } = await streaming();
    const waiting = failureOf(stream.bytes());
    client.close();
    expect(await waiting).toMatchObject({ code: "node-lost" });
  });
});

describe("a stream is cancelled", () => {
  test("by its reader, with the reason, and what comes later is dropped", async () => {
    const { client, socket, stream } = await streaming();
    socket.data(1, pattern(10));
    const reader = stream.readable.getReader();
    await reader.read();
    await reader.cancel("seen enough");
    socket.data(1, pattern(10));
    socket.end(1, pattern(10), pattern(10));
    socket.abort(1, "aborted", "as you wished");
    await settled();
    expect(socket.of("cancel", 1)).toEqual([{ kind: "cancel", stream: 1, reason: "seen enough" }]);
    expect(socket.frames.at(-1)?.kind).toBe("cancel");
    expect((await reader.read()).done).toBe(true);
    expect(client.openStreams).toBe(0);
    client.close();
  });

  test("with the message of an error", async () => {
    const { client, socket, stream } = await streaming();
    await stream.readable.cancel(new Error("disk full"));
    expect(socket.of("cancel", 1)[0]?.reason).toBe("disk full");
    client.close();
  });

  test("from outside while somebody else reads it", async () => {
    const { client, socket, stream } = await streaming();
    const waiting = failureOf(stream.bytes());
    stream.cancel("the user went away");
    stream.cancel("again");
    expect(await waiting).toMatchObject({ code: "aborted" });
    expect(socket.of("cancel", 1)).toEqual([{ kind: "cancel", stream: 1, reason: "the user went away" }]);
    client.close();
  });

  test("without a word to the node when all of it had arrived", async () => {
    const { client, socket, streams } = await connected();
    socket.stream(1, [pattern(10)]);
    await streams[0]?.readable.cancel("never mind");
    streams[0]?.cancel();
    expect(socket.frames).toEqual([{ kind: "finished", stream: 1 }]);
    client.close();
  });

  test("by a pipe whose target fails", async () => {
    const { client, socket, stream } = await streaming();
    socket.data(1, pattern(10));
    const target = new WritableStream({ write: () => Promise.reject(new Error("disk full")) });
    await failureOf(stream.readable.pipeTo(target));
    await until("the node is told", () => socket.of("cancel", 1).length === 1);
    expect(socket.of("cancel", 1)[0]?.reason).toBe("disk full");
    client.close();
  });

  test("when nobody listens, and the reason says so", async () => {
    const node = new FakeNode((socket) => {
      welcome(socket);
      socket.begin(1);
    });
    const client = await node.connect();
    const [socket] = node.sockets;
    await until("the node is told", () => socket?.frames.length === 1);
    expect(socket?.frames).toEqual([{ kind: "cancel", stream: 1, reason: "nobody listens for streams" }]);
    const stop = client.on("stream", () => undefined);
    stop();
    socket?.begin(2);
    expect(socket?.of("cancel", 2).length).toBe(1);
    client.close();
  });

  test("a thousand times, and nothing is left behind", async () => {
    const { client, socket, streams } = await connected();
    for (let stream = 0; stream < 1_000; stream++) {
      socket.begin(stream);
      socket.data(stream, pattern(100));
      if (stream % 3 === 0) socket.abort(stream, "timeout", "too slow");
      else if (stream % 3 === 1) streams[stream]?.cancel();
      else await streams[stream]?.readable.cancel();
      socket.data(stream, pattern(100));
    }
    expect(streams.length).toBe(1_000);
    expect(client.openStreams).toBe(0);
    client.close();
  });
});
