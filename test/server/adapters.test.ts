/** Requests, upgrades and messages through the socket adapters: runs on whatever runtime runs it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { listen } from "../../src/server/listen.ts";
import { AdapterFixture, closeOf, MESSAGE_BYTES_MAX } from "./adapter_fixture.ts";
import { OPCODE, RawClient } from "./raw_client.ts";
import { until } from "../support/until.ts";

let fixture: AdapterFixture;
beforeAll(async () => {
  fixture = await AdapterFixture.start();
});
afterAll(() => fixture.listener.close());

describe("requests", () => {
  test("HTTP is answered on the port that the listener names", async () => {
    expect(fixture.listener.port).toBeGreaterThan(0);
    expect(fixture.listener.url).toBe(`http://127.0.0.1:${fixture.listener.port}`);
    const response = await fetch(`${fixture.listener.url}/http`);
    expect(await response.text()).toBe("plain answer");
  });

  test("every request has its remote address and whether it is loopback", async () => {
    await (await fetch(`${fixture.listener.url}/http`)).text();
    expect(fixture.remote?.address).toBe("127.0.0.1");
    expect(fixture.remote?.loopback).toBe(true);
    expect(fixture.remote?.port).toBeGreaterThan(0);
  });

  test("a long request body reaches the handler whole", async () => {
    const response = await fetch(`${fixture.listener.url}/length`, {
      method: "POST",
      body: "x".repeat(3_000_000),
    });
    expect(await response.text()).toBe("3000000");
  });

  test("a handler that throws answers 500 with a JSON error", async () => {
    const response = await fetch(`${fixture.listener.url}/fails`);
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({
      error: { code: "internal", message: "the request handler failed" },
    });
  });

  test("a port in use is an invalid option that names the address", async () => {
    await expect(listen({ port: fixture.listener.port, fetch: () => new Response() })).rejects.toMatchObject({
      code: "invalid-option",
      message: `cannot listen on 127.0.0.1:${fixture.listener.port}: the port is in use`,
    });
  });

  test("a port that is no port is an invalid option", async () => {
    await expect(listen({ port: 70_000, fetch: () => new Response() })).rejects.toMatchObject({
      code: "invalid-option",
    });
  });
});

describe("upgrades", () => {
  test("a route refuses an upgrade with an ordinary response", async () => {
    const client = await RawClient.connect(fixture.listener.port, "/refused");
    await until("the refusal is there", () => client.body.includes("not you"));
    expect(client.status).toBe(403);
    expect(client.head.toLowerCase()).toContain("x-why: because");
    client.destroy();
  });

  test("a middleware may still refuse after the route has asked for the upgrade", async () => {
    fixture.latest = undefined;
    const client = await RawClient.connect(fixture.listener.port, "/refused-late");
    await until("the refusal is there", () => client.body.includes("changed my mind"));
    expect(client.status).toBe(401);
    expect(fixture.latest).toBe(undefined);
    client.destroy();
  });

  test("a middleware that copies the response does not hinder the upgrade", async () => {
    const { client } = await fixture.raw("/decorated");
    expect(client.status).toBe(101);
    client.destroy();
  });

  test("an upgrade of what is no handshake answers 400", async () => {
    const response = await fetch(`${fixture.listener.url}/echo`);
    expect(response.status).toBe(400);
    await response.text();
  });

  const broken: readonly (readonly [string, Record<string, string>])[] = [
    ["without a version", { "sec-websocket-version": "" }],
    ["of another version", { "sec-websocket-version": "12" }],
    ["without a key", { "sec-websocket-key": "" }],
    ["with a key that is none", { "sec-websocket-key": "abc" }],
  ];
  test.each(broken)("a handshake %s answers 400 with a JSON error", async (_what, headers) => {
    fixture.latest = undefined;
    const client = await RawClient.connect(fixture.listener.port, "/echo", headers);
    await until("the refusal is there", () => client.body.includes('"bad-request"'));
    expect(client.status).toBe(400);
    expect(client.head.toLowerCase()).toContain("sec-websocket-version: 13");
    expect(fixture.latest).toBe(undefined);
    client.destroy();
  });

  test.each(["a,b", "a, b", "b , a", "b"])(
    "the offer %s is answered with the protocol the route chose",
    async (offer) => {
      const { client } = await fixture.raw("/plain", { "sec-websocket-protocol": offer });
      expect(client.head.toLowerCase()).toMatch(/sec-websocket-protocol: b(\r|$)/);
      client.destroy();
    },
  );
});

describe("messages", () => {
  test("text, binary and empty messages come back as they were", async () => {
    const { client, served, received } = await fixture.standard("/echo");
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
    const { client, received } = await fixture.standard("/echo");
    const sent = new Uint8Array(1024 * 1024).map((_, index) => index * 7);
    client.send(sent);
    await until("it is back", () => received.length === 1);
    expect(new Uint8Array(received[0] as ArrayBuffer)).toEqual(sent);
    client.close();
  });

  test("1,000 messages of both kinds keep their order", async () => {
    const { client, received } = await fixture.standard("/echo");
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
    const { client, served } = await fixture.raw("/plain");
    served.onMessage = (data) => {
      if (typeof data !== "string") new Uint8Array(data.buffer).fill(255, 1);
    };
    for (let index = 0; index < 200; index++) client.send(OPCODE.binary, new Uint8Array([index, 7, 7, 7]));
    await until("all have arrived", () => served.messages.length === 200);
    expect(served.messages.map((data) => (data as Uint8Array)[0])).toEqual(
      Array.from({ length: 200 }, (_, index) => index),
    );
    expect(served.messages.every((data) => (data as Uint8Array).buffer.byteLength === 4)).toBe(true);
    client.destroy();
  });

  test.each(
    [["text", "x".repeat(MESSAGE_BYTES_MAX + 1)], ["binary", new Uint8Array(MESSAGE_BYTES_MAX + 1)]] as const,
  )(
    "a %s message over the limit closes the socket with 1009 and is not handed over",
    async (_kind, data) => {
      const { client, served } = await fixture.standard("/plain");
      const closed = closeOf(client);
      client.send(data);
      expect((await closed).code).toBe(1009);
      await until("the server side has ended", () => served.closes.length === 1);
      expect(served.closes[0]?.code).toBe(1009);
      expect(served.messages).toEqual([]);
    },
  );

  test("the limit counts bytes of UTF-8, not characters", async () => {
    const { client, served } = await fixture.standard("/plain");
    const closed = closeOf(client);
    client.send("€".repeat(Math.floor(MESSAGE_BYTES_MAX / 3)));
    client.send("€".repeat(Math.floor(MESSAGE_BYTES_MAX / 3) + 1));
    expect((await closed).code).toBe(1009);
    expect(served.messages.length).toBe(1);
  });
});

describe("backpressure", () => {
  test(
    "for a client that never reads bytes pile up, nothing is dropped, and drain is announced",
    async () => {
      const { client, served } = await fixture.raw("/plain");
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
      expect(client.frames.map((frame) => frame.payload[0])).toEqual(
        Array.from({ length: count }, (_, index) => index & 255),
      );
      client.destroy();
    },
    20_000,
  );

  test("bufferedBytes falls to zero and the owner hears of it after an ordinary message", async () => {
    const { client, served } = await fixture.raw("/plain");
    served.socket.send("small");
    await until("it has left", () => served.socket.bufferedBytes === 0);
    await until("it has arrived", () => client.frames.length === 1);
    client.destroy();
  });
});
