import { describe, expect, test } from "bun:test";
import { FakeSink } from "../support/fake_sink.ts";
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
});
