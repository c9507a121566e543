/** What a node says to SDK clients, and makes of what they say, over real sockets. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { decodeToClient, encodeCredit, encodeMessage, SUBPROTOCOL } from "../../src/client_protocol.ts";
import type { Listener } from "../../src/server/contract.ts";
import { serve, type ServeOptions } from "../../src/server/serve.ts";
import { FakeCluster } from "../support/fake_cluster.ts";
import { until } from "../support/until.ts";

let cluster: FakeCluster;
const ends: (() => void | Promise<void>)[] = [];
beforeEach(() => {
  cluster = new FakeCluster();
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface SdkSocket {
  readonly socket: WebSocket;
  readonly received: (string | Uint8Array<ArrayBuffer>)[];
  closed: { code: number; reason: string } | undefined;
}

async function connectSdk(options: Partial<ServeOptions> = {}): Promise<SdkSocket> {
  const listener: Listener = await serve(cluster, { port: 0, ...options });
  ends.push(() => listener.close());
  const socket = new WebSocket(`${listener.url.replace("http", "ws")}/ws?id=alice`, [SUBPROTOCOL]);
  socket.binaryType = "arraybuffer";
  const client: SdkSocket = { socket, received: [], closed: undefined };
  socket.onmessage = ({ data }) =>
    client.received.push(typeof data === "string" ? data : new Uint8Array(data));
  socket.onclose = ({ code, reason }) => client.closed = { code, reason };
  ends.push(() => socket.close());
  await until("the hello is there", () => client.received.length > 0);
  return client;
}

describe("an SDK client", () => {
  test("hears first who it is and where", async () => {
    const { socket, received } = await connectSdk();
    expect(socket.protocol).toBe(SUBPROTOCOL);
    expect(decodeToClient(received[0] as Uint8Array<ArrayBuffer>)).toEqual({
      kind: "hello",
      connectionId: "alice",
      nodeId: "fake",
    });
    expect(cluster.connections.get("alice")?.sink?.envelope?.(new Uint8Array([9]))).toEqual(
      new Uint8Array([0, 9]),
    );
  });

  test("is heard: its text as it is, its bytes out of their envelope, its frames by the streams", async () => {
    const heard: unknown[] = [];
    const { socket } = await connectSdk({ onMessage: (id, data) => void heard.push([id, data]) });
    socket.send("hello");
    socket.send(encodeMessage(new Uint8Array([1, 2])));
    socket.send(encodeCredit(7, 100, 1));
    await until("all has been heard", () => heard.length === 2 && cluster.clientFrames.length === 1);
    expect(heard).toEqual([["alice", "hello"], ["alice", new Uint8Array([1, 2])]]);
    expect(cluster.clientFrames).toEqual([{ connectionId: "alice", frame: encodeCredit(7, 100, 1) }]);
  });

  test("that breaks the protocol is closed with 1002, and counted", async () => {
    const client = await connectSdk();
    cluster.failure = new Error("a frame that no SDK sends");
    client.socket.send(new Uint8Array([99]));
    await until("it is closed", () => client.closed !== undefined);
    expect(client.closed).toEqual({ code: 1002, reason: "a frame that no SDK sends" });
    expect(cluster.rejected["bad-request"]).toBe(1);
  });
});

test("a plain client gets no hello, and its bytes are its own", async () => {
  const heard: unknown[] = [];
  const listener = await serve(cluster, { port: 0, onMessage: (_, data) => void heard.push(data) });
  ends.push(() => listener.close());
  const socket = new WebSocket(`${listener.url.replace("http", "ws")}/ws?id=plain`);
  ends.push(() => socket.close());
  let received = 0;
  socket.onmessage = () => received++;
  await new Promise((resolve) => socket.onopen = resolve);
  socket.send(new Uint8Array([16, 1, 2]));
  await until("it is heard", () => heard.length === 1);
  expect([heard, received, cluster.clientFrames]).toEqual([[new Uint8Array([16, 1, 2])], 0, []]);
});
