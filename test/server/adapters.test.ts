/** One suite for the socket adapters: it runs on whatever runtime runs it, through `listen`. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Listener, OpenSocket, RemoteAddress } from "../../src/server/contract.ts";
import { listen } from "../../src/server/listen.ts";
import type { Socket, SocketEvents } from "../../src/lib/socket.ts";
import { OPCODE, RawClient } from "./raw_client.ts";
import { until } from "./until.ts";

const MESSAGE_BYTES_MAX = 2 * 1024 * 1024;

/** The server side of one connection, as the suite sees it. */
class Served implements SocketEvents {
  readonly socket: Socket;
  readonly messages: (string | Uint8Array<ArrayBuffer>)[] = [];
  readonly closes: { code: number; reason: string }[] = [];
  drains = 0;
  onMessage: (data: string | Uint8Array<ArrayBuffer>) => unknown = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  message(data: string | Uint8Array<ArrayBuffer>): void {
    this.messages.push(data);
    return this.onMessage(data) as void;
  }

  drain(): void {
    this.drains += 1;
  }

  close(code: number, reason: string): void {
    this.closes.push({ code, reason });
  }
}

let listener: Listener;
let latest: Served | undefined;
let latestRemote: RemoteAddress | undefined;
let heardInsideClose = -1;
const byPath = new Map<string, (served: Served) => void>([
  ["/echo", (served) => served.onMessage = (data) => served.socket.send(data)],
  ["/throws", (served) => served.onMessage = () => {
    throw new Error("thrown on purpose");
  }],
  ["/rejects", (served) => served.onMessage = () => Promise.reject(new Error("rejected on purpose"))],
  ["/closes", (served) => {
    served.socket.close(4001, "go away");
    heardInsideClose = served.closes.length;
  }],
  ["/plain", () => undefined],
]);

beforeAll(async () => {
  listener = await listen({
    port: 0,
    messageBytesMax: MESSAGE_BYTES_MAX,
    pingIntervalMs: 500,
    fetch(request, env) {
      const { pathname } = new URL(request.url);
      latestRemote = env.flotilla.remote;
      if (pathname === "/http") return new Response("plain answer");
      if (pathname === "/length") return request.text().then((text) => new Response(String(text.length)));
      if (pathname === "/refused") return new Response("not you", { status: 403, headers: { "x-why": "because" } });
      if (pathname === "/fails") throw new Error("the handler failed on purpose");
      if (pathname === "/hangs") return new Promise<Response>(() => undefined);
      const open: OpenSocket = (socket) => {
        if (pathname === "/open-throws") throw new Error("open failed on purpose");
        latest = new Served(socket);
        byPath.get(pathname)?.(latest);
        return latest;
      };
      const answer = env.flotilla.upgrade(open, {
        messageBytesMax: MESSAGE_BYTES_MAX,
        protocol: request.headers.get("sec-websocket-protocol") === null ? undefined : "b",
      });
      if (pathname === "/decorated") return new Response(answer.body, answer);
      if (pathname === "/refused-late") return new Response("changed my mind", { status: 401 });
      return answer;
    },
  });
});

afterAll(() => listener.close());

async function raw(path: string, headers: Record<string, string> = {}): Promise<{ client: RawClient; served: Served }> {
  latest = undefined;
  const client = await RawClient.connect(listener.port, path, headers);
  await until("the socket is open on both sides", () => latest !== undefined && client.status === 101);
  return { client, served: latest as unknown as Served };
}

async function standard(path: string): Promise<{ client: WebSocket; served: Served; received: (string | ArrayBuffer)[] }> {
  latest = undefined;
  const client = new WebSocket(`ws://127.0.0.1:${listener.port}${path}`);
  client.binaryType = "arraybuffer";
  const received: (string | ArrayBuffer)[] = [];
  client.onmessage = (event) => void received.push(event.data);
  await new Promise<void>((resolve, reject) => {
    client.onopen = () => resolve();
    client.onerror = () => reject(new Error(`the client could not connect to ${path}`));
  });
  await until("the server side is open", () => latest !== undefined);
  return { client, served: latest as unknown as Served, received };
}

function closeOf(client: WebSocket): Promise<{ code: number; reason: string }> {
  return new Promise((resolve) => client.onclose = ({ code, reason }) => resolve({ code, reason }));
}

describe("requests", () => {
  test("HTTP is answered on the port that the listener names", async () => {
    expect(listener.port).toBeGreaterThan(0);
    expect(listener.url).toBe(`http://127.0.0.1:${listener.port}`);
    const response = await fetch(`${listener.url}/http`);
    expect(await response.text()).toBe("plain answer");
  });

  test("every request has its remote address and whether it is loopback", async () => {
    await (await fetch(`${listener.url}/http`)).text();
    expect(latestRemote?.address).toBe("127.0.0.1");
    expect(latestRemote?.loopback).toBe(true);
    expect(latestRemote?.port).toBeGreaterThan(0);
  });

  test("a long request body reaches the handler whole", async () => {
    const response = await fetch(`${listener.url}/length`, { method: "POST", body: "x".repeat(3_000_000) });
    expect(await response.text()).toBe("3000000");
  });

  test("a handler that throws answers 500 with a JSON error", async () => {
    const response = await fetch(`${listener.url}/fails`);
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ error: { code: "internal", message: "the request handler failed" } });
  });

  test("a port in use is an invalid option that names the address", async () => {
    await expect(listen({ port: listener.port, fetch: () => new Response() })).rejects.toMatchObject({
      code: "invalid-option",
      message: `cannot listen on 127.0.0.1:${listener.port}: the port is in use`,
    });
  });

  test("a port that is no port is an invalid option", async () => {
    await expect(listen({ port: 70_000, fetch: () => new Response() })).rejects.toMatchObject({ code: "invalid-option" });
  });
});

describe("upgrades", () => {
  test("a route refuses an upgrade with an ordinary response", async () => {
    const client = await RawClient.connect(listener.port, "/refused");
    await until("the refusal is there", () => client.body.includes("not you"));
    expect(client.status).toBe(403);
    expect(client.head.toLowerCase()).toContain("x-why: because");
    client.destroy();
  });

  test("a middleware may still refuse after the route has asked for the upgrade", async () => {
    latest = undefined;
    const client = await RawClient.connect(listener.port, "/refused-late");
    await until("the refusal is there", () => client.body.includes("changed my mind"));
    expect(client.status).toBe(401);
    expect(latest).toBe(undefined);
    client.destroy();
  });

  test("a middleware that copies the response does not hinder the upgrade", async () => {
    const { client } = await raw("/decorated");
    expect(client.status).toBe(101);
    client.destroy();
  });

  test("an upgrade of what is no handshake answers 400", async () => {
    const response = await fetch(`${listener.url}/echo`);
    expect(response.status).toBe(400);
    await response.text();
  });

  test.each(["a,b", "a, b", "b , a", "b"])("the offer %s is answered with the protocol the route chose", async (offer) => {
    const { client } = await raw("/plain", { "sec-websocket-protocol": offer });
    expect(client.head.toLowerCase()).toMatch(/sec-websocket-protocol: b(\r|$)/);
    client.destroy();
  });
});

describe("messages", () => {
  test("text, binary and empty messages come back as they were", async () => {
    const { client, served, received } = await standard("/echo");
    client.send("grüße 🚢");
    client.send("");
    client.send(new Uint8Array([0, 1, 255]));
    client.send(new Uint8Array(0));
    await until("all four are back", () => received.length === 4);
    expect(received[0]).toBe("grüße 🚢");
    expect(received[1]).toBe("");
    expect([...new Uint8Array(received[2] as ArrayBuffer)]).toEqual([0, 1, 255]);
    expect((received[3] as ArrayBuffer).byteLength).toBe(0);
    expect(served.messages[2]?.constructor).toBe(Uint8Array);
    client.close();
  });

  test("a message of 1 MiB passes in both directions", async () => {
    const { client, received } = await standard("/echo");
    const sent = new Uint8Array(1024 * 1024).map((_, index) => index * 7);
    client.send(sent);
    await until("it is back", () => received.length === 1);
    expect(new Uint8Array(received[0] as ArrayBuffer)).toEqual(sent);
    client.close();
  });

  test("1,000 messages of both kinds keep their order", async () => {
    const { client, received } = await standard("/echo");
    for (let index = 0; index < 1_000; index++) {
      client.send(index % 2 === 0 ? `message ${index}` : new Uint8Array([index & 255, index >> 8]));
    }
    await until("all are back", () => received.length === 1_000);
    const numbers = received.map((data) => {
      if (typeof data === "string") return Number(data.slice(8));
      const bytes = new Uint8Array(data);
      return (bytes[0] ?? 0) + 256 * (bytes[1] ?? 0);
    });
    expect(numbers).toEqual(Array.from({ length: 1_000 }, (_, index) => index));
    client.close();
  });

  test("received bytes belong to the receiver: changing them changes no other message", async () => {
    const { client, served } = await raw("/plain");
    served.onMessage = (data) => {
      if (typeof data !== "string") new Uint8Array(data.buffer).fill(255, 1);
    };
    for (let index = 0; index < 200; index++) client.send(OPCODE.binary, new Uint8Array([index, 7, 7, 7]));
    await until("all have arrived", () => served.messages.length === 200);
    expect(served.messages.map((data) => (data as Uint8Array)[0])).toEqual(Array.from({ length: 200 }, (_, index) => index));
    expect(served.messages.every((data) => (data as Uint8Array).buffer.byteLength === 4)).toBe(true);
    client.destroy();
  });

  test.each([["text", "x".repeat(MESSAGE_BYTES_MAX + 1)], ["binary", new Uint8Array(MESSAGE_BYTES_MAX + 1)]] as const)(
    "a %s message over the limit closes the socket with 1009 and is not handed over",
    async (_kind, data) => {
      const { client, served } = await standard("/plain");
      const closed = closeOf(client);
      client.send(data);
      expect((await closed).code).toBe(1009);
      await until("the server side has ended", () => served.closes.length === 1);
      expect(served.messages).toEqual([]);
    },
  );

  test("the limit counts bytes of UTF-8, not characters", async () => {
    const { client, served } = await standard("/plain");
    const closed = closeOf(client);
    client.send("€".repeat(Math.floor(MESSAGE_BYTES_MAX / 3)));
    client.send("€".repeat(Math.floor(MESSAGE_BYTES_MAX / 3) + 1));
    expect((await closed).code).toBe(1009);
    expect(served.messages.length).toBe(1);
  });
});

describe("backpressure", () => {
  test("for a client that never reads bytes pile up, nothing is dropped, and drain is announced", async () => {
    const { client, served } = await raw("/plain");
    client.pause();
    const chunk = new Uint8Array(64 * 1024);
    const count = 512;
    for (let index = 0; index < count; index++) {
      const message = chunk.slice();
      message[0] = index & 255;
      expect(served.socket.send(message)).toBe(true);
      if (index % 32 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    expect(served.socket.bufferedBytes).toBeGreaterThan(4 * 1024 * 1024);
    const drains = served.drains;
    client.resume();
    await until("everything has left", () => served.socket.bufferedBytes === 0);
    await until("all messages have arrived", () => client.frames.length === count);
    await until("drain was announced", () => served.drains > drains);
    expect(client.frames.map((frame) => frame.payload[0])).toEqual(Array.from({ length: count }, (_, index) => index & 255));
    client.destroy();
  }, 20_000);

  test("bufferedBytes falls to zero and the owner hears of it after an ordinary message", async () => {
    const { client, served } = await raw("/plain");
    served.socket.send("small");
    await until("it has left", () => served.socket.bufferedBytes === 0);
    await until("it has arrived", () => client.frames.length === 1);
    client.destroy();
  });
});

describe("ends", () => {
  test("the client's code and reason reach the owner, exactly once", async () => {
    const { client, served } = await standard("/plain");
    const closed = closeOf(client);
    client.close(4321, "enough");
    await closed;
    await until("the owner heard", () => served.closes.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(served.closes).toEqual([{ code: 4321, reason: "enough" }]);
  });

  test("the owner's code and reason reach the client", async () => {
    const { client, served } = await standard("/plain");
    const closed = closeOf(client);
    served.socket.send("last words");
    served.socket.close(4008, "too slow");
    expect(served.socket.send("more")).toBe(false);
    expect(await closed).toEqual({ code: 4008, reason: "too slow" });
    await until("the owner heard", () => served.closes.length === 1);
    expect(served.closes[0]?.code).toBe(4008);
  });

  test("what was sent before a close still goes out to a client that reads late", async () => {
    const { client, served } = await raw("/plain");
    client.pause();
    for (let index = 0; index < 256; index++) served.socket.send(new Uint8Array(64 * 1024));
    served.socket.close(4008, "");
    expect(served.socket.bufferedBytes).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    client.resume();
    await until("the close frame is there", () => client.closeFrame() !== undefined);
    expect(client.frames.filter((frame) => frame.opcode === OPCODE.binary).length).toBe(256);
    client.destroy();
  });

  test("an owner may close in its open handler and hears of the end afterwards", async () => {
    const { client, served } = await raw("/closes");
    expect(heardInsideClose).toBe(0);
    await until("the close frame is there", () => client.closeFrame() !== undefined);
    expect(client.closeFrame()).toEqual({ code: 4001, reason: "go away" });
    client.sendClose(4001);
    await until("the owner heard", () => served.closes.length === 1);
    client.destroy();
  });

  test("the owner never hears of the end inside its own call", async () => {
    const { client, served } = await raw("/plain");
    served.socket.close(1000, "");
    expect(served.closes).toEqual([]);
    client.destroy();
    await until("the owner heard", () => served.closes.length === 1);
  });

  test("a close reason is cut to 123 bytes between characters", async () => {
    const { client, served } = await raw("/plain");
    served.socket.close(1001, `x${"€".repeat(60)}`);
    await until("the close frame is there", () => client.closeFrame() !== undefined);
    expect(client.closeFrame()).toEqual({ code: 1001, reason: `x${"€".repeat(40)}` });
    client.destroy();
  });

  test("a code that may not be sent becomes 4000", async () => {
    const { client, served } = await raw("/plain");
    served.socket.close(1006, "");
    await until("the close frame is there", () => client.closeFrame() !== undefined);
    expect(client.closeFrame()?.code).toBe(4000);
    client.destroy();
  });

  test("a client that vanishes ends its socket with 1006, exactly once", async () => {
    const { client, served } = await raw("/plain");
    client.destroy();
    await until("the owner heard", () => served.closes.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(served.closes).toEqual([{ code: 1006, reason: "" }]);
    expect(served.socket.send("into the void")).toBe(false);
  });

  test("terminate cuts the connection without a close frame", async () => {
    const { client, served } = await raw("/plain");
    served.socket.terminate();
    await until("the client's connection has ended", () => client.ended);
    expect(client.closeFrame()).toBe(undefined);
    await until("the owner heard", () => served.closes.length === 1);
    expect(served.closes).toEqual([{ code: 1006, reason: "" }]);
  });

  test("a close that is not answered is cut after five seconds", async () => {
    const { client, served } = await raw("/plain");
    const start = performance.now();
    served.socket.close(4008, "");
    await until("the client's connection has ended", () => client.ended, 8_000);
    expect(performance.now() - start).toBeLessThan(6_500);
    await until("the owner heard", () => served.closes.length === 1);
  }, 15_000);

  test("a client that answers no ping is cut after two intervals, and one that does is not", async () => {
    const { client, served } = await raw("/plain");
    const alive = await standard("/plain");
    await until("the silent one was cut", () => client.ended);
    await until("the owner heard", () => served.closes.length === 1);
    expect(served.closes[0]?.code).toBe(1006);
    expect(alive.served.closes).toEqual([]);
    alive.client.close();
  }, 15_000);
});

describe("handlers that fail", () => {
  test.each(["/throws", "/rejects"])("%s closes only its own socket, with 1011", async (path) => {
    const bystander = await standard("/echo");
    const { client } = await standard(path);
    const closed = closeOf(client);
    client.send("now");
    expect((await closed).code).toBe(1011);
    bystander.client.send("still there?");
    await until("the other socket still works", () => bystander.received.length === 1);
    bystander.client.close();
  });

  test("an open handler that throws closes the socket with 1011", async () => {
    const client = await RawClient.connect(listener.port, "/open-throws");
    await until("the close frame is there", () => client.closeFrame() !== undefined);
    expect(client.closeFrame()?.code).toBe(1011);
    client.destroy();
  });
});

describe("closing the listener", () => {
  test("ends open sockets with 1001, deaf ones and hanging requests by force, and frees the port", async () => {
    const sockets: Served[] = [];
    const other = await listen({
      port: 0,
      fetch(request, env) {
        if (request.url.endsWith("/hangs")) return new Promise<Response>(() => undefined);
        return env.flotilla.upgrade((socket) => {
          const served = new Served(socket);
          sockets.push(served);
          return served;
        }, { messageBytesMax: 1_000 });
      },
    });
    const deaf = await RawClient.connect(other.port, "/");
    const polite = new WebSocket(`ws://127.0.0.1:${other.port}/`);
    const hanging = fetch(`${other.url}/hangs`).then(() => "over", () => "over");
    await until("both are open", () => sockets.length === 2);
    const closed = closeOf(polite);
    await Promise.all([other.close(), other.close()]);
    expect((await closed).code).toBe(1001);
    await until("the deaf client was cut", () => deaf.ended);
    await until("both owners heard", () => sockets.every((served) => served.closes.length === 1));
    expect(await hanging).toBe("over");
    const again = await listen({ port: other.port, fetch: () => new Response("again") });
    expect(await (await fetch(again.url)).text()).toBe("again");
    await again.close();
  }, 15_000);
});
