import { describe, expect, test } from "bun:test";
import { DIRECTORY_PORT } from "../../src/directory/contract.ts";
import { LANE_PENDING_BYTES_MAX, LOG_BYTES_MAX } from "../../src/directory/options.ts";
import { decodeFrame, encodeFrame } from "../../src/directory/wire.ts";
import { CONTROL } from "../../src/link/contract.ts";
import { randomBelow, seededRandom } from "../../src/lib/random.ts";
import type { FakeSession } from "./fake_links.ts";
import { agree, type Node, type World, world } from "./nodes.ts";

/** The session by which `from` sends to `to`. */
function way(from: Node, to: Node): FakeSession {
  return from.links.session(to.nodeId) as FakeSession;
}

function fill(node: Node, count: number, prefix = "x"): void {
  for (let index = 0; index < count; index++) node.register(`${prefix}-${index}`);
}

/** Registers and unregisters at random on `node`, a few a ms. */
async function churn(it: World, node: Node, ms: number, seed: number): Promise<void> {
  const random = seededRandom(seed);
  for (let passed = 0; passed < ms; passed++) {
    for (let count = 0; count < 5; count++) {
      const id = `x-${randomBelow(random, 30_000)}`;
      if (random.float() < 0.5) node.register(id);
      else node.directory.unregister(id);
    }
    await it.clock.advance(1);
  }
}

describe("announcements", () => {
  test("registrations of one turn travel in one frame", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    await it.clock.advance(5);
    const before = way(a, b).sentFrames;
    fill(a, 300);
    await it.clock.advance(5);
    expect(way(a, b).sentFrames).toBe(before + 1);
    expect(b.directory.countOf("a")).toBe(300);
  });

  test("many registrations in one turn are sent in frames of about 32 KiB, a bounded part at a time", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    await it.clock.advance(5);
    fill(a, 20_000);
    await it.clock.runUntil(() => agree(it), 30_000);
    expect(way(a, b).sentBytes / way(a, b).sentFrames).toBeGreaterThan(8_000);
    expect(way(a, b).mostPendingBytes).toBeLessThan(LANE_PENDING_BYTES_MAX + 40_000);
    expect(b.directory.stats().repairs).toBe(0);
  });
});

describe("snapshots", () => {
  test("a snapshot taken while entries change ends in what the owner has", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.delayMs = () => 15;
    fill(a, 30_000);
    it.network.joinAll();
    await churn(it, a, 120, 1);
    await it.clock.runUntil(() => agree(it));
    const ids = Array.from({ length: 30_000 }, (_, index) => `x-${index}`);
    const handleOn = ({ directory }: Node) => (id: string) => directory.lookup(id)?.handle;
    expect(ids.map(handleOn(b))).toEqual(ids.map(handleOn(a)));
    expect(b.directory.stats().repairs).toBe(0);
    expect(a.directory.stats().snapshotsSent).toBe(1);
  });

  test("what was known before a repeated snapshot and after it is known throughout", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    fill(a, 20_000);
    it.network.delayMs = () => 10;
    it.network.joinAll();
    await it.clock.runUntil(() => agree(it));
    way(b, a).send(CONTROL, DIRECTORY_PORT, encodeFrame({ kind: "snapshot-request" }));
    await it.clock.runUntil(() => a.directory.stats().snapshotsSent === 2);
    for (let round = 0; b.directory.stats().snapshotsReceived < 2; round++) {
      for (let index = round % 97; index < 20_000; index += 97) {
        expect(b.directory.lookup(`x-${index}`)?.nodeId).toBe("a");
      }
      expect(b.directory.countOf("a")).toBe(20_000);
      await it.clock.advance(3);
    }
    expect(agree(it)).toBe(true);
  });

  test("entries that a repeated snapshot does not mention are removed at its end", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    fill(a, 100);
    await it.clock.advance(5);
    way(a, b).tamper = () => undefined;
    for (let index = 0; index < 50; index++) a.directory.unregister(`x-${index}`);
    await it.clock.advance(5);
    way(a, b).tamper = (frame) => frame;
    expect(b.directory.lookup("x-0")?.nodeId).toBe("a");
    await it.clock.runUntil(() => agree(it));
    expect(b.directory.lookup("x-0")).toBeUndefined();
    expect(b.directory.lookup("x-50")?.nodeId).toBe("a");
  });

  test("snapshots that begin again and again before their end keep what was known", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    fill(a, 100);
    await it.clock.advance(5);
    const begin = encodeFrame({ kind: "snapshot-begin", number: a.directory.ownState().number });
    for (let count = 0; count < 5; count++) way(a, b).send(CONTROL, DIRECTORY_PORT, begin);
    await it.clock.advance(5);
    expect(b.directory.countOf("a")).toBe(100);
    for (let count = 0; count < 1_000; count++) way(a, b).send(CONTROL, DIRECTORY_PORT, begin);
    await it.clock.advance(5);
    expect(b.directory.verify()).toBe(0);
  });
});

describe("falling behind", () => {
  test("a peer that stalls for a while continues from the log, without a snapshot", async () => {
    const it = world([0, 0, 0]);
    const [a, b, c] = it.nodes as [Node, Node, Node];
    it.network.joinAll();
    fill(a, 1_000);
    await it.clock.advance(10);
    way(a, b).hold();
    for (let round = 0; round < 10; round++) {
      fill(a, 1_000, `round-${round}`);
      await it.clock.advance(10);
    }
    expect(way(a, b).pendingBytes(CONTROL)).toBeGreaterThan(100_000);
    expect(c.directory.countOf("a")).toBe(11_000);
    expect(b.directory.countOf("a")).toBe(1_000);
    way(a, b).release();
    await it.clock.runUntil(() => agree(it));
    expect(a.directory.stats().snapshotsSent).toBe(2);
  });

  test("a peer that stalls for long holds a bounded queue, and catches up by one snapshot", async () => {
    const it = world([0, 0, 0]);
    const [a, b, c] = it.nodes as [Node, Node, Node];
    it.network.joinAll();
    await it.clock.advance(10);
    way(a, b).hold();
    const name = "a-connection-with-quite-a-long-name";
    for (let round = 0; round * 1_000 * name.length < 2 * LOG_BYTES_MAX; round++) {
      for (let index = 0; index < 1_000; index++) {
        if (index % 5 === 0) a.directory.unregister(`${name}-${(round + index) % 1_500}`);
        else a.register(`${name}-${(round * 700 + index) % 1_500}`);
      }
      await it.clock.advance(25);
    }
    expect(way(a, b).mostPendingBytes).toBeLessThan(LANE_PENDING_BYTES_MAX + 40_000);
    expect(c.directory.digestOf("a")).toEqual(a.directory.ownState().digest);
    way(a, b).release();
    await it.clock.runUntil(() => agree(it));
    expect(a.directory.stats().snapshotsSent).toBe(3);
    expect(b.directory.stats().repairs).toBe(0);
  });
});

describe("repair", () => {
  test("a lost change is noticed at the next one and mended by one snapshot", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    fill(a, 100);
    await it.clock.advance(5);
    way(a, b).tamper = () => undefined;
    a.register("lost");
    await it.clock.advance(5);
    way(a, b).tamper = (frame) => frame;
    for (let count = 0; count < 10; count++) {
      a.register(`later-${count}`);
      await it.clock.advance(0.5);
    }
    await it.clock.runUntil(() => agree(it));
    expect(b.directory.lookup("lost")?.nodeId).toBe("a");
    expect(b.directory.stats().repairs).toBe(1);
    expect(a.directory.stats().snapshotsSent).toBe(2);
  });

  test("silent divergence is found by the heartbeat, mended once, and then nobody asks again", async () => {
    const it = world([0, 0, 0]);
    const [a, b, c] = it.nodes as [Node, Node, Node];
    it.network.joinAll();
    fill(a, 100);
    await it.clock.advance(5);
    way(a, b).tamper = (frame) => {
      const decoded = decodeFrame(frame);
      if (decoded.kind !== "changes") return frame;
      return encodeFrame({
        ...decoded,
        changes: decoded.changes.map((change) =>
          change.kind === "put"
            ? { kind: "put", claim: { ...change.claim, handle: change.claim.handle + 7 } }
            : change
        ),
      });
    };
    a.register("wrong");
    await it.clock.advance(5);
    way(a, b).tamper = (frame) => frame;
    expect(b.directory.lookup("wrong")?.handle).not.toBe(a.directory.lookup("wrong")?.handle as number);
    await it.clock.runUntil(() => agree(it), 2_100);
    expect(b.directory.lookup("wrong")?.handle).toBe(a.directory.lookup("wrong")?.handle as number);
    await it.clock.advance(60_000);
    expect(b.directory.stats().repairs).toBe(1);
    expect(c.directory.stats().repairs).toBe(0);
    expect(a.directory.stats().snapshotsSent).toBe(3);
  });

  test("a peer whose digest never agrees is asked more and more rarely", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    fill(a, 10);
    await it.clock.advance(5);
    way(a, b).tamper = (frame) => {
      const decoded = decodeFrame(frame);
      if (decoded.kind !== "heartbeat" && decoded.kind !== "snapshot-end") return frame;
      const { number, digest } = decoded.state;
      return encodeFrame({
        kind: decoded.kind,
        state: { number, digest: { ...digest, low: digest.low ^ 1 } },
      });
    };
    await it.clock.advance(2_000 * 200);
    expect(b.directory.stats().repairs).toBeGreaterThan(3);
    expect(b.directory.stats().repairs).toBeLessThan(9);
    expect(b.directory.countOf("a")).toBe(10);
  });

  test("changes and heartbeats on a busy session never cause a repair", async () => {
    const it = world([0, 0, 0]);
    const [a, b, c] = it.nodes as [Node, Node, Node];
    const random = seededRandom(9);
    it.network.delayMs = () => 5 + randomBelow(random, 50);
    it.network.joinAll();
    await churn(it, a, 4_500, 2);
    await it.clock.runUntil(() => agree(it));
    for (const { directory } of [a, b, c]) expect(directory.stats().repairs).toBe(0);
  });
});
