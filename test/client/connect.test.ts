/** Connecting, and how it fails; over sockets in memory. */
import { describe, expect, test } from "bun:test";
import { encodeData, encodeHello, SUBPROTOCOL } from "../../src/client_protocol.ts";
import { connect } from "../../src/client/connect.ts";
import type { ConnectOptions, WebSocketConstructor } from "../../src/client/contract.ts";
import { until } from "../support/until.ts";
import { SimClock } from "../support/sim_clock.ts";
import { FakeNode, type FakeSocket, welcome } from "./fake_node.ts";

const onlySocket = (node: FakeNode): FakeSocket => node.sockets[0] as FakeSocket;

describe("a client that connects", () => {
  test("offers the subprotocol and knows its names from the hello", async () => {
    const node = new FakeNode();
    const client = await node.connect();
    expect(onlySocket(node).offered).toEqual([SUBPROTOCOL]);
    expect(onlySocket(node).url).toBe("ws://node.test/ws?token=secret");
    expect(onlySocket(node).binaryType).toBe("arraybuffer");
    expect([client.connectionId, client.nodeId]).toEqual(["alice", "n1"]);
    client.close();
  });

  test("hears what comes right behind the hello, in order, the close too", async () => {
    const node = new FakeNode((socket) => {
      welcome(socket);
      socket.say("one");
      socket.stream(1, [new Uint8Array([5])]);
      socket.say("two");
      socket.lose(1001, "leaving");
    });
    // As an application may wrap it.
    const open = async () => await (async () => await node.connect())();
    const client = await open();
    const heard: unknown[] = [];
    client.on("message", (data) => void heard.push(data));
    client.on("stream", (stream) => void heard.push(stream.id));
    client.on("close", (close) => void heard.push(close));
    const close = { code: 1001, reason: "leaving" };
    expect(await client.closed).toEqual(close);
    expect(heard).toEqual(["one", 1, "two", close]);
  });

  test("waits for the hello as long as it was told, in the clock it was given", async () => {
    const clock = new SimClock();
    const node = new FakeNode((socket) => socket.open());
    let said: unknown;
    node.connect({ clock, connectTimeoutMs: 500 }).catch((thrown) => void (said = thrown));
    await clock.advance(499);
    expect(said).toBe(undefined);
    await clock.advance(1);
    expect(said).toMatchObject({ code: "timeout" });
    expect(onlySocket(node).closedWith?.code).toBe(1000);
  });
});

describe("connecting fails", () => {
  const unopened = (): void => undefined;

  test.each<[string, string, (socket: FakeSocket) => void]>([
    ["unauthorized, when the node closes with 4001", "unauthorized", (socket) => {
      socket.open();
      socket.lose(4001, "who are you?");
    }],
    ["node-lost, when the node closes with another code", "node-lost", (socket) => {
      socket.open();
      socket.lose(1001, "leaving");
    }],
    ["node-lost, when nobody is there", "node-lost", (socket) => socket.fail("ECONNREFUSED")],
    ["unsupported, when the server answers without the subprotocol", "unsupported", (socket) => {
      socket.open("");
    }],
    ["malformed, when a text comes first", "malformed", (socket) => {
      socket.open();
      socket.say("hi");
    }],
    ["malformed, when another frame comes first", "malformed", (socket) => {
      socket.open();
      socket.say(encodeData(1, new Uint8Array(1)));
    }],
    ["malformed, when the hello is broken", "malformed", (socket) => {
      socket.open();
      socket.say(encodeHello("alice", "n1").slice(0, -1));
    }],
    ["timeout, when the socket does not open", "timeout", unopened],
  ])("%s", async (_, code, begin) => {
    const node = new FakeNode(begin);
    const thrown = await node.connect({ connectTimeoutMs: 20 }).catch((error) => error);
    expect(thrown).toMatchObject({ name: "FlotillaError", code });
    expect(thrown.message).toContain("connect to ws://node.test/ws: ");
    expect(thrown.message).not.toContain("secret");
    await until("no socket is left open", () => onlySocket(node).readyState === 3);
  });

  test("with the node's reason", async () => {
    const node = new FakeNode((socket) => {
      socket.open();
      socket.lose(4001, "who are you?");
    });
    await expect(node.connect()).rejects.toThrow("who are you?");
  });

  test("aborted, when the signal fires before the hello", async () => {
    const node = new FakeNode((socket) => socket.open());
    const abort = new AbortController();
    const failed = node.connect({ signal: abort.signal }).catch((error) => error);
    await until("the socket is there", () => node.sockets.length === 1);
    abort.abort();
    expect(await failed).toMatchObject({ code: "aborted" });
    expect(onlySocket(node).closedWith).toBeDefined();
  });

  test("aborted, without a socket, when the signal has fired before", async () => {
    const node = new FakeNode();
    await expect(node.connect({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
    expect(node.sockets).toEqual([]);
  });

  test("not when the signal fires later", async () => {
    const node = new FakeNode();
    const abort = new AbortController();
    const client = await node.connect({ signal: abort.signal });
    abort.abort();
    expect(client.send("still here")).toBe(true);
    expect(onlySocket(node).texts).toEqual(["still here"]);
    client.close();
  });

  test("a hello that comes too late opens nothing", async () => {
    const node = new FakeNode((socket) => socket.open());
    await expect(node.connect({ connectTimeoutMs: 5 })).rejects.toMatchObject({ code: "timeout" });
    onlySocket(node).say(encodeHello("alice", "n1"));
    await until("the socket is closed", () => onlySocket(node).readyState === 3);
    expect(onlySocket(node).closedWith?.code).toBe(1000);
  });
});

describe("an invalid option is", () => {
  const { WebSocket } = new FakeNode();
  const refusing = class {
    constructor() {
      throw new DOMException("no such port", "SyntaxError");
    }
  } as unknown as WebSocketConstructor;

  test.each<[string, string, ConnectOptions]>([
    ["a URL without a scheme", "node.test", {}],
    ["a URL of HTTP", "http://node.test", {}],
    ["a timeout of 0", "ws://node.test", { connectTimeoutMs: 0 }],
    ["a timeout that no timer takes", "ws://node.test", { connectTimeoutMs: 2 ** 31 }],
    ["a URL that the WebSocket refuses", "ws://node.test", { WebSocket: refusing }],
  ])("%s", async (_, url, options) => {
    await expect(connect(url, { WebSocket, ...options })).rejects.toMatchObject({ code: "invalid-option" });
  });
});
