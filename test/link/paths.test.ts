import { describe, expect, test } from "bun:test";
import { type Bytes, utf8 } from "../../src/lib/bytes.ts";
import { silentLogger } from "../../src/lib/logger.ts";
import { seededRandom } from "../../src/lib/random.ts";
import type { DownReason } from "../../src/link/contract.ts";
import { MESSAGES } from "../../src/link/contract.ts";
import { ClusterLinks } from "../../src/link/links.ts";
import { encodePacket, PACKET } from "../../src/link/packet.ts";
import { PathNetwork, PathTransport, type TestPath } from "../support/path_network.ts";
import { pendingCrypto } from "../support/pending_crypto.ts";
import { SimClock } from "../support/sim_clock.ts";
import { numbered, numberOf, TEST_PORT } from "../support/sim_links.ts";

interface Node {
  readonly end: readonly [string, PathTransport];
  readonly links: ClusterLinks;
  readonly got: number[];
  readonly ups: string[];
  readonly downs: DownReason[];
}

class World {
  readonly clock: SimClock = new SimClock({ pending: pendingCrypto });
  readonly network: PathNetwork = new PathNetwork(this.clock);
  readonly #nodes: Node[] = [];

  async node(nodeId: string): Promise<Node> {
    const transport = new PathTransport();
    const random = seededRandom(this.#nodes.length + 1);
    const links = new ClusterLinks(transport, { clusterName: "test", secret: "secret" }, {
      nodeId,
      clock: this.clock,
      random,
      logger: silentLogger,
    });
    const node: Node = { end: [nodeId, transport], links, got: [], ups: [], downs: [] };
    links.register(TEST_PORT, {
      up: (session) => void node.ups.push(session.nodeId),
      down: (_session, reason) => void node.downs.push(reason),
      frame: (_session, _lane, payload) => void node.got.push(numberOf(payload)),
    });
    this.#nodes.push(node);
    const started = links.start();
    await this.clock.advance(0);
    await started;
    return node;
  }

  async stop(): Promise<void> {
    for (const { links } of this.#nodes) {
      const stopped = links.stop();
      await this.clock.advance(10);
      await stopped;
    }
    expect(this.clock.timers).toBe(0);
  }
}

function send(from: Node, to: string, number: number): void {
  from.links.session(to)?.send(MESSAGES, TEST_PORT, numbered(number));
}

const resumed = ({ links }: Node): boolean => [...links.sessions()].every(({ space }) => space !== undefined);

describe("ways of their own", () => {
  test("a way that closes is replaced by the next, and the session goes on over it", async () => {
    const world = new World();
    const [a, b] = [await world.node("a"), await world.node("b")];
    let path = world.network.connect(a.end, b.end);
    await world.clock.runUntil(() => a.ups.length === 1 && b.ups.length === 1, 1_000);
    for (let round = 0; round < 5; round++) {
      send(a, "b", 2 * round);
      path.close("cut");
      send(a, "b", 2 * round + 1);
      await world.clock.advance(200);
      path = round % 2 === 0 ? world.network.connect(b.end, a.end) : world.network.connect(a.end, b.end);
      await world.clock.advance(500);
    }
    expect(b.got).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect([a.ups, b.ups, a.downs, b.downs]).toEqual([["b"], ["a"], [], []]);
    await world.stop();
  });

  test("of two ways opened at once one is kept, on both sides the same", async () => {
    for (let gapMs = 0; gapMs < 12; gapMs++) {
      const world = new World();
      const [a, b] = [await world.node("a"), await world.node("b")];
      world.network.connect(a.end, b.end);
      await world.clock.advance(gapMs);
      world.network.connect(b.end, a.end);
      await world.clock.advance(2_000);
      send(a, "b", 1);
      send(b, "a", 2);
      await world.clock.advance(100);
      expect({ gapMs, got: [b.got, a.got], ups: [a.ups, b.ups], downs: [...a.downs, ...b.downs] })
        .toEqual({ gapMs, got: [[1], [2]], ups: [["b"], ["a"]], downs: [] });
      await world.stop();
    }
  });

  test("a way that falls silent is closed when the session times out", async () => {
    const world = new World();
    const [a, b] = [await world.node("a"), await world.node("b")];
    const path = world.network.connect(a.end, b.end);
    await world.clock.runUntil(() => a.ups.length === 1 && b.ups.length === 1, 1_000);
    path.silent = true;
    if (path.other !== undefined) path.other.silent = true;
    await world.clock.advance(7_000);
    expect([a.downs, b.downs]).toEqual([["timeout"], ["timeout"]]);
    expect(path.open).toBe(false);
    world.network.connect(a.end, b.end);
    await world.clock.advance(2_000);
    expect([a.ups, b.ups]).toEqual([["b", "b"], ["a", "a"]]);
    await world.stop();
  });
});

describe("an outsider with a way of its own", () => {
  test("who claims a peer's id, again and again, neither keeps two nodes apart nor parts them", async () => {
    const world = new World();
    const [a, b] = [await world.node("a"), await world.node("b")];
    for (let round = 0; round < 60; round++) {
      world.network.intrude(a.end[1], "b");
      world.network.intrude(b.end[1], "a");
      if (round === 20) world.network.connect(a.end, b.end);
      await world.clock.advance(100);
      if (round > 40) send(a, "b", round);
    }
    await world.clock.advance(100);
    expect([a.ups, b.ups, a.downs, b.downs]).toEqual([["b"], ["a"], [], []]);
    expect(b.got).toEqual(Array.from({ length: 19 }, (_, index) => 41 + index));
    await world.stop();
  });

  test("who opens a way to each of two nodes and passes everything on reads and forges nothing", async () => {
    const world = new World();
    const [a, b] = [await world.node("a"), await world.node("b")];
    const [toA, toB] = [world.network.intrude(a.end[1], "b"), world.network.intrude(b.end[1], "a")];
    const passed: Bytes[] = [];
    const passOn = (from: TestPath, to: TestPath): void => {
      for (const packet of from.inbox.splice(0)) {
        passed.push(packet);
        to.send(packet);
      }
    };
    for (let round = 0; round < 200; round++) {
      passOn(toA, toB);
      passOn(toB, toA);
      await world.clock.advance(5);
      if (round > 100) a.links.session("b")?.send(MESSAGES, TEST_PORT, utf8("between you and me"));
    }
    const text = passed.map((packet) => new TextDecoder().decode(packet));
    expect(text.filter((packet) => packet.includes("between you and me"))).toEqual([]);
    expect(passed.filter((packet) => packet[0] === PACKET.plain)).toEqual([]);
    world.network.connect(a.end, b.end);
    await world.clock.advance(8_000);
    send(a, "b", 7);
    await world.clock.advance(100);
    expect(b.got.at(-1)).toBe(7);
    await world.stop();
  });

  test("who claims a peer's id and knows its tag cannot speak in an unsealed session", async () => {
    const world = new World();
    const [a, b] = [await world.node("a"), await world.node("b")];
    const heard: Bytes[] = [];
    const path = world.network.connect(a.end, b.end);
    const passed = path.send.bind(path);
    path.send = (packet) => {
      heard.push(packet.slice());
      passed(packet);
    };
    await world.clock.runUntil(() => a.ups.length === 1 && b.ups.length === 1, 1_000);
    expect(b.links.session("a")?.space?.sealed).toBe(false);
    const tag = heard.findLast((packet) => packet[0] === PACKET.plain)?.subarray(2, 6) as Bytes;
    const outsider = world.network.intrude(b.end[1], "a");
    for (let number = 0; number < 50; number++) {
      const payload = numbered(666);
      const fragment = {
        lane: MESSAGES,
        sequence: number % 5,
        port: TEST_PORT,
        total: 8,
        first: true,
        last: true,
        payload,
      };
      const plan = {
        ack: undefined,
        ping: true,
        end: number % 7 === 0 ? 0 : undefined,
        datagrams: [],
        fragments: [fragment],
      };
      outsider.send(
        encodePacket(PACKET.plain, 0, new DataView(tag.buffer, tag.byteOffset).getUint32(0), number, plan),
      );
    }
    await world.clock.advance(100);
    send(a, "b", 1);
    await world.clock.advance(100);
    expect(b.got).toEqual([1]);
    expect([a.downs, b.downs, resumed(b)]).toEqual([[], [], true]);
    await world.stop();
  });
});
