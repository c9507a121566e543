import { describe, expect, test } from "bun:test";
import { type Bytes, utf8 } from "../../src/lib/bytes.ts";
import type { SocketEvents } from "../../src/lib/socket.ts";
import { type SocketEvent, type StandardWebSocket, wrapWebSocket } from "../../src/lib/standard_socket.ts";
import { SimClock } from "../support/sim_clock.ts";

/** A WebSocket whose other side and network the test plays. */
class FakeWebSocket implements StandardWebSocket {
  readyState = 1;
  bufferedAmount = 0;
  binaryType = "blob";
  readonly sent: (string | Bytes)[] = [];
  readonly closes: string[] = [];
  /** Codes that `close` takes; others throw, as a client does. */
  codes: (code: number) => boolean = (code) => code === 1000 || code >= 3000;
  readonly #listeners = new Map<string, Set<(event: SocketEvent) => void>>();

  send(data: string | Bytes): void {
    this.sent.push(data);
    this.bufferedAmount += typeof data === "string" ? data.length : data.byteLength;
  }

  close(code?: number, reason?: string): void {
    if (code !== undefined && !this.codes(code)) throw new Error("InvalidAccessError");
    this.closes.push(`${code} ${reason}`);
    this.readyState = 2;
  }

  addEventListener(type: string, listener: (event: SocketEvent) => void): void {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
  }

  removeEventListener(type: string, listener: (event: SocketEvent) => void): void {
    this.#listeners.get(type)?.delete(listener);
  }

  fire(type: string, event: Omit<SocketEvent, "type"> = {}): void {
    for (const listener of this.#listeners.get(type) ?? []) listener({ type, ...event });
  }
}

function wrapped(events: Partial<SocketEvents> = {}) {
  const clock = new SimClock();
  const ws = new FakeWebSocket();
  const lines: string[] = [];
  const socket = wrapWebSocket(ws, () => ({
    message: (data) => void lines.push(typeof data === "string" ? `text ${data}` : `bytes ${[...data]}`),
    drain: () => void lines.push(`drain at ${clock.now()}: ${ws.bufferedAmount}`),
    close: (code, reason) => void lines.push(`close ${code} ${reason}`),
    ...events,
  }), clock);
  return { clock, ws, lines, socket };
}

describe("wrapWebSocket", () => {
  test("hands messages over as text and as bytes of the receiver's own", () => {
    const { ws, lines } = wrapped();
    expect(ws.binaryType).toBe("arraybuffer");
    ws.fire("message", { data: "hello" });
    ws.fire("message", { data: new Uint8Array([1, 2]).buffer });
    const pool = new Uint8Array([0, 3, 4, 0]);
    ws.fire("message", { data: pool.subarray(1, 3) });
    ws.fire("message", { data: "" });
    expect(lines).toEqual(["text hello", "bytes 1,2", "bytes 3,4", "text "]);
  });

  test("reports the end once, as 1006 where the runtime gives no code, and nothing after it", async () => {
    const { clock, ws, lines } = wrapped();
    ws.fire("error", { message: "Unexpected EOF" });
    ws.fire("close", { code: 0, reason: "" });
    ws.fire("close", { code: 1005, reason: "" });
    ws.fire("message", { data: "late" });
    await clock.advance(10_000);
    expect(lines).toEqual(["close 1006 "]);
    expect(clock.timers).toBe(0);
  });

  test("closes with 4000 where the runtime does not let it say the code, and with a reason that fits", () => {
    const client = wrapped();
    client.socket.close(1001, "ö".repeat(100));
    expect(client.ws.closes).toEqual([`4000 ${"ö".repeat(61)}`]);
    const server = wrapped();
    server.ws.codes = () => true;
    server.socket.close(1001, "leaving");
    server.socket.close(1000, "again");
    expect(server.ws.closes).toEqual(["1001 leaving"]);
  });

  test("sends nothing, says so, and hears nothing while it closes", async () => {
    const { clock, ws, lines, socket } = wrapped();
    expect(socket.send("one")).toBe(true);
    socket.close(1000, "");
    expect(socket.send("two")).toBe(false);
    ws.fire("message", { data: "late" });
    ws.fire("close", { code: 1000, reason: "" });
    await clock.advance(0);
    expect([ws.sent, lines]).toEqual([["one"], ["close 1000 "]]);
  });

  test("gives a close that is not answered up after 5 s", async () => {
    const { clock, lines, socket } = wrapped();
    socket.close(1000, "");
    await clock.advance(4_999);
    expect(lines).toEqual([]);
    await clock.advance(1);
    expect(lines).toEqual(["close 1006 "]);
  });

  test("reports the end after a cut never within the call", async () => {
    const { clock, ws, lines, socket } = wrapped();
    socket.terminate();
    socket.terminate();
    ws.fire("close", { code: 1005, reason: "" });
    expect(lines).toEqual([]);
    await clock.advance(0);
    expect(lines).toEqual(["close 1006 "]);
  });

  test("looks at what is buffered only while something is, at once and then ever more seldom", async () => {
    const { clock, ws, lines, socket } = wrapped();
    socket.send(new Uint8Array(100));
    await clock.advance(1_000);
    expect(lines).toEqual([]);
    ws.bufferedAmount = 40;
    await clock.advance(8);
    ws.bufferedAmount = 0;
    await clock.advance(8);
    expect(lines.length).toBe(2);
    expect(lines[1]).toContain(": 0");
    expect(clock.timers).toBe(0);
    let looks = 0;
    Object.defineProperty(ws, "bufferedAmount", { get: () => (looks++, 1), set: () => {} });
    socket.send("x");
    await clock.advance(1_000);
    expect(looks).toBeLessThan(16 + 1_000 / 8 + 8);
  });

  test("closes, and only that, when a handler throws or rejects", async () => {
    const failing = [
      () => {
        throw new Error("handler");
      },
      () => Promise.reject(new Error("async handler")),
    ];
    for (const message of failing) {
      const { clock, ws } = wrapped({ message });
      ws.fire("message", { data: "x" });
      await clock.advance(0);
      expect(ws.closes).toEqual(["4000 a handler failed"]);
    }
    const { clock, ws } = wrapped({ close: failing[0] as () => void });
    ws.fire("close", { code: 1000, reason: "" });
    await clock.advance(0);
    expect(ws.closes).toEqual([]);
  });

  test("is cut when the runtime refuses a message", async () => {
    const { clock, ws, lines, socket } = wrapped();
    ws.send = () => {
      throw new Error("too long for this runtime");
    };
    expect(socket.send(utf8("x"))).toBe(false);
    await clock.advance(0);
    expect(lines).toEqual(["close 1006 "]);
  });
});
