import { describe, expect, test } from "bun:test";
import { randomBelow, seededRandom } from "../../src/lib/random.ts";
import { scale } from "../support/scale.ts";
import { STAMP_MAX } from "../../src/directory/stamp.ts";
import { decodeFrame, encodeFrame } from "../../src/directory/wire.ts";
import type { FakeSession } from "./fake_links.ts";
import { agree, DETAILS, type Node, type World, world } from "./nodes.ts";

/** For each id: every node names the same owner, and exactly that node has it as its own. */
function settled({ nodes }: World, ids: readonly string[]): boolean {
  return ids.every((id) => {
    const owners = new Set(nodes.map(({ directory }) => directory.lookup(id)?.nodeId));
    const holders = nodes.filter(({ directory }) => directory.localConnection(id) !== undefined);
    return owners.size === 1 && holders.length === 1 && owners.has(holders[0]?.nodeId);
  });
}

function snapshotsSent({ nodes }: World): number {
  return nodes.reduce((sum, { directory }) => sum + directory.stats().snapshotsSent, 0);
}

/** Nobody refetches for ever: nothing is asked for or sent again in the time of many heartbeats. */
async function staysQuiet(it: World): Promise<void> {
  const before = snapshotsSent(it);
  await it.clock.advance(20_000);
  expect(snapshotsSent(it)).toBe(before);
  for (const { directory } of it.nodes) {
    expect(directory.stats().repairs).toBe(0);
    expect(directory.verify()).toBe(0);
  }
}

describe("double claims", () => {
  test("of 1,000 ids claimed by two nodes at one moment, each ends with one owner everywhere", async () => {
    const it = world([0, 3, -40, 0]);
    const [a, b, c, d] = it.nodes as [Node, Node, Node, Node];
    const random = seededRandom(1);
    it.network.delayMs = () => 1 + randomBelow(random, 30);
    it.network.joinAll();
    await it.clock.advance(200);
    const ids = Array.from({ length: 1_000 }, (_, index) => `race-${index}`);
    for (const [index, id] of ids.entries()) {
      const pair = [[a, b], [b, c], [c, a], [d, a]][index % 4] as Node[];
      if (random.float() < 0.5) pair.reverse();
      for (const node of pair) node.register(id);
      if (index % 25 === 0) await it.clock.advance(1 + randomBelow(random, 4));
    }
    await it.clock.runUntil(() => settled(it, ids) && agree(it));
    expect(it.nodes.reduce((sum, { lost }) => sum + lost.length, 0)).toBe(1_000);
    expect(a.directory.total).toBe(1_000);
    await staysQuiet(it);
  });

  test("of 1,000 ids claimed on both sides of a partition, each ends with one owner when it heals", async () => {
    const it = world([0, 20, -20, 5]);
    const [a, b, c, d] = it.nodes as [Node, Node, Node, Node];
    it.network.joinAll();
    await it.clock.advance(50);
    for (const near of [a, b]) for (const far of [c, d]) it.network.cut(near.nodeId, far.nodeId);
    const random = seededRandom(2);
    const ids = Array.from({ length: 1_000 }, (_, index) => `split-${index}`);
    for (const id of ids) {
      const claims = [random.float() < 0.5 ? a : b, random.float() < 0.5 ? c : d];
      if (random.float() < 0.5) claims.reverse();
      for (const node of claims) node.register(id);
      if (random.float() < 0.1) await it.clock.advance(1);
    }
    await it.clock.advance(50);
    expect(it.nodes.flatMap(({ lost }) => lost)).toEqual([]);
    it.network.joinAll();
    await it.clock.runUntil(() => settled(it, ids) && agree(it));
    expect(it.nodes.reduce((sum, { lost }) => sum + lost.length, 0)).toBe(1_000);
    await staysQuiet(it);
  });

  test("equal stamps are settled by the higher nodeId", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    await it.clock.advance(5);
    b.register("x");
    a.register("x");
    expect(a.directory.lookup("x")?.stamp).toBe(b.directory.lookup("x")?.stamp as number);
    await it.clock.advance(5);
    expect(a.directory.lookup("x")?.nodeId).toBe("b");
    expect(b.directory.lookup("x")?.nodeId).toBe("b");
    expect(a.lost.map(({ connectionId }) => connectionId)).toEqual(["x"]);
    expect(b.lost).toEqual([]);
  });

  test("a client that reconnects elsewhere belongs there, though that node's clock is far behind", async () => {
    const it = world([30_000, 0, 0]);
    const [a, b, c] = it.nodes as [Node, Node, Node];
    it.network.joinAll();
    await it.clock.advance(5);
    a.register("x");
    await it.clock.advance(5);
    b.register("x");
    await it.clock.advance(5);
    for (const { directory } of it.nodes) expect(directory.lookup("x")?.nodeId).toBe("b");
    expect(a.lost.length).toBe(1);
    // The old socket's close comes late and finds nothing to take away.
    expect(a.directory.unregister("x")).toBe(false);
    await it.clock.advance(5);
    expect(c.directory.lookup("x")?.nodeId).toBe("b");
    expect(agree(it)).toBe(true);
  });

  test("a claim made after another was seen to go counts at once where that is not known yet", async () => {
    const it = world([30_000, 0, 0]);
    const [a, b, c] = it.nodes as [Node, Node, Node];
    it.network.joinAll();
    a.register("x");
    await it.clock.advance(5);
    (a.links.session("c") as FakeSession).hold();
    a.directory.unregister("x");
    await it.clock.advance(5);
    b.register("x");
    await it.clock.advance(5);
    expect(c.directory.lookup("x")?.nodeId).toBe("b");
  });

  test("a claim an hour ahead moves no clock, and is still topped by a client that reconnects", async () => {
    const it = world([3_600_000, 0, 0]);
    const [a, b, c] = it.nodes as [Node, Node, Node];
    it.network.joinAll();
    await it.clock.advance(5);
    a.register("x");
    await it.clock.advance(5);
    b.register("y");
    b.register("x");
    await it.clock.advance(5);
    for (const { directory } of it.nodes) expect(directory.lookup("x")?.nodeId).toBe("b");
    const [x, y] = [c.directory.lookup("x")?.stamp ?? 0, c.directory.lookup("y")?.stamp ?? 0];
    expect((x - y) / 4_096).toBeGreaterThan(3_500_000);
    expect(agree(it)).toBe(true);
  });

  test("a claim with the last stamp there is cannot be topped, and the loser is told after it has registered", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    await it.clock.advance(5);
    (b.links.session("a") as FakeSession).tamper = (frame) => {
      const decoded = decodeFrame(frame);
      if (decoded.kind !== "changes") return frame;
      const claim = { id: "x", handle: 1, stamp: STAMP_MAX };
      return encodeFrame({ ...decoded, changes: [{ kind: "put", claim }] });
    };
    b.register("x");
    await it.clock.advance(5);
    const { handle } = a.directory.register("x", DETAILS);
    expect(a.lost).toEqual([]);
    await it.clock.advance(0);
    expect(a.lost.map((connection) => connection.handle)).toEqual([handle]);
    expect(a.directory.lookup("x")?.nodeId).toBe("b");
    a.register("y");
    await it.clock.advance(5);
    expect(b.directory.lookup("y")?.nodeId).toBe("a");
    expect(it.network.faults).toEqual([]);
  });

  test("the loser's removal never removes the winner, whichever way frames take", async () => {
    const random = seededRandom(3);
    for (let round = 0; round < scale(30, 300); round++) {
      const it = world([0, 0, 0]);
      const [a, b] = it.nodes as [Node, Node];
      it.network.delayMs = () => randomBelow(random, 40);
      it.network.joinAll();
      await it.clock.advance(100);
      a.register("x");
      await it.clock.advance(randomBelow(random, 60));
      b.register("x");
      await it.clock.advance(randomBelow(random, 60));
      a.directory.unregister("x");
      await it.clock.advance(300);
      for (const { directory } of it.nodes) expect(directory.lookup("x")?.nodeId).toBe("b");
    }
  });

  test("random claims, removals, cuts and joins end in agreement", async () => {
    for (let seed = 0; seed < scale(12, 200); seed++) {
      const random = seededRandom(1_000 + seed);
      const it = world([0, 50, -50, 500]);
      it.network.delayMs = () => randomBelow(random, 25);
      it.network.joinAll();
      const pick = (): Node => it.nodes[randomBelow(random, it.nodes.length)] as Node;
      for (let step = 0; step < 300; step++) {
        const [node, other] = [pick(), pick()];
        const id = `id-${randomBelow(random, 40)}`;
        const roll = random.float();
        if (roll < 0.55) node.register(id);
        else if (roll < 0.8) node.directory.unregister(id);
        else if (node !== other) {
          if (roll < 0.87) it.network.cut(node.nodeId, other.nodeId);
          else it.network.join(node.nodeId, other.nodeId);
        }
        if (random.float() < 0.4) await it.clock.advance(randomBelow(random, 20));
      }
      it.network.joinAll();
      const ids = () =>
        it.nodes.flatMap(({ directory }) => directory.list({ limit: 100 })).map((each) => each.connectionId);
      await it.clock.runUntil(() => agree(it) && settled(it, ids()));
      expect(it.network.faults).toEqual([]);
      await staysQuiet(it);
    }
  });
});
