import { describe, expect, test } from "bun:test";
import type { FlotillaError } from "../../src/lib/errors.ts";
import { decodeFrame } from "../../src/directory/wire.ts";
import { LANE_PENDING_BYTES_MAX, NOBODY_IDS_MAX, QUESTIONS_MAX } from "../../src/directory/options.ts";
import type { FakeSession } from "./fake_links.ts";
import { agree, DETAILS, type Node, type World, world } from "./nodes.ts";

/** Joined nodes; the announcements of the first are kept back until `letGo`, its answers are not. */
async function withLateAnnouncements(): Promise<{ it: World; a: Node; b: Node; letGo: () => void }> {
  const it = world([0, 0, 0]);
  const [a, b] = it.nodes as [Node, Node];
  it.network.joinAll();
  await it.clock.advance(5);
  const sessions = ["b", "c"].map((nodeId) => a.links.session(nodeId) as FakeSession);
  for (const session of sessions) session.pendingBytes = () => LANE_PENDING_BYTES_MAX;
  return { it, a, b, letGo: () => sessions.forEach((session) => session.pendingBytes = () => 0) };
}

/** Counts the questions that arrive at a node. */
function countQuestions(from: Node, to: Node): { asked: number } {
  const count = { asked: 0 };
  (from.links.session(to.nodeId) as FakeSession).tamper = (frame) => {
    if (decodeFrame(frame).kind === "ask") count.asked++;
    return frame;
  };
  return count;
}

/** What a promise came to, once virtual time has passed. */
function outcome<Value>(promise: Promise<Value>): { value?: Value; code?: string; done: boolean } {
  const result: { value?: Value; code?: string; done: boolean } = { done: false };
  promise.then(
    (value) => Object.assign(result, { value, done: true }),
    (error: FlotillaError) => Object.assign(result, { code: error.code, done: true }),
  );
  return result;
}

describe("unknown connections", () => {
  test("are asked for at the peers, and the owner's answer counts at once", async () => {
    const { it, a, b, letGo } = await withLateAnnouncements();
    const { handle } = a.directory.register("x", DETAILS);
    await it.clock.advance(5);
    expect(b.directory.lookup("x")).toBeUndefined();
    const found = outcome(b.directory.resolve("x"));
    await it.clock.advance(5);
    expect(found.value?.nodeId).toBe("a");
    expect(found.value?.handle).toBe(handle);
    expect(b.directory.lookup("x")?.handle).toBe(handle);
    letGo();
    await it.clock.runUntil(() => agree(it));
    await it.clock.advance(10_000);
    for (const { directory } of it.nodes) expect(directory.stats().repairs).toBe(0);
  });

  test("are found although another peer says no first", async () => {
    const { it, a, b } = await withLateAnnouncements();
    a.register("x");
    (a.links.session("b") as FakeSession).hold();
    const found = outcome(b.directory.resolve("x"));
    await it.clock.advance(100);
    expect(found.done).toBe(false);
    (a.links.session("b") as FakeSession).release();
    await it.clock.advance(0);
    expect(found.value?.nodeId).toBe("a");
  });

  test("an answer that is overtaken by a removal leaves nothing behind", async () => {
    const { it, a, b, letGo } = await withLateAnnouncements();
    a.register("x");
    const found = outcome(b.directory.resolve("x"));
    await it.clock.advance(5);
    expect(found.value?.nodeId).toBe("a");
    a.directory.unregister("x");
    letGo();
    await it.clock.runUntil(() => b.directory.lookup("x") === undefined && agree(it));
    await it.clock.advance(10_000);
    for (const { directory } of it.nodes) expect(directory.stats().repairs).toBe(0);
  });

  test("nobody's are known as such when all peers have said no, and for a second after", async () => {
    const it = world([0, 0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    await it.clock.advance(5);
    const count = countQuestions(a, b);
    const first = outcome(a.directory.resolve("x"));
    await it.clock.advance(3);
    expect(first).toEqual({ done: true, value: undefined });
    const second = outcome(a.directory.resolve("x"));
    await it.clock.advance(0);
    expect(second.done).toBe(true);
    expect(count.asked).toBe(1);
    await it.clock.advance(1_000);
    outcome(a.directory.resolve("x"));
    await it.clock.advance(3);
    expect(count.asked).toBe(2);
  });

  test("concurrent misses share one question", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    await it.clock.advance(5);
    const count = countQuestions(a, b);
    const all = Array.from({ length: 100 }, () => outcome(a.directory.resolve("x")));
    await it.clock.advance(5);
    expect(all.every(({ done }) => done)).toBe(true);
    expect(count.asked).toBe(1);
  });

  test("a registration that comes later clears what was remembered, and ends a question", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    await it.clock.advance(5);
    outcome(a.directory.resolve("x"));
    await it.clock.advance(5);
    b.register("x");
    await it.clock.advance(5);
    b.directory.unregister("x");
    await it.clock.advance(5);
    const count = countQuestions(a, b);
    const again = outcome(a.directory.resolve("x"));
    a.register("x");
    await it.clock.advance(0);
    expect(again.value?.local).toBe(true);
    await it.clock.advance(5);
    expect(count.asked).toBe(1);
  });

  test("peers that go down or never answer are not waited for", async () => {
    const it = world([0, 0, 0]);
    const [a, b, c] = it.nodes as [Node, Node, Node];
    it.network.joinAll();
    await it.clock.advance(5);
    for (const peer of [b, c]) (a.links.session(peer.nodeId) as FakeSession).hold();
    const cut = outcome(a.directory.resolve("x"));
    await it.clock.advance(100);
    it.network.cut("a", "b");
    expect(cut.done).toBe(false);
    it.network.cut("a", "c");
    await it.clock.advance(0);
    expect(cut.done).toBe(true);
    it.network.join("a", "b");
    (a.links.session("b") as FakeSession).hold();
    const silent = outcome(a.directory.resolve("y"));
    await it.clock.advance(999);
    expect(silent.done).toBe(false);
    await it.clock.advance(1);
    expect(silent).toEqual({ done: true, value: undefined });
  });

  test("a caller's signal ends its own wait and no other", async () => {
    const it = world([0, 0]);
    const [a] = it.nodes as [Node];
    it.network.joinAll();
    (a.links.session("b") as FakeSession).hold();
    const abort = new AbortController();
    const [first, second] = [
      outcome(a.directory.resolve("x", abort.signal)),
      outcome(a.directory.resolve("x")),
    ];
    abort.abort();
    await it.clock.advance(10);
    expect([first.done, second.done]).toEqual([true, false]);
    (a.links.session("b") as FakeSession).release();
    await it.clock.advance(10);
    expect(second.done).toBe(true);
  });

  test("are not asked for with the option fail, nor by a node that is alone", async () => {
    const it = world([0, 0], { unknownConnection: "fail" });
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    await it.clock.advance(5);
    const count = countQuestions(a, b);
    expect(await a.directory.resolve("x")).toBeUndefined();
    await it.clock.advance(5);
    expect(count.asked).toBe(0);
    const [alone] = world([0]).nodes as [Node];
    expect(await alone.directory.resolve("x")).toBeUndefined();
  });

  test("above the bound of questions the others are answered at once", async () => {
    const it = world([0, 0]);
    const [a] = it.nodes as [Node];
    it.network.joinAll();
    (a.links.session("b") as FakeSession).hold();
    const waits = Array.from(
      { length: QUESTIONS_MAX + 1 },
      (_, index) => outcome(a.directory.resolve(`x-${index}`)),
    );
    await it.clock.advance(0);
    expect(waits.filter(({ done }) => done).length).toBe(1);
    expect(a.directory.stats().questionsRefused).toBe(1);
    await it.clock.advance(1_000);
    expect(waits.every(({ done }) => done)).toBe(true);
    expect(NOBODY_IDS_MAX).toBe(10_000);
  });
});

describe("describe", () => {
  test("gives what the owner keeps, near and far", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    const details = { ...DETAILS, endpoint: "/chat", tags: { room: "ü" } };
    a.directory.register("x", details);
    const near = outcome(a.directory.describe("x"));
    await it.clock.advance(5);
    const far = outcome(b.directory.describe("x"));
    await it.clock.advance(5);
    expect(near.value).toEqual({ nodeId: "a", details });
    expect(far.value).toEqual({ nodeId: "a", details });
  });

  test("gives undefined for nobody's connection, and for one that its owner no longer has", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    a.register("x");
    await it.clock.advance(5);
    const nobody = outcome(b.directory.describe("y"));
    const gone = outcome(b.directory.describe("x"));
    a.directory.unregister("x");
    await it.clock.advance(10);
    expect(nobody).toEqual({ done: true, value: undefined });
    expect(gone).toEqual({ done: true, value: undefined });
  });

  test("rejects when the owner does not answer, goes down, or the caller gives up", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    a.register("x");
    await it.clock.advance(5);
    (b.links.session("a") as FakeSession).hold();
    const abort = new AbortController();
    const late = outcome(b.directory.describe("x", { timeoutMs: 200 }));
    const aborted = outcome(b.directory.describe("x", { signal: abort.signal }));
    const cut = outcome(b.directory.describe("x"));
    await it.clock.advance(0);
    abort.abort();
    await it.clock.advance(200);
    it.network.cut("a", "b");
    await it.clock.advance(0);
    expect([late.code, aborted.code, cut.code]).toEqual(["timeout", "aborted", "node-lost"]);
    expect(it.clock.timers).toBeLessThan(4);
  });
});
