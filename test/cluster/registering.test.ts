import { describe, expect, test } from "bun:test";
import { FakeSink } from "../support/fake_sink.ts";
import { BAD_NAMES, HUGE_NAMES, ODD_NAMES } from "../support/names.ts";
import { SimCluster } from "../support/sim_cluster.ts";

describe("registering a connection", () => {
  test("while a message for it is being looked up on the same node delivers the message", async () => {
    const sim = new SimCluster(1, { features: ["lossless"], faults: { latencyMs: 50 } });
    const [a] = [await sim.node("a"), await sim.node("b")];
    await sim.whole();
    const early = a.cluster.deliver(["alice"], "early");
    await sim.clock.advance(10);
    const alice = a.connect("alice");
    const late = a.cluster.deliver(["alice"], "late");
    expect((await sim.settle(early)).get("alice")).toBe("delivered");
    expect((await sim.settle(late)).get("alice")).toBe("delivered");
    expect(alice.received).toEqual(["early", "late"]);
    await sim.stop();
  });

  test("with an id or details that cannot be leaves everything as it was", async () => {
    const sim = new SimCluster(2);
    const a = await sim.node("a");
    const alice = a.connect("alice");
    expect(() => a.connect("")).toThrow("an id is 1 to 256 bytes");
    for (const id of ["x".repeat(257), "\u00e4".repeat(129), "a\nb", "\ud800"]) {
      expect(() => a.connect(id)).toThrow("an id is");
    }
    const endpoint = "x".repeat(10_000);
    expect(() => a.cluster.registerConnection("alice", { endpoint }, new FakeSink(a.clock))).toThrow(
      "endpoint",
    );
    expect(alice.closedWith).toBeUndefined();
    expect((await sim.settle(a.cluster.deliver(["alice"], "still here"))).get("alice")).toBe("delivered");
    await sim.stop();
  });

  test("keeps an odd id, endpoint and tag as they are, on every node, and closes with an odd reason", async () => {
    const sim = new SimCluster(3, { features: ["lossless"] });
    const [a, b] = [await sim.node("a"), await sim.node("b")];
    await sim.whole();
    for (const [index, name] of ODD_NAMES.entries()) {
      const sink = new FakeSink(a.clock);
      const tags: Record<string, string> = name === "__proto__" ? {} : { [name]: name };
      a.cluster.registerConnection(name, { endpoint: `/${name}`, tags }, sink);
      await sim.clock.runUntil(() => b.cluster.getConnectionNodeId(name) === "a", 5_000);
      const found = await sim.settle(b.cluster.getConnection(name));
      expect(found).toMatchObject({ endpoint: `/${name}` });
      expect(Object.entries(found?.tags ?? {})).toEqual(Object.entries(tags));
      expect((await sim.settle(b.cluster.deliver([name], name))).get(name)).toBe("delivered");
      expect(sink.received).toEqual([name]);
      const reason = [...name].slice(0, 30).join("");
      expect(await sim.settle(b.cluster.closeConnection(name, 4_000 + index, reason))).toBe(true);
      expect(sink.closedWith).toEqual({ code: 4_000 + index, reason });
    }
    await sim.stop();
  });

  test("refuses what is no id, and ten megabytes anywhere, at once", async () => {
    const sim = new SimCluster(4);
    const a = await sim.node("a");
    for (const id of [...BAD_NAMES, ...HUGE_NAMES]) {
      expect(() => a.connect(id)).toThrow("an id is 1 to 256 bytes");
    }
    for (const huge of HUGE_NAMES) {
      for (const details of [{ endpoint: huge }, { tags: { tag: huge } }, { tags: { [huge]: "tag" } }]) {
        const register = (): void => a.cluster.registerConnection("alice", details, new FakeSink(a.clock));
        expect(register).toThrow('register connection "alice": ');
      }
    }
    // Objects that are made of what came over the wire could not hold it.
    const details = { tags: { ["__proto__"]: "tag" } };
    expect(() => a.cluster.registerConnection("alice", details, new FakeSink(a.clock))).toThrow("__proto__");
    expect(a.cluster.view().connections.total).toBe(0);
    await sim.stop();
  });
});
