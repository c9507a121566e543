import { describe, expect, test } from "bun:test";
import { rankTargets, type TargetCandidate } from "../../src/cluster/rank_targets.ts";

function node(nodeId: string, given: Partial<TargetCandidate> = {}): TargetCandidate {
  return { nodeId, status: "up", draining: false, connections: 0, quality: 100, latencyMs: 1, ...given };
}
const order = (...candidates: TargetCandidate[]): string[] =>
  rankTargets(candidates).map(({ nodeId }) => nodeId);

describe("the ranking of targets", () => {
  test("puts fewest connections first, then quality, then latency, then the lower id", () => {
    expect(order(node("a", { connections: 2 }), node("b", { connections: 1, quality: 10 }))).toEqual([
      "b",
      "a",
    ]);
    expect(order(node("a", { quality: 50 }), node("b", { quality: 90, latencyMs: 50 }))).toEqual(["b", "a"]);
    expect(order(node("a", { latencyMs: 9 }), node("b", { latencyMs: 3 }))).toEqual(["b", "a"]);
    expect(order(node("b"), node("a"))).toEqual(["a", "b"]);
  });

  test("counts an unknown latency as the highest", () => {
    expect(order(node("z", { latencyMs: null }), node("b", { latencyMs: 20 }), node("c"))).toEqual([
      "c",
      "b",
      "z",
    ]);
  });

  test("leaves suspect, down and draining nodes out, and may name nobody", () => {
    const out = [
      node("a", { status: "suspect" }),
      node("b", { status: "down" }),
      node("c", { draining: true }),
    ];
    expect(order(...out)).toEqual([]);
    expect(order(...out, node("d", { connections: 1_000 }))).toEqual(["d"]);
  });

  test("follows the weights it is given", () => {
    const candidates = [node("near", { connections: 10 }), node("far", { latencyMs: 100 })];
    expect(rankTargets(candidates)[0]?.nodeId).toBe("far");
    expect(rankTargets(candidates, { connections: 1, latency: 100 })[0]?.nodeId).toBe("near");
  });
});
