/** Client sockets of whatever runtime this is, against the server of the same. */
import { createHash } from "node:crypto";
import { type AddressInfo, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { systemClock } from "../../src/lib/clock.ts";
import { dial } from "../../src/lib/dial.ts";
import type { Socket, SocketEvents } from "../../src/lib/socket.ts";
import type { Listener, ServerEnv } from "../../src/server/contract.ts";
import { listen } from "../../src/server/listen.ts";
import { until } from "../support/until.ts";

const clock = systemClock;
let listener: Listener;
let lastHeaders = new Headers();
/** What servers' ends of sockets heard of their end. */
const ends: string[] = [];

beforeAll(async () => {
  const fetch = (request: Request, { flotilla }: ServerEnv): Response => {
    lastHeaders = new Headers(request.headers);
    return flotilla.upgrade((socket) => ({
      message(data) {
        if (data === "cut") socket.terminate();
        else if (data === "close") socket.close(4008, "as you wish");
        else if (data === "close twice") {
          socket.close(4001, "first");
          socket.close(4002, "second");
        } else socket.send(data);
      },
      drain() {},
      close: (code, reason) => void ends.push(`${code} ${reason}`),
    }), { messageBytesMax: 16_777_216 });
  };
  listener = await listen({ port: 0, fetch });
});
afterAll(() => listener.close());

/** Dials and gives the socket, with everything it hears as lines. */
async function opened(events: Partial<SocketEvents> = {}) {
  const lines: string[] = [];
  const drains: number[] = [];
  let socket: Socket | undefined;
  dial(listener.url.replace("http", "ws"), {
    opened(open) {
      socket = open;
      return {
        message: (data) => void lines.push(typeof data === "string" ? data : `${data.byteLength} bytes`),
        drain: () => void drains.push(clock.now()),
        close: (code, reason) => void lines.push(`close ${code} ${reason}`),
        ...events,
      };
    },
    failed: (reason) => void lines.push(`failed: ${reason}`),
  }, { clock, timeoutMs: 4_000, headers: { authorization: "Bearer token" } });
  await until("the socket to open", () => socket !== undefined);
  return { socket: socket as Socket, lines, drains };
}

/** Dials `url` and gives how that went. */
async function outcome(url: string, timeoutMs: number): Promise<string> {
  let result = "";
  dial(url, {
    opened: () => (result = "opened", { message() {}, drain() {}, close() {} }),
    failed: (reason) => result = `failed: ${reason}`,
  }, { clock, timeoutMs });
  expect(result).toBe("");
  await until("an outcome", () => result !== "");
  return result;
}

describe("dial", () => {
  test("opens a socket that carries text and bytes both ways, with the given headers", async () => {
    const { socket, lines } = await opened();
    expect(lastHeaders.get("authorization")).toBe("Bearer token");
    for (const data of ["text", "", new Uint8Array(0), new Uint8Array(1_000_000)]) socket.send(data);
    await until("all echoes", () => lines.length === 4);
    expect(lines).toEqual(["text", "", "0 bytes", "1000000 bytes"]);
    socket.close(1000, "");
    await until("the close", () => lines.at(-1)?.startsWith("close") === true);
  });

  test("hears the server's close code and reason, once", async () => {
    const { socket, lines } = await opened();
    socket.send("close twice");
    await until("the close", () => lines.length > 0);
    expect(lines).toEqual(["close 4001 first"]);
    expect(socket.send("more")).toBe(false);
  });

  test("hears 1006 when the connection is cut", async () => {
    const { socket, lines } = await opened();
    socket.send("cut");
    await until("the close", () => lines.length > 0);
    expect(lines).toEqual(["close 1006 "]);
  });

  test("tells the server its close code and reason", async () => {
    const { socket, lines } = await opened();
    socket.close(4009, "another path was proven");
    await until("both closes", () => ends.includes("4009 another path was proven") && lines.length > 0);
    expect(lines).toEqual(["close 4009 another path was proven"]);
  });

  test("tells of the end when it cuts the socket itself", async () => {
    const { socket, lines } = await opened();
    socket.terminate();
    expect(lines).toEqual([]);
    await until("the close", () => lines.length > 0);
    expect(lines).toEqual(["close 1006 "]);
  });

  test("lets go of a connection whose other side has fallen silent when it cuts it", async () => {
    // Upgrades, and then neither says nor answers anything.
    let letGo = false;
    const silent = createServer({ allowHalfOpen: true }, (connection) => {
      connection.on("error", () => letGo = true);
      connection.on("end", () => letGo = true);
      connection.on("close", () => letGo = true);
      connection.on("data", (data) => {
        const key = String(data).match(/sec-websocket-key: (\S+)/i)?.[1];
        if (key === undefined) return;
        const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest(
          "base64",
        );
        connection.write(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
        );
      });
    });
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    let socket: Socket | undefined;
    dial(`ws://127.0.0.1:${(silent.address() as AddressInfo).port}/`, {
      opened: (open) => (socket = open, { message() {}, close() {} }),
      failed: (reason) => expect(reason).toBe(""),
    }, { clock, timeoutMs: 4_000 });
    await until("the socket to open", () => socket !== undefined);
    socket?.close(4000, "nobody answers this");
    socket?.terminate();
    await until("the connection to be let go of", () => letGo);
    silent.close();
  });

  test("announces that what was buffered has left", async () => {
    const { socket, lines, drains } = await opened({ message() {} });
    const chunk = new Uint8Array(1_048_576);
    for (let count = 0; count < 32; count++) socket.send(chunk);
    const buffered = socket.bufferedBytes;
    expect(buffered).toBeGreaterThan(0);
    await until("the drain", () => drains.length > 0 && socket.bufferedBytes === 0);
    socket.close(1000, "");
    await until("the close", () => lines.at(-1)?.startsWith("close") === true);
  });

  test("closes the socket whose handler fails, and no more than that", async () => {
    const other = await opened();
    const { socket, lines } = await opened({
      message() {
        throw new Error("a handler's own");
      },
    });
    socket.send("x");
    await until("the close", () => lines.length > 0);
    expect(lines[0]).toMatch(/^close (1011|4000) a handler failed$/);
    other.socket.send("still here");
    await until("the echo", () => other.lines.includes("still here"));
    other.socket.close(1000, "");
    await until("the close", () => other.lines.length > 1);
  });

  test("closes a socket that its owner fails to take over", async () => {
    ends.length = 0;
    dial(listener.url.replace("http", "ws"), {
      opened() {
        throw new Error("not now");
      },
      failed() {},
    }, { clock, timeoutMs: 4_000 });
    await until("the server to hear of it", () => ends.length > 0);
    expect(ends[0]).toMatch(/^(1011|4000) a handler failed$/);
  });

  test("fails where nobody listens, and for a URL that is none", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    expect(await outcome(`ws://127.0.0.1:${port}`, 4_000)).toMatch(/^failed: /);
    expect(await outcome("not a url", 4_000)).toMatch(/^failed: /);
  });

  test("fails where the answer is no upgrade", async () => {
    const plain = await listen({ port: 0, fetch: () => new Response("no", { status: 403 }) });
    expect(await outcome(plain.url.replace("http", "ws"), 4_000)).toMatch(/^failed: /);
    await plain.close();
  });

  test("fails when no answer comes in time, and hears nothing of it later", async () => {
    const held: { destroy(): void }[] = [];
    const mute = createServer((connection) => {
      connection.on("error", () => {});
      held.push(connection);
    });
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const { port } = mute.address() as AddressInfo;
    expect(await outcome(`ws://127.0.0.1:${port}`, 100)).toBe("failed: no answer within 100 ms");
    for (const connection of held) connection.destroy();
    mute.close();
  });

  test("says nothing more once it is cancelled", async () => {
    const lines: string[] = [];
    const attempt = dial(listener.url.replace("http", "ws"), {
      opened: () => (lines.push("opened"), { message() {}, drain() {}, close() {} }),
      failed: (reason) => void lines.push(reason),
    }, { clock, timeoutMs: 50 });
    attempt.cancel();
    attempt.cancel();
    const { socket } = await opened();
    socket.close(1000, "");
    await outcome("ws://127.0.0.1:1", 4_000);
    expect(lines).toEqual([]);
  });
});
