/** The pure parts of leaving: batch sizes, whose turn it is, what a client is told. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { nextBatchSize } from "../../src/cluster/drain_pace.ts";
import type { TargetCandidate } from "../../src/cluster/rank_targets.ts";
import { closeReason, redirectReason, redirectUrl } from "../../src/cluster/redirect.ts";
import { Spread } from "../../src/cluster/spread.ts";
import { utf8Length } from "../../src/lib/utf8_length.ts";

function candidate(
  nodeId: string,
  connections: number,
  more: Partial<TargetCandidate> = {},
): TargetCandidate {
  return { nodeId, status: "up", draining: false, connections, quality: 100, latencyMs: 1, ...more };
}

function shares(spread: Spread, count: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let index = 0; index < count; index++) {
    const target = spread.next() ?? "nobody";
    counts[target] = (counts[target] ?? 0) + 1;
  }
  return counts;
}

describe("the size of batches", () => {
  test("grows to ten thousand while clients arrive fast", () => {
    const sizes = [1_000];
    for (let batch = 0; batch < 5; batch++) sizes.push(nextBatchSize(sizes.at(-1) as number, 200));
    expect(sizes).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  });

  test("falls to a hundred while they arrive slowly, and halves when they stop", () => {
    const sizes = [1_000];
    for (let batch = 0; batch < 5; batch++) sizes.push(nextBatchSize(sizes.at(-1) as number, 2_000));
    expect(sizes).toEqual([1_000, 500, 250, 125, 100, 100]);
  });

  test("stays where clients arrive neither fast nor slowly", () => {
    expect(nextBatchSize(1_000, 1_000)).toBe(1_000);
  });
});

describe("clients are spread", () => {
  test("evenly over equal targets, one after the other", () => {
    const spread = new Spread();
    spread.update([candidate("a", 10), candidate("b", 10), candidate("c", 10)]);
    expect([spread.next(), spread.next(), spread.next(), spread.next()]).toEqual(["a", "b", "c", "a"]);
  });

  test("so that a node with fewer connections gets more, and the fullest still some", () => {
    const spread = new Spread();
    spread.update([candidate("full", 1_000), candidate("half", 500), candidate("empty", 0)]);
    const counts = shares(spread, 1_000);
    expect(counts["empty"]).toBeGreaterThan(counts["half"] as number);
    expect(counts["half"]).toBeGreaterThan(counts["full"] as number);
    expect(counts["full"]).toBeGreaterThan(0);
  });

  test("never to one that drains, is suspect or down, and to nobody where none qualifies", () => {
    const spread = new Spread();
    const others = [
      candidate("draining", 0, { draining: true }),
      candidate("suspect", 0, { status: "suspect" }),
      candidate("down", 0, { status: "down" }),
    ];
    spread.update([...others, candidate("a", 1_000)]);
    expect(shares(spread, 10)).toEqual({ a: 10 });
    spread.update(others);
    expect(spread.next()).toBeUndefined();
  });
});

describe("what a client is told", () => {
  test("is the target's origin, its own endpoint, and its id where it brought one", () => {
    expect(redirectUrl("wss://b.example.com", "/ws", "al ice")).toBe("wss://b.example.com/ws?id=al%20ice");
    expect(redirectUrl("ws://10.0.0.2:8080/", "/chat", null)).toBe("ws://10.0.0.2:8080/chat");
    expect(closeReason("ws://10.0.0.2:8080/chat")).toBe('{"redirect":"ws://10.0.0.2:8080/chat"}');
  });

  test("is to try again where the URL is too long, and nothing where there is no other node", () => {
    const url = redirectUrl("wss://b.example.com", "/ws", "x".repeat(100));
    expect(redirectReason(url)).toBeUndefined();
    expect(closeReason(url)).toBe('{"reconnect":true}');
    expect(closeReason(undefined)).toBe("{}");
  });

  test("is valid JSON of at most 123 bytes, whatever the id", () => {
    fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), fc.boolean(), (id, hasId) => {
      const url = redirectUrl("ws://127.0.0.1:8080", "/ws", hasId ? id.toWellFormed() : null);
      const reason = closeReason(url);
      expect(utf8Length(reason)).toBeLessThanOrEqual(123);
      const told = JSON.parse(reason) as { redirect?: string };
      if (told.redirect !== undefined) expect(told.redirect).toBe(url);
    }));
  });
});
