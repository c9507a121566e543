import { describe, expect, test } from "bun:test";
import { CONTROL, MESSAGES } from "../../src/link/contract.ts";
import { DIRECTORY_PORT } from "../../src/directory/contract.ts";
import { encodeFrame } from "../../src/directory/wire.ts";
import { FlotillaError } from "../../src/lib/errors.ts";
import { agree, DETAILS, type Node, world } from "./nodes.ts";

describe("directory", () => {
  test("a registration is known on every node after one way", async () => {
    const it = world([0, 0, 0]);
    const [a, b, c] = it.nodes as [Node, Node, Node];
    it.network.joinAll();
    await it.clock.advance(10);
    const { handle } = a.directory.register("x", DETAILS);
    expect(a.directory.lookup("x")?.local).toBe(true);
    await it.clock.advance(1);
    for (const { directory } of [b, c]) {
      const route = directory.lookup("x");
      expect(route?.nodeId).toBe("a");
      expect(route?.handle).toBe(handle);
      expect(route?.local).toBe(false);
    }
    expect(a.directory.localByHandle(handle)).toBe("x");
    expect(b.directory.localByHandle(handle)).toBeUndefined();
    expect(a.directory.unregister("x")).toBe(true);
    await it.clock.advance(1);
    for (const { directory } of it.nodes) expect(directory.lookup("x")).toBeUndefined();
  });

  test("a node that joins learns what was registered before", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    for (let count = 0; count < 3_000; count++) a.register(`x-${count}`);
    it.network.joinAll();
    expect(b.directory.synced).toBe(false);
    await it.clock.advance(5);
    expect(b.directory.synced).toBe(true);
    expect(b.directory.countOf("a")).toBe(3_000);
    expect(b.directory.total).toBe(3_000);
    expect(agree(it)).toBe(true);
  });

  test("when a node goes down its routes and counts are gone before the next service hears of it", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    const seen: unknown[] = [];
    b.links.register(99, {
      down: () => void seen.push([b.directory.countOf("a"), b.directory.lookup("x-7"), b.directory.total]),
    });
    for (let count = 0; count < 1_000; count++) a.register(`x-${count}`);
    b.register("y");
    it.network.joinAll();
    await it.clock.advance(5);
    const gone = new Set<string>();
    b.directory.onRouteChange((id) => gone.add(id));
    it.network.cut("a", "b");
    expect(seen).toEqual([[0, undefined, 1]]);
    await it.clock.runUntil(() => gone.size === 1_000);
    expect(b.directory.list({ limit: 10 })).toEqual([{ connectionId: "y", nodeId: "b" }]);
  });

  test("registering an id again on one node gives the earlier connection back and a new handle", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    const first = a.directory.register("x", DETAILS);
    expect(first.replaced).toBeUndefined();
    const second = a.directory.register("x", DETAILS);
    expect(second.replaced?.handle).toBe(first.handle);
    expect(second.handle).not.toBe(first.handle);
    expect(a.directory.unregister("x", first.handle)).toBe(false);
    await it.clock.advance(5);
    expect(b.directory.lookup("x")?.handle).toBe(second.handle);
    expect(b.directory.countOf("a")).toBe(1);
    expect(agree(it)).toBe(true);
  });

  test("listeners hear first, changed and vanished winners, and one that throws harms nobody", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    it.network.joinAll();
    await it.clock.advance(5);
    const heard: (string | undefined)[] = [];
    b.directory.onRouteChange(() => {
      throw new FlotillaError("timeout", "listen: on purpose");
    });
    const stop = b.directory.onRouteChange((id) => void heard.push(b.directory.lookup(id)?.nodeId));
    a.register("x");
    await it.clock.advance(5);
    b.register("x");
    b.directory.unregister("x");
    await it.clock.advance(5);
    stop();
    b.register("x");
    expect(heard).toEqual(["a", "b", "a", undefined]);
    expect(it.network.faults).toEqual([]);
  });

  test("pages list every connection once, in the order of the ids", async () => {
    const it = world([0, 0]);
    const [a, b] = it.nodes as [Node, Node];
    for (let count = 0; count < 250; count++) (count % 3 === 0 ? a : b).register(`x-${count}`);
    it.network.joinAll();
    await it.clock.advance(5);
    const listed: { connectionId: string; nodeId: string }[] = [];
    for (;;) {
      const after = listed.at(-1)?.connectionId;
      const page = a.directory.list(after === undefined ? { limit: 40 } : { limit: 40, after });
      if (page.length === 0) break;
      listed.push(...page);
    }
    expect(listed.map(({ connectionId }) => connectionId)).toEqual(
      Array.from({ length: 250 }, (_, count) => `x-${count}`).sort(),
    );
    expect(listed.filter(({ nodeId }) => nodeId === "a").length).toBe(84);
  });

  test.each([
    ["an empty id", ""],
    ["an id above 256 bytes", "é".repeat(129)],
    ["an id that is not well-formed", "x\ud800"],
  ])("%s is refused", (_, id) => {
    const [a] = world([0]).nodes as [Node];
    expect(() => a.directory.register(id, DETAILS)).toThrow(FlotillaError);
    expect(a.directory.total).toBe(0);
  });

  test("details that no peer would take are refused", () => {
    const [a] = world([0]).nodes as [Node];
    const tags = { note: "x".repeat(10_000) };
    expect(() => a.directory.register("x", { ...DETAILS, tags })).toThrow(FlotillaError);
    expect(() => a.directory.register("x", { ...DETAILS, connectedAt: NaN })).toThrow(FlotillaError);
    expect(a.directory.lookup("x")).toBeUndefined();
  });

  test("malformed frames end their session and nothing else", async () => {
    const it = world([0, 0, 0]);
    const [a, b, c] = it.nodes as [Node, Node, Node];
    for (const node of it.nodes) node.register(`of-${node.nodeId}`);
    it.network.joinAll();
    await it.clock.advance(5);
    b.links.session("a")?.send(CONTROL, DIRECTORY_PORT, Uint8Array.of(1, 1, 7));
    await it.clock.advance(5);
    expect((it.network.faults[0] as FlotillaError).code).toBe("malformed");
    expect(a.links.session("b")).toBeUndefined();
    expect(a.directory.lookup("of-b")).toBeUndefined();
    expect(a.directory.lookup("of-c")?.nodeId).toBe("c");
    expect(c.directory.lookup("of-b")?.nodeId).toBe("b");
    c.links.session("a")?.send(MESSAGES, DIRECTORY_PORT, encodeFrame({ kind: "snapshot-request" }));
    await it.clock.advance(5);
    expect(a.links.session("c")).toBeUndefined();
    expect(a.directory.lookup("of-a")?.local).toBe(true);
  });

  test("verify finds nothing to mend in a healthy directory", async () => {
    const it = world([0, 0]);
    for (const node of it.nodes) {
      for (let count = 0; count < 50; count++) node.register(`${node.nodeId}-${count}`);
    }
    it.network.joinAll();
    await it.clock.advance(5);
    for (const { directory } of it.nodes) {
      expect(directory.verify()).toBe(0);
      expect(directory.stats().repairs).toBe(0);
    }
  });

  test("stop leaves no timer", async () => {
    const it = world([0, 0]);
    it.network.joinAll();
    const [a] = it.nodes as [Node];
    void a.directory.resolve("nobody");
    it.network.cut("a", "b");
    for (const { directory } of it.nodes) directory.stop();
    await it.clock.advance(10);
    expect(it.clock.timers).toBe(0);
  });
});
