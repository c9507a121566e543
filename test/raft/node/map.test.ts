import { describe, expect, test } from "bun:test";
import { fromUtf8 } from "../../../src/lib/bytes.ts";
import type { StateChange } from "../../../src/raft/contract.ts";
import { SimRaft, type SimRaftNode } from "../../support/sim_raft.ts";

async function three(seed: number, options = {}): Promise<[SimRaft, SimRaftNode, SimRaftNode, SimRaftNode]> {
  const sim = new SimRaft(seed);
  const [a, b, c] = await sim.listed(["a", "b", "c"], options) as [SimRaftNode, SimRaftNode, SimRaftNode];
  await sim.led();
  return [sim, a, b, c];
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(() => "fulfilled", (error) => error.code);

describe("the replicated map", () => {
  test("compares and sets by revision, on whatever node it is asked", async () => {
    const [sim, a, b, c] = await three(31);
    expect(await sim.settle(a.map.compareAndSet("k", 0, "1"))).toEqual({ done: true, revision: 1 });
    expect(await sim.settle(b.map.compareAndSet("k", 0, "2"))).toEqual({ done: false, revision: 1 });
    expect(await sim.settle(c.map.compareAndSet("k", 1, "3"))).toEqual({ done: true, revision: 2 });
    expect(await sim.settle(a.map.compareAndSet("k", 2, null))).toEqual({ done: true, revision: 3 });
    expect(await sim.settle(b.map.get("k"))).toBeUndefined();
    expect(await sim.settle(b.map.delete("k"))).toBeUndefined();
    await sim.stop();
  });

  test("lists keys in order, by prefix and page", async () => {
    const [sim, a, b] = await three(32);
    for (const key of ["b/2", "a", "b/1", "b/3", "c"]) await sim.settle(a.map.set(key, key));
    expect(await sim.settle(b.map.keys())).toEqual(["a", "b/1", "b/2", "b/3", "c"]);
    expect(await sim.settle(b.map.keys({ prefix: "b/", limit: 2 }))).toEqual(["b/1", "b/2"]);
    expect(await sim.settle(b.map.keys({ prefix: "b/", after: "b/2" }))).toEqual(["b/3"]);
    await sim.stop();
  });

  test("refuses what is too large or no key, by name and limit, and changes nothing", async () => {
    const [sim, a] = await three(33);
    const refusals: [string, Uint8Array][] = [
      ["k".repeat(513), new Uint8Array(1)],
      ["k", new Uint8Array(1_048_577)],
      ["", new Uint8Array(1)],
      ["\ud800", new Uint8Array(1)],
    ];
    const codes: string[] = [];
    for (const [key, value] of refusals) codes.push(await sim.settle(codeOf(a.map.set(key, value))));
    expect(codes).toEqual(["too-large", "too-large", "malformed", "malformed"]);
    for (const value of [5, undefined, {}, new ArrayBuffer(3)] as unknown[]) {
      const wrong = value as string;
      expect(await sim.settle(codeOf(a.map.set("k", wrong)))).toBe("malformed");
      expect(await sim.settle(codeOf(a.map.compareAndSet("k", 0, wrong)))).toBe("malformed");
    }
    expect(a.map.revision).toBe(0);
    await sim.stop();
  });

  test("refuses a deadline that is none, and a lease without its options", async () => {
    const [sim, a] = await three(35);
    for (const timeoutMs of [0, -1, NaN, 2 ** 31]) {
      expect(await sim.settle(codeOf(a.map.set("k", "v", { timeoutMs })))).toBe("invalid-option");
      expect(await sim.settle(codeOf(a.map.get("k", { timeoutMs })))).toBe("invalid-option");
    }
    const lease = a.map.acquireLease("job", undefined as unknown as { ttlMs: number });
    expect(await sim.settle(codeOf(lease))).toBe("invalid-option");
    expect(a.map.revision).toBe(0);
    await sim.stop();
  });

  test("tells watchers every change in order, from the revision they name", async () => {
    const [sim, a, b, c] = await three(34);
    await sim.settle(a.map.set("x", "1"));
    await sim.settle(a.map.set("y", "2"));
    await sim.settle(b.map.get("x"));
    const stop = new AbortController();
    const seen: string[] = [];
    const note = ({ revision, key, value }: StateChange): void =>
      void seen.push(`${revision} ${key} ${value === null ? "-" : fromUtf8(value)}`);
    const watching = (async () => {
      for await (const change of b.map.watch({ afterRevision: 0, signal: stop.signal })) note(change);
    })();
    await sim.settle(c.map.set("x", "3"));
    await sim.settle(c.map.delete("y"));
    await sim.clock.runUntil(() => seen.length === 4, 5_000);
    stop.abort();
    await sim.settle(watching);
    expect(seen).toEqual(["1 x 1", "2 y 2", "3 x 3", "4 y -"]);
    await sim.stop();
    expect(sim.clock.timers).toBe(0);
  });

  test("a watcher that asks for changes before a snapshot is told that they are gone", async () => {
    const [sim, a, b, c] = await three(35);
    await c.kill();
    await sim.led([a, b]);
    await sim.settle(a.map.set("x", "1"));
    await c.start();
    await sim.led();
    await sim.settle(c.map.get("x"));
    const watch = c.map.watch({ afterRevision: 0 });
    const first = await sim.settle(watch.next().then(() => "change", (error) => error.code));
    expect(["change", "compacted"]).toContain(first);
    // What a newly started node was given as a snapshot is not in its history.
    expect(first).toBe("compacted");
    await sim.stop();
  });

  test("without a leader calls fail fast or at their deadline, and reads that may be stale go on", async () => {
    const [sim, a, b, c] = await three(36);
    await sim.settle(a.map.set("k", "v"));
    await sim.settle(b.map.get("k"));
    sim.hub.partition([["a"], ["b"], ["c"]]);
    await sim.clock.runUntil(() => [a, b, c].every(({ raft }) => raft.leaderId === null), 20_000);
    const before = sim.clock.now();
    expect(await codeOf(b.map.set("k", "w", { waitForLeader: false }))).toBe("no-leader");
    expect(await codeOf(b.map.get("k", { waitForLeader: false }))).toBe("no-leader");
    expect(sim.clock.now()).toBe(before);
    expect(await sim.settle(codeOf(b.map.set("k", "w", { timeoutMs: 700 })))).toBe("no-leader");
    expect(await sim.settle(codeOf(b.map.get("k", { timeoutMs: 700 })))).toBe("no-leader");
    const found = await b.map.get("k", { stale: true });
    expect(fromUtf8(found?.value ?? new Uint8Array())).toBe("v");
    const abort = new AbortController();
    const aborted = codeOf(b.map.set("k", "w", { signal: abort.signal }));
    abort.abort();
    expect(await aborted).toBe("aborted");
    sim.hub.heal();
    await sim.led();
    expect(await sim.settle(c.map.get("k")).then((value) => fromUtf8(value?.value ?? new Uint8Array()))).toBe(
      "v",
    );
    await sim.stop();
    expect(await codeOf(Promise.resolve().then(() => sim.nodes[0]?.map.get("k")))).toBe("not-running");
  });

  test("a proposal whose leader is cut off takes effect once", async () => {
    const [sim, a, b, c] = await three(37);
    const leader = await sim.led();
    const [follower, other] = [a, b, c].filter((node) => node !== leader) as [SimRaftNode, SimRaftNode];
    const writes = [1, 2, 3, 4, 5].map((each) => follower.map.set(`k${each}`, "v"));
    sim.hub.partition([[leader.nodeId], [follower.nodeId, other.nodeId]]);
    await sim.settle(Promise.all(writes));
    expect(follower.map.revision).toBe(5);
    sim.hub.heal();
    await sim.led();
    await sim.settle(leader.map.get("k1"));
    expect(leader.map.revision).toBe(5);
    await sim.stop();
  });
});

describe("leases", () => {
  test("are held by one, end when nobody renews them, and have growing tokens", async () => {
    const [sim, a, b] = await three(41);
    const first = await sim.settle(a.map.acquireLease("job", { ttlMs: 2_000 }));
    expect(await sim.settle(b.map.acquireLease("job", { ttlMs: 2_000 }))).toBeUndefined();
    await sim.clock.advance(1_500);
    expect(await sim.settle(first?.renew() ?? Promise.resolve(false))).toBe(true);
    await sim.clock.advance(1_500);
    expect(await sim.settle(b.map.acquireLease("job", { ttlMs: 2_000 }))).toBeUndefined();
    await sim.clock.advance(2_000);
    const second = await sim.settle(b.map.acquireLease("job", { ttlMs: 2_000 }));
    expect(second?.token ?? 0).toBeGreaterThan(first?.token ?? Infinity);
    expect(await sim.settle(first?.renew() ?? Promise.resolve(true))).toBe(false);
    expect(await sim.settle(first?.release() ?? Promise.resolve(true))).toBe(false);
    expect(await sim.settle(second?.release() ?? Promise.resolve(false))).toBe(true);
    expect(await sim.settle(a.map.acquireLease("job", { ttlMs: 2_000 }))).toBeDefined();
    await sim.stop();
  });

  test("outlive their leader with their full time", async () => {
    const [sim, a, b, c] = await three(42, { disk: true });
    const leader = await sim.led();
    const [holder, other] = [a, b, c].filter((node) => node !== leader) as [SimRaftNode, SimRaftNode];
    const lease = await sim.settle(holder.map.acquireLease("job", { ttlMs: 3_000 }));
    await sim.clock.advance(1_000);
    await leader.kill();
    await sim.led([holder, other]);
    expect(await sim.settle(other.map.acquireLease("job", { ttlMs: 3_000 }))).toBeUndefined();
    expect(await sim.settle(lease?.renew() ?? Promise.resolve(false))).toBe(true);
    await sim.clock.advance(4_000);
    expect(await sim.settle(other.map.acquireLease("job", { ttlMs: 3_000 }))).toBeDefined();
    await sim.stop();
  });
});
