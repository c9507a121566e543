/** `GET /ws` over real sockets: who is let in, as whom, and what becomes of them. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Listener } from "../../src/server/contract.ts";
import { serve, type ServeOptions } from "../../src/server/serve.ts";
import type { Identity } from "../../src/server/serving.ts";
import { FakeCluster } from "../support/fake_cluster.ts";
import { OPCODE, RawClient } from "./raw_client.ts";
import { until } from "../support/until.ts";

let cluster: FakeCluster;
let listeners: Listener[];
let clients: RawClient[];

beforeEach(() => {
  cluster = new FakeCluster();
  listeners = [];
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.destroy();
  await Promise.all(listeners.map((listener) => listener.close()));
});

async function served(options: Partial<ServeOptions> = {}): Promise<Listener> {
  const listener = await serve(cluster, { port: 0, ...options });
  listeners.push(listener);
  return listener;
}

/** Connects and waits for the server's answer. */
async function connect(
  listener: Listener,
  path: string,
  headers: Record<string, string> = {},
): Promise<RawClient> {
  const client = await RawClient.connect(listener.port, path, headers);
  clients.push(client);
  await until("the server has answered", () => client.head !== "");
  return client;
}

/** The close frame of a client that is let in only to be told why it may not stay. */
async function turnedAway(client: RawClient): Promise<{ code: number; reason: string }> {
  expect(client.status).toBe(101);
  await until("the close frame is there", () => client.closeFrame() !== undefined);
  return client.closeFrame() ?? { code: 0, reason: "" };
}

async function onlyConnection(): Promise<string> {
  await until("a connection is registered", () => cluster.connections.size === 1);
  return [...cluster.connections.keys()][0] ?? "";
}

describe("the connectionId", () => {
  test("is ?id= on a loopback listener without authentication", async () => {
    const listener = await served();
    await connect(listener, "/ws?id=alice%20%C3%A4");
    expect(await onlyConnection()).toBe("alice ä");
    const details = cluster.connections.get("alice ä")?.details;
    expect(details).toMatchObject({ endpoint: "/ws", ownId: true, tags: {} });
    expect(details?.remoteAddress).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(Math.abs((details?.connectedAt ?? 0) - Date.now())).toBeLessThan(10_000);
  });

  test("is random, 16 bytes in base64url, when the client names none", async () => {
    const listener = await served();
    await connect(listener, "/ws");
    expect(await onlyConnection()).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect([...cluster.connections.values()][0]?.details.ownId).toBe(false);
  });

  test("is not ?id= on an open listener: the client is let in and closed with 4001", async () => {
    const listener = await served({ hostname: "0.0.0.0" });
    const client = await connect(listener, "/ws?id=alice");
    expect(await turnedAway(client)).toEqual({
      code: 4001,
      reason: "an id of one's own needs authentication here",
    });
    expect(cluster.connections.size).toBe(0);
    expect(cluster.rejected.unauthorized).toBe(1);
  });

  test("is ?id= on an open listener under allowInsecure", async () => {
    cluster.allowInsecure = true;
    const listener = await served({ hostname: "0.0.0.0" });
    await connect(listener, "/ws?id=alice");
    expect(await onlyConnection()).toBe("alice");
  });

  test.each([["empty", ""], ["too long", "x".repeat(257)], ["with a control character", "a%00b"]])(
    "may not be %s",
    async (_what, id) => {
      const listener = await served();
      const client = await connect(listener, `/ws?id=${id}`);
      expect((await turnedAway(client)).code).toBe(4001);
      expect(cluster.connections.size).toBe(0);
      expect(cluster.rejected["bad-request"]).toBe(1);
    },
  );
});

describe("authenticate", () => {
  test("names the client and its tags", async () => {
    const listener = await served({
      authenticate: (request) => ({
        connectionId: request.headers.get("x-user") ?? "nobody",
        tags: { tenant: "blue" },
      }),
    });
    await connect(listener, "/ws", { "x-user": "bob" });
    expect(await onlyConnection()).toBe("bob");
    expect(cluster.connections.get("bob")?.details).toMatchObject({ ownId: false, tags: { tenant: "blue" } });
  });

  test("that agrees with ?id= makes it the client's own id", async () => {
    const listener = await served({ authenticate: () => Promise.resolve({ connectionId: "bob" }) });
    await connect(listener, "/ws?id=bob");
    expect(await onlyConnection()).toBe("bob");
    expect(cluster.connections.get("bob")?.details.ownId).toBe(true);
  });

  test.each([["another id", { connectionId: "carol" }], ["no id", {}]])(
    "that returns %s than ?id= closes the client with 4001, on loopback too",
    async (_what, identity) => {
      const listener = await served({ authenticate: () => identity });
      const client = await connect(listener, "/ws?id=bob");
      expect(await turnedAway(client)).toEqual({ code: 4001, reason: "the id belongs to somebody else" });
      expect(cluster.rejected.unauthorized).toBe(1);
    },
  );

  test("that returns null closes the client with 4001", async () => {
    const listener = await served({ authenticate: () => null });
    const client = await connect(listener, "/ws");
    expect(await turnedAway(client)).toEqual({ code: 4001, reason: "unauthorized" });
  });

  test("that throws or rejects closes the client with 1011 and lets nobody in", async () => {
    const listener = await served({
      authenticate(request) {
        if (request.url.endsWith("?how=throw")) throw new Error("on purpose");
        return Promise.reject(new Error("on purpose"));
      },
    });
    for (const how of ["throw", "reject"]) {
      const client = await connect(listener, `/ws?how=${how}`);
      expect((await turnedAway(client)).code).toBe(1011);
    }
    expect(cluster.connections.size).toBe(0);
    expect(cluster.rejected["handler-failed"]).toBe(2);
  });

  const nobody: readonly (readonly [string, unknown])[] = [
    ["undefined", undefined],
    ["false", false],
    ["true", true],
    ["a text", "alice"],
  ];
  test.each(nobody)("that returns %s, which is no identity, lets nobody in", async (_what, returned) => {
    const listener = await served({ authenticate: () => returned as Identity | null });
    const client = await connect(listener, "/ws");
    expect(await turnedAway(client)).toEqual({ code: 1011, reason: "authentication failed" });
    expect(cluster.connections.size).toBe(0);
    expect(cluster.rejected["handler-failed"]).toBe(1);
  });
});

describe("origins", () => {
  const cases: [string, Record<string, string>, Partial<ServeOptions>, number][] = [
    ["software that sends none", {}, {}, 101],
    ["a page of the node's own host", { origin: "http://localhost:1", host: "localhost:1" }, {}, 101],
    ["a page of the node's own host behind TLS", { origin: "https://localhost", host: "localhost" }, {}, 101],
    ["a page of another host", { origin: "https://evil.example" }, {}, 403],
    ["a page of another port", { origin: "http://localhost:2", host: "localhost:1" }, {}, 403],
    ["a page without an origin", { origin: "null" }, {}, 403],
    ["nonsense", { origin: "::" }, {}, 403],
    ["a listed page", { origin: "https://app.example" }, { origins: ["https://app.example"] }, 101],
    ["an unlisted page", { origin: "http://app.example" }, { origins: ["https://app.example"] }, 403],
    ["any page under *", { origin: "https://evil.example" }, { origins: "*" }, 101],
    [
      "a rebound name without authentication",
      { origin: "http://evil.example", host: "evil.example" },
      {},
      403,
    ],
    [
      "an outside name with authentication",
      { origin: "https://app.example", host: "app.example" },
      { authenticate: () => ({}) },
      101,
    ],
  ];
  test.each(cases)("%s", async (_who, headers, options, status) => {
    const listener = await served(options);
    const client = await connect(listener, "/ws", headers);
    expect(client.status).toBe(status);
    expect(cluster.rejected.origin).toBe(status === 403 ? 1 : 0);
  });

  test("a page of a node's public URL", async () => {
    const listener = await served();
    cluster.publicUrl = "wss://node.example";
    for (const [origin, status] of [["https://node.example", 101], ["http://node.example", 403]] as const) {
      expect((await connect(listener, "/ws", { origin })).status).toBe(status);
    }
  });
});

describe("a connected client", () => {
  test("gets what the cluster delivers, as it was sent", async () => {
    const listener = await served();
    const client = await connect(listener, "/ws?id=alice");
    await onlyConnection();
    await cluster.routeMessage("alice", "text ä");
    await cluster.routeMessage("alice", new Uint8Array([1, 2, 3]));
    await until("both are there", () => client.frames.length === 2);
    expect(client.frames[0]).toEqual({ opcode: OPCODE.text, payload: new TextEncoder().encode("text ä") });
    expect(client.frames[1]).toEqual({ opcode: OPCODE.binary, payload: new Uint8Array([1, 2, 3]) });
  });

  test("is heard by onMessage, with its id and the cluster", async () => {
    const heard: unknown[] = [];
    const listener = await served({
      onMessage: (connectionId, data, from) => void heard.push([connectionId, data, from === cluster]),
    });
    const client = await connect(listener, "/ws?id=alice");
    client.send(OPCODE.text, "hello");
    client.send(OPCODE.binary, new Uint8Array([9]));
    await until("both were heard", () => heard.length === 2);
    expect(heard).toEqual([["alice", "hello", true], ["alice", new Uint8Array([9]), true]]);
  });

  test("whose onMessage rejects is closed with 1011, counted, and unregistered", async () => {
    const listener = await served({ onMessage: () => Promise.reject(new Error("on purpose")) });
    const client = await connect(listener, "/ws?id=alice");
    client.send(OPCODE.text, "hello");
    expect((await turnedAway(client)).code).toBe(1011);
    client.sendClose(1011);
    await until("it is unregistered", () => cluster.connections.size === 0);
    expect(cluster.rejected["handler-failed"]).toBe(1);
  });

  test("that sends more than messageBytesMax is closed with 1009", async () => {
    const listener = await served();
    const client = await connect(listener, "/ws?id=alice");
    await onlyConnection();
    client.send(OPCODE.binary, new Uint8Array(cluster.messageBytesMax + 1));
    expect((await turnedAway(client)).code).toBe(1009);
    client.sendClose(1009);
    await until("it is unregistered", () => cluster.connections.size === 0);
    expect(cluster.rejected["too-large"]).toBe(1);
  });

  test("is unregistered when it goes", async () => {
    const listener = await served();
    const client = await connect(listener, "/ws?id=alice");
    await onlyConnection();
    client.destroy();
    await until("it is unregistered", () => cluster.connections.size === 0);
  });

  test("that was replaced gets 4409 and does not unregister its successor", async () => {
    const listener = await served();
    const first = await connect(listener, "/ws?id=alice");
    await onlyConnection();
    await connect(listener, "/ws?id=alice");
    expect((await turnedAway(first)).code).toBe(4409);
    first.sendClose(4409);
    await until("the first has ended", () => first.ended);
    await cluster.routeMessage("alice", "still there");
    expect(cluster.connections.size).toBe(1);
  });

  test("gets its first offered subprotocol", async () => {
    const listener = await served();
    const client = await connect(listener, "/ws", { "sec-websocket-protocol": "token.abc, flotilla" });
    expect(client.head.toLowerCase()).toMatch(/sec-websocket-protocol: token\.abc(\r|$)/);
  });
});

describe("a node that is leaving", () => {
  test("lets newcomers in and closes them with 1001 and the redirect", async () => {
    const listener = await served();
    cluster.goodbye = '{"redirect":"ws://127.0.0.1:1/ws"}';
    const client = await connect(listener, "/ws");
    expect(await turnedAway(client)).toEqual({ code: 1001, reason: cluster.goodbye });
    expect(cluster.connections.size).toBe(0);
  });

  test("or is not running closes newcomers with 1001", async () => {
    const listener = await served();
    cluster.running = false;
    const client = await connect(listener, "/ws");
    expect(await turnedAway(client)).toEqual({ code: 1001, reason: "{}" });
  });
});

describe("serve", () => {
  test("without a secret listens on loopback only", async () => {
    cluster.secured = false;
    await expect(served({ hostname: "0.0.0.0" })).rejects.toMatchObject({ code: "invalid-option" });
    const { port } = await served({ hostname: "localhost" });
    expect(cluster.port).toBe(port);
    cluster.allowInsecure = true;
    await served({ hostname: "0.0.0.0" });
  });

  test.each<[string, unknown]>([
    ["origins", "https://example.com"],
    ["authenticate", 5],
    ["onMessage", {}],
    ["shutdown", true],
    ["hostname", 5],
    ["port", "8080"],
    ["pingIntervalMs", 1],
    ["orgins", []],
  ])("refuses %s that is wrong, by name", async (name, value) => {
    const error = await served({ [name]: value }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "invalid-option" });
    expect((error as Error).message).toContain(name);
  });

  test("never shows a token that is wrong", async () => {
    const error = await served({ apiToken: ["s3cret"] as unknown as string }).catch((thrown: unknown) =>
      thrown
    );
    expect((error as Error).message).toBe("apiToken must be ASCII text without spaces, not what was given");
  });

  test("answers a plain request for /ws with 426", async () => {
    const listener = await served();
    const response = await fetch(`${listener.url}/ws`);
    expect(response.status).toBe(426);
    expect(await response.json()).toMatchObject({ error: { code: "bad-request" } });
  });
});

describe("GET <channelName>", () => {
  test("hands the socket to the transport with its remote end", async () => {
    const accepted: unknown[] = [];
    cluster.acceptor = {
      channelName: "/peers",
      accept(socket, remote) {
        accepted.push(remote);
        return {
          message: (data) => void socket.send(data),
          drain() {},
          close: () => void accepted.push("closed"),
        };
      },
    };
    const listener = await served();
    const client = await connect(listener, "/peers");
    client.send(OPCODE.binary, new Uint8Array([1, 2]));
    await until("the echo is there", () => client.frames.length === 1);
    expect(accepted[0]).toMatchObject({ private: true, sameHost: true });
    client.destroy();
    await until("the transport heard of the end", () => accepted[1] === "closed");
  });

  test("refuses web pages, and is 404 where the transport takes no sockets", async () => {
    const without = await connect(await served(), "/cluster");
    expect(without.status).toBe(404);
    cluster.acceptor = { channelName: "/cluster", accept: () => ({ message() {}, drain() {}, close() {} }) };
    const page = await connect(await served(), "/cluster", { origin: "http://127.0.0.1" });
    expect(page.status).toBe(403);
    expect(cluster.rejected.origin).toBe(1);
  });
});
