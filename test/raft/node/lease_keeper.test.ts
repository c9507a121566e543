import { describe, expect, test } from "bun:test";
import { LeaseKeeper } from "../../../src/raft/lease_keeper.ts";
import type { Lease } from "../../../src/raft/state/replicated_state.ts";

const LEASE: Lease = { name: "job", holder: "a", token: 7, ttlMs: 3_000, renewedAt: 1 };

function endedAt(looks: readonly number[]): number | undefined {
  const keeper = new LeaseKeeper();
  return looks.find((now) => [...keeper.over({ leases: () => [LEASE] }, now)].length > 0);
}

describe("the leader's clock over leases", () => {
  test("ends one that nobody renewed", () => {
    expect(endedAt(Array.from({ length: 60 }, (_, at) => at * 100))).toBe(3_000);
  });

  test("begins again after a standstill, in which nobody could renew", () => {
    const looks = Array.from({ length: 60 }, (_, at) => 20_000 + at * 100);
    expect(endedAt([0, 100, 200, ...looks])).toBe(23_000);
  });
});
