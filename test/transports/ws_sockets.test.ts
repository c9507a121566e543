/** The ws transport over real sockets, on the server of whatever runtime this is. */
import { connect } from "node:net";
import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { dial } from "../../src/lib/dial.ts";
import { silentLogger } from "../../src/lib/logger.ts";
import { systemRandom } from "../../src/lib/random.ts";
import type { Socket } from "../../src/lib/socket.ts";
import { listen } from "../../src/server/listen.ts";
import type { Listener, ServerEnv } from "../../src/server/contract.ts";
import type { Path } from "../../src/transport.ts";
import type { NodeAddress } from "../../transports/node_list.ts";
import { WsTransport } from "../../transports/ws.ts";
import { transportConformance, type World } from "../support/conformance.ts";
import { until } from "../support/until.ts";

const NODE_IDS = ["a", "b", "c", "d", "e"];

/** A server for each node, as its HTTP server is; which transport serves it may change. */
class Servers {
  readonly nodes: NodeAddress[] = [];
  readonly transports = new Map<string, WsTransport>();
  readonly #listeners: Listener[] = [];

  static async open(): Promise<Servers> {
    const servers = new Servers();
    for (const nodeId of NODE_IDS) await servers.#listen(nodeId);
    return servers;
  }

  async #listen(nodeId: string): Promise<void> {
    const fetch = (request: Request, { flotilla }: ServerEnv): Response => {
      const transport = this.transports.get(nodeId);
      if (transport === undefined || new URL(request.url).pathname !== transport.channelName) {
        return new Response(null, { status: 404 });
      }
      const { address, port, loopback } = flotilla.remote;
      const remote = { address: `${address}:${port}`, private: loopback, sameHost: loopback };
      return flotilla.upgrade((socket) => transport.accept(socket, remote), { messageBytesMax: 1_048_576 });
    };
    const listener = await listen({ port: 0, fetch });
    this.#listeners.push(listener);
    this.nodes.push({ nodeId, url: listener.url.replace("http", "ws") });
  }

  url(nodeId: string): string {
    return this.nodes.find((node) => node.nodeId === nodeId)?.url ?? "";
  }

  transport(nodeId: string): WsTransport {
    const context = { nodeId, clock: systemClock, random: systemRandom, logger: silentLogger };
    const transport = new WsTransport({ nodes: this.nodes, advertise: this.url(nodeId) }, context);
    this.transports.set(nodeId, transport);
    return transport;
  }

  async close(): Promise<void> {
    await Promise.all([...this.transports.values()].map((transport) => transport.stop()));
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }
}

const hello = (nodeId: string): string =>
  JSON.stringify({ flotilla: 1, nodeId, instance: "00000000000000ff", peers: [] });

/** Outsiders of every kind, all at once; resolves when those that must be refused are closed. */
async function harass(url: string): Promise<void> {
  let closed = 0;
  const outsider = (act: (socket: Socket) => void): void => {
    dial(`${url}/cluster`, {
      opened(socket) {
        act(socket);
        return { message() {}, drain() {}, close: () => void closed++ };
      },
      failed: () => {},
    }, { clock: systemClock, timeoutMs: 2_000 });
  };
  const refused: ((socket: Socket) => void)[] = [
    (socket) => socket.send("garbage"),
    (socket) => socket.send(new Uint8Array(1_000)),
    (socket) => socket.send("x".repeat(500_000)),
    (socket) => (socket.send(hello("z")), socket.send(new Uint8Array(500_000))),
    (socket) => (socket.send(hello("z")), socket.send(new Uint8Array(2_000_000))),
    (socket) => socket.send(hello("a")),
    (socket) => socket.terminate(),
  ];
  for (const act of refused) outsider(act);
  for (let count = 0; count < 10; count++) outsider((socket) => socket.send(hello("b")));
  outsider(() => {});
  const { hostname, port } = new URL(url);
  const raw = connect(
    Number(port),
    hostname,
    () => raw.write("GET /cluster HTTP/1.1\r\nupgrade: rubbish\r\n\r\n"),
  );
  raw.on("error", () => {});
  await until("the outsiders that broke a rule to be closed", () => closed >= refused.length);
  raw.destroy();
}

transportConformance("ws over real sockets", {
  features: ["lossless", "paths"],
  announcesStops: true,
  async make(): Promise<World> {
    const servers = await Servers.open();
    return {
      clock: systemClock,
      transport: (nodeId) => Promise.resolve(servers.transport(nodeId)),
      until: (what, condition) => until(what, condition),
      harass: (nodeId) => harass(servers.url(nodeId)),
      [Symbol.asyncDispose]: () => servers.close(),
    };
  },
});

describe("WsTransport over real sockets", () => {
  test("knows a loopback path as private and of the same machine, at both ends", async () => {
    const servers = await Servers.open();
    const seen: string[] = [];
    for (const nodeId of ["a", "b"]) {
      const transport = servers.transport(nodeId);
      await transport.start({
        packet() {},
        peerSeen: (from, path) => void seen.push(`${nodeId} ${from} ${path?.private} ${path?.sameHost}`),
        peerGone() {},
      });
    }
    await until("both ends see a path", () => seen.length >= 2);
    expect(new Set(seen)).toEqual(new Set(["a b true true", "b a true true"]));
    await servers.close();
  });

  test("leaves no packet behind that was sent right before its stop", async () => {
    const servers = await Servers.open();
    const heard: number[] = [];
    const b = servers.transport("b");
    await b.start({
      packet: (_from, packet) => void heard.push(packet.byteLength),
      peerSeen() {},
      peerGone() {},
    });
    const a = servers.transport("a");
    let seen: Path | undefined;
    await a.start({ packet() {}, peerSeen: (_nodeId, path) => void (seen ??= path), peerGone() {} });
    await until("a sees b", () => seen !== undefined);
    a.confirm("b", seen as Path);
    for (let count = 0; count < 20; count++) a.send("b", new Uint8Array(100_000 + count));
    a.send("b", utf8("bye"));
    await a.stop();
    await until("all packets", () => heard.length === 21);
    await servers.close();
  });
});
