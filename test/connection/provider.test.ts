import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Outboxes } from "../../src/connection/outboxes.ts";
import { DefaultConnectionProvider } from "../../src/connection/provider.ts";
import type { ConnectionSink } from "../../src/connection/sink.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { FlotillaError } from "../../src/lib/errors.ts";
import type { Socket } from "../../src/lib/socket.ts";
import type { Listener, ServerEnv } from "../../src/server/contract.ts";
import { listen } from "../../src/server/listen.ts";
import { until } from "../support/until.ts";

/** Real sockets of the runtime that runs this: the application's end is a standard WebSocket. */
describe("the default connection provider", () => {
  let listener: Listener;
  const received: (string | number)[] = [];
  const ends: string[] = [];
  const remotes: Socket[] = [];

  beforeAll(async () => {
    const fetch = (_: Request, { flotilla }: ServerEnv): Response =>
      flotilla.upgrade((socket) => {
        remotes.push(socket);
        return {
          message: (data) => void received.push(typeof data === "string" ? data : data.byteLength),
          drain() {},
          close: (code, reason) => void ends.push(`${code} ${reason}`),
        };
      }, { messageBytesMax: 16_777_216 });
    listener = await listen({ port: 0, fetch });
  });
  afterAll(() => listener.close());

  async function opened(): Promise<WebSocket> {
    const webSocket = new WebSocket(listener.url.replace("http", "ws"));
    const known = remotes.length;
    await until("the socket is open", () => webSocket.readyState === 1 && remotes.length > known);
    return webSocket;
  }

  test("lets an application's own socket send, with outcomes, and leaves its messages alone", async () => {
    const provider = new DefaultConnectionProvider(systemClock);
    const webSocket = await opened();
    const { binaryType } = webSocket;
    const messages: unknown[] = [];
    webSocket.addEventListener("message", ({ data }) => messages.push(data));
    const sink = provider.add("alice", webSocket);
    expect(provider.get("alice")).toBe(sink);
    expect(webSocket.binaryType).toBe(binaryType);

    const outbox = new Outboxes(systemClock).open("alice", sink);
    const outcomes: string[] = [];
    outbox.send("hello", 5, (outcome) => outcomes.push(outcome));
    outbox.send(new Uint8Array(3_000_000), 3_000_000, (outcome) => outcomes.push(outcome));
    await until("both are delivered", () => outcomes.length === 2 && received.length === 2);
    expect(outcomes).toEqual(["delivered", "delivered"]);
    expect(received).toEqual(["hello", 3_000_000]);
    expect(outbox.queuedBytes).toBe(0);

    remotes.at(-1)?.send("from the other side");
    await until("the application hears its message", () => messages.length === 1);
    expect(messages).toEqual(["from the other side"]);
    outbox.close(4000, "enough");
    await until("the other side hears the close", () => ends.length === 1);
    expect(ends).toEqual(["4000 enough"]);
  });

  test("forgets a socket that closes, says so once, and knows a newer one from an older one", async () => {
    const closed: [string, ConnectionSink][] = [];
    const provider = new DefaultConnectionProvider(systemClock, { closed: (...ended) => closed.push(ended) });
    const first = provider.add("bob", await opened());
    const firstRemote = remotes.at(-1);
    const second = provider.add("bob", await opened());
    firstRemote?.close(1000, "");
    await until("the first has closed", () => closed.length === 1);
    expect(closed).toEqual([["bob", first]]);
    expect(provider.get("bob")).toBe(second);
    expect(provider.remove("bob", first)).toBe(false);
    second.close(1000, "");
    await until("the second has closed", () => closed.length === 2);
    expect(provider.get("bob")).toBe(undefined);
    expect(second.send("late")).toBe(false);
  });

  test("refuses a socket that is not open", async () => {
    const provider = new DefaultConnectionProvider(systemClock);
    const webSocket = await opened();
    webSocket.close();
    let code = "";
    try {
      provider.add("carol", webSocket);
    } catch (thrown) {
      code = thrown instanceof FlotillaError ? thrown.code : "other";
    }
    expect(code).toBe("invalid-option");
    expect(provider.get("carol")).toBe(undefined);
  });
});
