/** The client over the runtime's own WebSocket, against a server of the same runtime. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { type AddressInfo, createServer } from "node:net";
import { encodeData, encodeOpen } from "../../src/client_protocol.ts";
import { connect } from "../../src/client/connect.ts";
import type { IncomingStream } from "../../src/client/contract.ts";
import type { Bytes } from "../../src/lib/bytes.ts";
import { until } from "../support/until.ts";
import { HEAD, joined, pattern } from "./fake_node.ts";
import { RealNode } from "./real_node.ts";

/** What a server without any subprotocol answers to a handshake. */
function acceptance(head: string): string {
  const key = /sec-websocket-key: *(\S+)/i.exec(head)?.[1] ?? "";
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

let node: RealNode;
beforeAll(async () => {
  node = await RealNode.start();
});
afterAll(() => node.close());

describe("over a real socket", () => {
  test("text and bytes come back as they were sent", async () => {
    await using client = await connect(node.urlOf());
    const heard: (string | Bytes)[] = [];
    client.on("message", (data) => void heard.push(data));
    client.send("grüße 🚢");
    client.send(pattern(100_000));
    client.send("");
    client.send(new Uint8Array(0));
    await until("all four are back", () => heard.length === 4);
    expect(heard).toEqual(["grüße 🚢", pattern(100_000), "", new Uint8Array(0)]);
  });

  test("messages sent at once with the hello reach a listener that is added after connecting", async () => {
    await using client = await connect(node.urlOf("/greeting"));
    const heard: (string | Bytes)[] = [];
    client.on("message", (data) => void heard.push(data));
    await until("all are there", () => heard.length === 50);
    expect(heard).toEqual(Array.from({ length: 50 }, (_, index) => `greeting ${index}`));
  });

  test("twenty streams arrive beside messages, and the node hears that each was whole", async () => {
    await using client = await connect(node.urlOf());
    const streams: IncomingStream[] = [];
    const heard: (string | Bytes)[] = [];
    client.on("stream", (stream) => void streams.push(stream));
    client.on("message", (data) => void heard.push(data));
    const sent = Array.from(
      { length: 20 },
      (_, stream) => Array.from({ length: 1 + stream }, (_, chunk) => pattern(2_000 + chunk, stream + chunk)),
    );
    const sending = sent.map((payloads, stream) => node.latest.stream(stream, payloads));
    for (let index = 0; index < 10; index++) client.send(`message ${index}`);
    await until("all have begun", () => streams.length === 20);
    const read = await Promise.all(streams.map((stream) => stream.bytes()));
    await Promise.all(sending);
    expect(read).toEqual(sent.map(joined));
    await until("each is finished", () => sent.every((_, stream) => node.latest.has("finished", stream)));
    await until("all messages are back", () => heard.length === 10);
    expect(client.openStreams).toBe(0);
  });

  test("32 MiB pass through a window of 1 MiB", async () => {
    await using client = await connect(node.urlOf());
    const chunk = pattern(65_536);
    let read: Promise<Bytes> | undefined;
    client.on("stream", (stream) => void (read = stream.bytes()));
    await node.latest.stream(1, Array.from({ length: 512 }, () => chunk));
    await until("the node hears of the end", () => node.latest.has("finished", 1));
    expect((await read)?.byteLength).toBe(512 * 65_536);
    expect(node.latest.aheadBytesMax).toBeLessThan(1_048_577);
  });

  test("a reader that stops stops the sender, and cancelling lets it go", async () => {
    await using client = await connect(node.urlOf());
    const streams: IncomingStream[] = [];
    client.on("stream", (stream) => void streams.push(stream));
    const connection = node.latest;
    const sending = connection.stream(1, Array.from({ length: 512 }, () => pattern(65_536)));
    await until("the window is full", () => connection.aheadBytesMax === 1_048_576);
    // Whatever was sent before the answer has arrived.
    const heard: unknown[] = [];
    client.on("message", (data) => void heard.push(data));
    client.send("first");
    await until("the answer is there", () => heard.length === 1);
    const reader = (streams[0] as IncomingStream).readable.getReader();
    await reader.read();
    client.send("second");
    await until("the answer is there", () => heard.length === 2);
    expect(connection.frames).toEqual([]);
    await reader.cancel("enough");
    await sending;
    expect(connection.frames).toEqual([{ kind: "cancel", stream: 1, reason: "enough" }]);
  });

  test("the node's close is told with its code and reason", async () => {
    const client = await connect(node.urlOf());
    node.latest.socket.close(4409, "replaced");
    expect(await client.closed).toEqual({ code: 4409, reason: "replaced" });
  });

  test("a socket that is cut fails what was arriving", async () => {
    const client = await connect(node.urlOf(), { reconnect: false });
    const reads: Promise<unknown>[] = [];
    client.on("stream", (stream) => void reads.push(stream.bytes().catch((error) => error)));
    node.latest.socket.send(encodeOpen(1, HEAD));
    node.latest.socket.send(encodeData(1, pattern(65_536)));
    await until("it has begun", () => reads.length === 1);
    node.latest.socket.terminate();
    expect((await client.closed).code).toBe(1006);
    expect(await reads[0]).toMatchObject({ code: "node-lost" });
    expect(client.openStreams).toBe(0);
  });

  test("a node whose frames are broken is left, and hears it", async () => {
    const client = await connect(node.urlOf());
    node.latest.socket.send(new Uint8Array([3, 0]));
    expect((await client.closed).code).toBe(1002);
    await until("the node has heard", () => node.latest.closes.length === 1);
    expect([1002, 4000]).toContain(node.latest.closes[0]?.code ?? 0);
  });
});

describe("connecting over a real socket fails", () => {
  test.each([
    ["unauthorized, for the close code 4001", "/unauthorized", "unauthorized"],
    ["node-lost, for an HTTP refusal", "/refused", "node-lost"],
    ["timeout, for a server that says no hello", "/silent", "timeout"],
  ])("%s", async (_, path, code) => {
    const thrown = await connect(node.urlOf(path), { connectTimeoutMs: 300 }).catch((error) => error);
    expect(thrown).toMatchObject({ name: "FlotillaError", code });
  });

  test("for a server without the subprotocol, and says so where the runtime lets it know", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", (head) => socket.write(acceptance(head.toString("latin1"))));
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const thrown = await connect(`ws://127.0.0.1:${port}/`).catch((error) => error);
    expect(["unsupported", "node-lost"]).toContain(thrown.code);
    server.close();
  });

  test("node-lost, when nobody listens there", async () => {
    const gone = await RealNode.start();
    const url = gone.urlOf();
    await gone.close();
    await expect(connect(url)).rejects.toMatchObject({ code: "node-lost" });
  });
});
