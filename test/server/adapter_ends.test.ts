/** How sockets and listeners end, through the socket adapters: runs on whatever runtime runs it. */
import net from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { listen } from "../../src/server/listen.ts";
import { AdapterFixture, closeOf, Served } from "./adapter_fixture.ts";
import { OPCODE, RawClient } from "./raw_client.ts";
import { until } from "../support/until.ts";

let fixture: AdapterFixture;
beforeAll(async () => {
  fixture = await AdapterFixture.start(500);
});
afterAll(() => fixture.listener.close());

describe("ends", () => {
  test("the client's code and reason reach the owner, exactly once", async () => {
    const { client, served } = await fixture.standard("/plain");
    const closed = closeOf(client);
    client.close(4321, "enough");
    await closed;
    await until("the owner heard", () => served.closes.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(served.closes).toEqual([{ code: 4321, reason: "enough" }]);
  });

  test("the owner's code and reason reach the client", async () => {
    const { client, served } = await fixture.standard("/plain");
    const closed = closeOf(client);
    served.socket.send("last words");
    served.socket.close(4008, "too slow");
    expect(served.socket.send("more")).toBe(false);
    expect(await closed).toEqual({ code: 4008, reason: "too slow" });
    await until("the owner heard", () => served.closes.length === 1);
    expect(served.closes[0]?.code).toBe(4008);
  });

  test.each(["/throws", "/rejects"])(
    "a close in a message handler reaches a client that has sent more, on %s",
    async (path) => {
      for (let round = 0; round < 10; round++) {
        const { client } = await fixture.raw(path);
        client.pause();
        for (const text of ["one", "two", "three"]) client.send(OPCODE.text, text);
        client.resume();
        await until(
          "the connection has ended, or will",
          () => client.ended || client.closeFrame() !== undefined,
        );
        expect(client.closeFrame()).toEqual({ code: 1011, reason: "a handler failed" });
        client.destroy();
      }
    },
  );

  test("what was sent before a close still goes out to a client that reads late", async () => {
    const { client, served } = await fixture.raw("/plain");
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
    const { client, served } = await fixture.raw("/closes");
    expect(fixture.heardInsideClose).toBe(0);
    await until("the close frame is there", () => client.closeFrame() !== undefined);
    expect(client.closeFrame()).toEqual({ code: 4001, reason: "go away" });
    client.sendClose(4001);
    await until("the owner heard", () => served.closes.length === 1);
    client.destroy();
  });

  test("the owner never hears of the end inside its own call", async () => {
    const { client, served } = await fixture.raw("/plain");
    served.socket.close(1000, "");
    expect(served.closes).toEqual([]);
    client.destroy();
    await until("the owner heard", () => served.closes.length === 1);
  });

  test("a close reason is cut to 123 bytes between characters", async () => {
    const { client, served } = await fixture.raw("/plain");
    served.socket.close(1001, `x${"€".repeat(60)}`);
    await until("the close frame is there", () => client.closeFrame() !== undefined);
    expect(client.closeFrame()).toEqual({ code: 1001, reason: `x${"€".repeat(40)}` });
    client.destroy();
  });

  test("a code that may not be sent becomes 4000", async () => {
    const { client, served } = await fixture.raw("/plain");
    served.socket.close(1006, "");
    await until("the close frame is there", () => client.closeFrame() !== undefined);
    expect(client.closeFrame()?.code).toBe(4000);
    client.destroy();
  });

  test("a client that vanishes ends its socket with 1006, exactly once", async () => {
    const { client, served } = await fixture.raw("/plain");
    client.destroy();
    await until("the owner heard", () => served.closes.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(served.closes).toEqual([{ code: 1006, reason: "" }]);
    expect(served.socket.send("into the void")).toBe(false);
  });

  test("terminate cuts the connection without a close frame", async () => {
    const { client, served } = await fixture.raw("/plain");
    served.socket.terminate();
    await until("the client's connection has ended", () => client.ended);
    expect(client.closeFrame()).toBe(undefined);
    await until("the owner heard", () => served.closes.length === 1);
    expect(served.closes).toEqual([{ code: 1006, reason: "" }]);
  });

  test("a close that is not answered is cut after five seconds", async () => {
    const { client, served } = await fixture.raw("/plain");
    const start = performance.now();
    served.socket.close(4008, "");
    await until("the client's connection has ended", () => client.ended, 8_000);
    expect(performance.now() - start).toBeLessThan(6_500);
    await until("the owner heard", () => served.closes.length === 1);
  }, 15_000);

  test("a client that answers no ping is cut after two intervals, and one that does is not", async () => {
    const { client, served } = await fixture.raw("/plain");
    const alive = await fixture.standard("/plain");
    await until("the silent one was cut", () => client.ended);
    await until("the owner heard", () => served.closes.length === 1);
    expect(served.closes[0]?.code).toBe(1006);
    expect(alive.served.closes).toEqual([]);
    alive.client.close();
  }, 15_000);
});

describe("handlers that fail", () => {
  test.each(["/throws", "/rejects"])("%s closes only its own socket, with 1011", async (path) => {
    const bystander = await fixture.standard("/echo");
    const { client } = await fixture.standard(path);
    const closed = closeOf(client);
    client.send("now");
    expect((await closed).code).toBe(1011);
    bystander.client.send("still there?");
    await until("the other socket still works", () => bystander.received.length === 1);
    bystander.client.close();
  });

  test("an open handler that throws closes the socket with 1011", async () => {
    const client = await RawClient.connect(fixture.listener.port, "/open-throws");
    await until("the close frame is there", () => client.closeFrame() !== undefined);
    expect(client.closeFrame()?.code).toBe(1011);
    client.destroy();
  });
});

describe("closing the listener", () => {
  test("lets go of a connection whose request never came whole", async () => {
    const other = await listen({ port: 0, fetch: () => new Response("here") });
    const connections = [
      "GET / HTTP/1.1\r\nhost: x",
      "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf",
    ].map(
      (beginning) => {
        const connection = net.connect(other.port, "127.0.0.1");
        connection.on("error", () => undefined);
        connection.resume();
        connection.write(beginning);
        return connection;
      },
    );
    await until("they are connected", () => connections.every(({ connecting }) => !connecting));
    expect(await (await fetch(other.url)).text()).toBe("here");
    await other.close();
    await until("they are let go of", () => connections.every(({ closed }) => closed));
  }, 10_000);

  test("lets an answer that is under way go out whole", async () => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
    const other = await listen({
      port: 0,
      async fetch() {
        ask();
        await new Promise((resolve) => setTimeout(resolve, 200));
        return new Response("x".repeat(1_000_000));
      },
    });
    const answer = fetch(other.url).then((response) => response.text());
    await asked;
    await other.close();
    expect((await answer).length).toBe(1_000_000);
  });

  test(
    "ends open sockets with 1001, deaf ones and hanging requests by force, and frees the port",
    async () => {
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
    },
    15_000,
  );
});
