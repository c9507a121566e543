/**
 * The ws transport over sockets in virtual time: what it does about addresses, rivals, outsiders and
 * deadlines.
 */
import { describe, expect, test } from "bun:test";
import { type Bytes, utf8 } from "../../src/lib/bytes.ts";
import type { SocketEvents } from "../../src/lib/socket.ts";
import { silentLogger } from "../../src/lib/logger.ts";
import { seededRandom } from "../../src/lib/random.ts";
import type { Socket } from "../../src/lib/socket.ts";
import type { Path, TransportSink } from "../../src/transport.ts";
import type { NodeAddress } from "../../transports/node_list.ts";
import { WsTransport, type WsTransportOptions } from "../../transports/ws.ts";
import { transportConformance } from "../support/conformance.ts";
import { SimClock } from "../support/sim_clock.ts";
import { simWorld } from "../support/sim_world.ts";
import { SocketNetwork } from "../support/socket_network.ts";

const origin = (nodeId: string): string => `ws://${nodeId}:1`;
const OUTSIDER = { address: "192.0.2.1:1", private: false, sameHost: false };

/** Nodes on one network in virtual time; each listens at `origin(nodeId)` while its transport runs. */
class Cluster {
  readonly clock = new SimClock();
  readonly network = new SocketNetwork(this.clock);
  readonly #random = seededRandom(9);

  transport(nodeId: string, options: Partial<WsTransportOptions> = {}): WsTransport {
    const { clock, network } = this;
    const context = { nodeId, clock, random: this.#random, logger: silentLogger };
    const transport = new WsTransport(
      { nodes: [], advertise: origin(nodeId), dialer: network.dialer, ...options },
      context,
    );
    network.listen(origin(nodeId), (socket) => transport.accept(socket, OUTSIDER));
    return transport;
  }

  async node(nodeId: string, nodes: readonly NodeAddress[] = [], options: Partial<WsTransportOptions> = {}) {
    const node = new TestNode(nodeId, this.transport(nodeId, { nodes, ...options }));
    await node.transport.start(node);
    return node;
  }

  /** A socket of somebody who knows the address and speaks WebSocket, no more. */
  async dial(nodeId: string, events: Partial<SocketEvents> = {}): Promise<Socket> {
    let socket: Socket | undefined;
    this.network.dialer(origin(nodeId), {
      opened(opened) {
        socket = opened;
        return { message() {}, drain() {}, close() {}, ...events };
      },
      failed() {},
    }, { clock: this.clock, timeoutMs: 1_000 });
    await this.clock.runUntil(() => socket !== undefined);
    return socket as Socket;
  }
}

/** Confirms every path of the lower nodeId's choosing, as links do. */
class TestNode implements TransportSink {
  readonly nodeId: string;
  readonly transport: WsTransport;
  readonly paths = new Map<string, Set<Path>>();
  readonly proven = new Set<string>();
  readonly lines: string[] = [];
  /** What is heard is confirmed only while this holds. */
  confirming = true;

  constructor(nodeId: string, transport: WsTransport) {
    this.nodeId = nodeId;
    this.transport = transport;
  }

  packet(from: string, packet: Bytes, path?: Path): void {
    const text = new TextDecoder().decode(packet);
    this.lines.push(`${from}: ${text}`);
    if (path === undefined || !this.confirming) return;
    if (text === "prove") this.transport.send(from, utf8("proven"), path);
    if (text === "prove" || text === "proven") {
      this.proven.add(from);
      this.transport.confirm(from, path);
    }
  }

  peerSeen(nodeId: string, path?: Path): void {
    if (path === undefined) return;
    this.paths.set(nodeId, (this.paths.get(nodeId) ?? new Set()).add(path));
    if (this.nodeId < nodeId && !this.proven.has(nodeId)) this.transport.send(nodeId, utf8("prove"), path);
  }

  peerGone(nodeId: string, path?: Path): void {
    if (path === undefined) return;
    this.paths.get(nodeId)?.delete(path);
    if (this.paths.get(nodeId)?.size === 0) this.proven.delete(nodeId);
  }

  joined(...nodeIds: string[]): boolean {
    return nodeIds.every((nodeId) => this.proven.has(nodeId) && this.paths.get(nodeId)?.size === 1);
  }
}

const hello = (nodeId: string, more: object = {}): string =>
  JSON.stringify({ flotilla: 1, nodeId, instance: "00000000000000ff", peers: [], ...more });

transportConformance("ws in virtual time", {
  features: ["lossless", "paths"],
  announcesStops: true,
  make() {
    const cluster = new Cluster();
    const nodes = ["a", "b", "c", "d", "e"].map((nodeId) => ({ nodeId, url: origin(nodeId) }));
    return Promise.resolve(
      simWorld(cluster.clock, (nodeId) => Promise.resolve(cluster.transport(nodeId, { nodes }))),
    );
  },
});

describe("WsTransport", () => {
  test("reaches every node of the mesh by knowing any one of it", async () => {
    const cluster = new Cluster();
    const seed = await cluster.node("seed");
    const others = await Promise.all(
      ["a", "b", "c", "d"].map((nodeId) => cluster.node(nodeId, [{ url: origin("seed") }])),
    );
    const all = [seed, ...others];
    const complete = (): boolean =>
      all.every((node) =>
        node.joined(...all.map(({ nodeId }) => nodeId).filter((nodeId) => nodeId !== node.nodeId))
      );
    await cluster.clock.runUntil(complete, 5_000);
    await cluster.clock.runUntil(() => cluster.network.openEnds === all.length * (all.length - 1), 5_000);
    await cluster.clock.advance(60_000);
    expect(complete()).toBe(true);
    const { opened } = cluster.network;
    await cluster.clock.advance(60_000);
    expect(cluster.network.opened).toBe(opened);
  });

  test("keeps one socket when both dialled at once, and dials no more", async () => {
    const cluster = new Cluster();
    const a = await cluster.node("a", [{ nodeId: "b", url: origin("b") }]);
    const b = await cluster.node("b", [{ nodeId: "a", url: origin("a") }]);
    await cluster.clock.runUntil(() => a.joined("b") && b.joined("a"), 5_000);
    await cluster.clock.runUntil(() => cluster.network.openEnds === 2, 1_000);
    const { opened } = cluster.network;
    await cluster.clock.advance(60_000);
    expect([cluster.network.opened, cluster.network.openEnds]).toEqual([opened, 2]);
  });

  test("comes together again after every socket was cut", async () => {
    const cluster = new Cluster();
    const nodes = ["a", "b", "c"].map((nodeId) => ({ url: origin(nodeId) }));
    const all = await Promise.all(["a", "b", "c"].map((nodeId) => cluster.node(nodeId, nodes)));
    const [a, b, c] = all as [TestNode, TestNode, TestNode];
    const whole = (): boolean => a.joined("b", "c") && b.joined("a", "c") && c.joined("a", "b");
    for (let round = 0; round < 5; round++) {
      await cluster.clock.runUntil(whole, 10_000);
      cluster.network.cutAll();
      await cluster.clock.runUntil(() => !whole(), 100);
    }
    await cluster.clock.runUntil(whole, 10_000);
  });

  test("recognises itself in the list by any name, and never dials that address again", async () => {
    const cluster = new Cluster();
    const a = await cluster.node("a", [{ url: origin("alias") }]);
    cluster.network.listen(origin("alias"), (socket) => a.transport.accept(socket, OUTSIDER));
    await cluster.clock.advance(120_000);
    expect(cluster.network.dials.get(origin("alias"))).toBe(1);
    expect([a.paths.size, cluster.network.openEnds]).toEqual([0, 0]);
  });

  test("takes two addresses of one process for one node", async () => {
    const cluster = new Cluster();
    const a = await cluster.node("a", [{ url: origin("b") }, { url: origin("b-alias") }]);
    const b = await cluster.node("b");
    cluster.network.listen(origin("b-alias"), (socket) => b.transport.accept(socket, OUTSIDER));
    await cluster.clock.runUntil(() => a.joined("b") && b.joined("a"), 5_000);
    await cluster.clock.advance(1_000);
    const { opened } = cluster.network;
    await cluster.clock.advance(120_000);
    expect([cluster.network.opened, cluster.network.openEnds]).toEqual([opened, 2]);
  });

  test("dials an absent node for ever, 100 ms to 5 s apart, and says so once", async () => {
    const cluster = new Cluster();
    const warnings: string[] = [];
    const { clock, network } = cluster;
    const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
    const transport = new WsTransport(
      { nodes: [{ url: origin("b") }], dialer: network.dialer },
      { nodeId: "a", clock, random: seededRandom(3), logger },
    );
    const node = new TestNode("a", transport);
    await transport.start(node);
    await clock.advance(1_000);
    const early = network.dials.get(origin("b")) ?? 0;
    expect(early).toBeGreaterThan(2);
    await clock.advance(600_000);
    const attempts = (network.dials.get(origin("b")) ?? 0) - early;
    expect(attempts).toBeGreaterThan(600_000 / 7_500 - 1);
    expect(attempts).toBeLessThan(600_000 / 2_500);
    expect(warnings).toEqual(["a node's address is not reached"]);
    await cluster.node("b");
    await clock.runUntil(() => node.paths.has("b"), 8_000);
  });

  test("gives a dial that is not answered up after 5 s", async () => {
    const cluster = new Cluster();
    cluster.network.silence(origin("b"));
    await cluster.node("a", [{ url: origin("b") }]);
    await cluster.clock.advance(4_999);
    expect(cluster.network.dials.get(origin("b"))).toBe(1);
    await cluster.clock.advance(1_000);
    expect(cluster.network.dials.get(origin("b"))).toBe(2);
  });

  test("closes sockets that prove nothing within 10 s, whoever dialled, and counts them", async () => {
    const cluster = new Cluster();
    const a = await cluster.node("a");
    const closes: number[] = [];
    const silent = await cluster.dial("a", { close: (code) => void closes.push(code) });
    const claiming = await cluster.dial("a", { close: (code) => void closes.push(code) });
    claiming.send(hello("z"));
    await cluster.clock.advance(9_000);
    expect(closes).toEqual([]);
    await cluster.clock.advance(1_100);
    expect(closes).toEqual([4009, 4009]);
    expect(a.transport.counters().unproven).toBe(2);
    expect(silent.send("late")).toBe(false);
    expect(a.paths.get("z")?.size).toBe(0);
  });

  test("closes what speaks no protocol of ours at once", async () => {
    const cluster = new Cluster();
    const a = await cluster.node("a");
    const closed = async (...messages: (string | Bytes)[]): Promise<number> => {
      let code = 0;
      const socket = await cluster.dial("a", { close: (got) => void (code = got) });
      for (const message of messages) socket.send(message);
      await cluster.clock.advance(10);
      return code;
    };
    expect(await closed("garbage")).toBe(4009);
    expect(await closed(utf8("a packet first"))).toBe(4009);
    expect(await closed(hello("z"), "garbage")).toBe(4009);
    expect(await closed(hello("z"), hello("y"))).toBe(4009);
    expect(await closed(...Array.from({ length: 5 }, () => hello("z")))).toBe(4009);
    expect(a.transport.counters().malformed).toBe(5);
    expect(await closed(hello("z"), new Uint8Array(a.transport.packetBytesMax + 1))).toBe(1009);
    expect(await closed(hello("a"))).toBe(4009);
    expect([a.transport.counters()["too-large"], a.transport.counters()["own-id"]]).toEqual([1, 1]);
    expect(await closed(hello("z"))).toBe(0);
  });

  test("keeps at most 128 sockets that prove nothing; a newcomer that does is not kept out", async () => {
    const cluster = new Cluster();
    const a = await cluster.node("a");
    let closed = 0;
    for (let count = 0; count < 300; count++) await cluster.dial("a", { close: () => void closed++ });
    await cluster.clock.advance(10);
    expect([closed, a.transport.counters().crowded]).toEqual([172, 172]);
    const b = await cluster.node("b", [{ url: origin("a") }]);
    await cluster.clock.runUntil(() => a.joined("b") && b.joined("a"), 1_000);
    expect(closed).toBe(173);
  });

  test("loses nothing of a proven path to rivals that claim its node, and keeps four of them at most", async () => {
    const cluster = new Cluster();
    const a = await cluster.node("a");
    const b = await cluster.node("b", [{ url: origin("a") }]);
    await cluster.clock.runUntil(() => a.joined("b") && b.joined("a"), 5_000);
    b.lines.length = 0;
    const heard: string[] = [];
    const rivals: Socket[] = [];
    for (let count = 0; count < 10; count++) {
      const rival = await cluster.dial("a", {
        message: (data) => void heard.push(typeof data === "string" ? "a hello" : "a packet"),
      });
      rival.send(hello("b"));
      rivals.push(rival);
    }
    await cluster.clock.advance(10);
    a.transport.send("b", utf8("for b alone"));
    b.transport.send("a", utf8("from b itself"));
    await cluster.clock.advance(10);
    expect(b.lines).toEqual(["a: for b alone"]);
    expect(a.lines.at(-1)).toBe("b: from b itself");
    expect(a.transport.counters().crowded).toBe(6);
    await cluster.clock.advance(10_000);
    expect(a.joined("b")).toBe(true);
    expect(heard.filter((what) => what === "a packet").length).toBe(0);
  });

  test("takes no address from anybody who has proven nothing", async () => {
    const cluster = new Cluster();
    const a = await cluster.node("a");
    const liar = await cluster.dial("a");
    liar.send(hello("z", { url: "ws://victim:1", peers: [["y", "ws://victim:2"]] }));
    await cluster.clock.advance(60_000);
    expect([...cluster.network.dials.keys()]).toEqual([origin("a")]);
    expect(a.paths.get("z")?.size).toBe(0);
  });

  test("prefers the path that was proven and closes the others to that node", async () => {
    const cluster = new Cluster();
    const a = await cluster.node("a");
    a.confirming = false;
    const heard: string[] = [];
    const dial = async (name: string): Promise<void> => {
      const socket = await cluster.dial("a", {
        message: (data) => void (typeof data === "string" || heard.push(name)),
        close: (code, reason) => void heard.push(`${name} ${code} ${reason}`),
      });
      socket.send(hello("z"));
      await cluster.clock.advance(10);
    };
    await dial("first");
    await dial("second");
    heard.length = 0;
    const [first, second] = [...a.paths.get("z") ?? []] as [Path, Path];
    a.transport.send("z", utf8("to the newest"));
    a.transport.send("z", utf8("to one of them"), first);
    await cluster.clock.advance(10);
    a.transport.confirm("z", first);
    a.transport.send("z", utf8("to the proven one"));
    a.transport.send("z", utf8("dropped"), second);
    await cluster.clock.advance(10);
    expect(heard).toEqual(["second", "first", "second 4009 another path was proven", "first"]);
    expect([...a.paths.get("z") ?? []]).toEqual([first]);
    first.close("over");
    expect(a.paths.get("z")?.size).toBe(1);
    await cluster.clock.advance(10);
    expect(a.paths.get("z")?.size).toBe(0);
    expect(heard.at(-1)).toBe("first 4009 over");
  });

  test("holds nothing after its stop: no socket, no timer, no attempt", async () => {
    const cluster = new Cluster();
    const a = await cluster.node("a", [{ url: origin("b") }, { url: origin("absent") }]);
    const b = await cluster.node("b");
    await cluster.clock.runUntil(() => a.joined("b") && b.joined("a"), 5_000);
    await cluster.dial("a");
    let stopped = 0;
    for (const { transport } of [a, b]) void transport.stop().then(() => stopped++);
    await cluster.clock.runUntil(() => stopped === 2, 2_000);
    await cluster.clock.advance(10);
    expect([cluster.network.openEnds, cluster.clock.timers]).toEqual([0, 0]);
    const late = await cluster.dial("a");
    await cluster.clock.advance(10);
    expect(late.send("anything")).toBe(false);
  });

  test("says which paths are private, and declares all of them private only when told so", async () => {
    const cluster = new Cluster();
    const a = await cluster.node("a", [{ url: origin("b") }]);
    const b = await cluster.node("b", [], { private: true });
    await cluster.clock.runUntil(() => a.joined("b") && b.joined("a"), 5_000);
    const [near] = [...a.paths.get("b") ?? []];
    const [far] = [...b.paths.get("a") ?? []];
    expect([near?.private, far?.private]).toEqual([false, true]);
    expect([a.transport.features.has("private"), b.transport.features.has("private")]).toEqual([false, true]);
  });

  test.each([
    ["a node without an address", { nodes: [{ nodeId: "b" }] }, "needs an address"],
    ["an address of another scheme", { nodes: [{ url: "http://b:1" }] }, "needs an address"],
    ["a channel name that is no path", { nodes: [], channelName: "cluster" }, "does not start with a slash"],
  ])("refuses %s", (_what, options: WsTransportOptions, message: string) => {
    const context = { nodeId: "a", clock: new SimClock(), random: seededRandom(1), logger: silentLogger };
    expect(() => new WsTransport(options, context)).toThrow(message);
  });
});
