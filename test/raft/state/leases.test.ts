import { describe, expect, test } from "bun:test";
import { LEASES_MAX } from "../../../src/raft/state/limits.ts";
import type { Result } from "../../../src/raft/state/results.ts";
import { FORMATION, Replica } from "./replica.ts";

const acquire = (replica: Replica, name: string, holder: string, ttlMs = 1_000): Result | undefined =>
  replica.result({ kind: "acquire-lease", name, holder, ttlMs });

const release = (replica: Replica, name: string, token: number): Result | undefined =>
  replica.result({ kind: "release-lease", name, token });

const FIRST = FORMATION.tokenFloor + 1;

describe("leases", () => {
  test("a free name is leased with a token above the floor, and is user data", () => {
    const replica = new Replica();
    expect(acquire(replica, "n", "a")).toEqual({ kind: "leased", token: FIRST, ttlMs: 1_000 });
    const lease = { name: "n", holder: "a", token: FIRST, ttlMs: 1_000, renewedAt: 1 };
    expect(replica.state.lease("n")).toEqual(lease);
    expect([...replica.state.leases()]).toEqual([lease]);
    expect([replica.state.hasUserData, replica.state.revision]).toEqual([true, 0]);
  });

  test("while one holds it another is told who does", () => {
    const replica = new Replica();
    acquire(replica, "n", "a");
    expect(acquire(replica, "n", "b")).toEqual({ kind: "held", holder: "a", token: FIRST });
  });

  test("its holder acquiring it again renews it with the same token", () => {
    const replica = new Replica();
    acquire(replica, "n", "a");
    expect(acquire(replica, "n", "a", 5_000)).toEqual({ kind: "leased", token: FIRST, ttlMs: 5_000 });
    expect(replica.state.lease("n")?.renewedAt).toBe(2);
  });

  test("a renewal needs the token, and sets the time anew", () => {
    const replica = new Replica();
    acquire(replica, "n", "a");
    const renew = (token: number): Result | undefined =>
      replica.result({ kind: "renew-lease", name: "n", token, ttlMs: 200 });
    expect(renew(FIRST - 1)).toEqual({ kind: "not-found" });
    expect(replica.state.lease("n")?.ttlMs).toBe(1_000);
    expect(renew(FIRST)).toEqual({ kind: "leased", token: FIRST, ttlMs: 200 });
    expect(replica.state.lease("n")).toEqual({
      name: "n",
      holder: "a",
      token: FIRST,
      ttlMs: 200,
      renewedAt: 3,
    });
  });

  test("a release needs the token, and then the name is free", () => {
    const replica = new Replica();
    acquire(replica, "n", "a");
    expect(release(replica, "n", FIRST + 1)).toEqual({ kind: "not-found" });
    expect(release(replica, "n", FIRST)).toEqual({ kind: "done", revision: 0 });
    expect(release(replica, "n", FIRST)).toEqual({ kind: "not-found" });
    expect(acquire(replica, "n", "b")).toEqual({ kind: "leased", token: FIRST + 1, ttlMs: 1_000 });
  });

  test("the leader's clock ends a lease that was not renewed since it looked", () => {
    const replica = new Replica();
    acquire(replica, "n", "a");
    const expire = (token: number, renewedAt: number): Result | undefined =>
      replica.result({ kind: "expire-lease", name: "n", token, renewedAt });
    replica.result({ kind: "renew-lease", name: "n", token: FIRST, ttlMs: 1_000 });
    expect(expire(FIRST, 1)).toEqual({ kind: "not-found" });
    expect(expire(FIRST + 1, 2)).toEqual({ kind: "not-found" });
    expect(replica.state.lease("n")?.holder).toBe("a");
    expect(expire(FIRST, 2)).toEqual({ kind: "done", revision: 0 });
    expect(replica.state.lease("n")).toBeUndefined();
    expect(expire(FIRST, 2)).toEqual({ kind: "not-found" });
  });

  test("every change of a lease is told with the lease", () => {
    const replica = new Replica();
    const granted = replica.apply({ kind: "acquire-lease", name: "n", holder: "a", ttlMs: 100 }).leaseChange;
    const lease = { name: "n", holder: "a", token: FIRST, ttlMs: 100, renewedAt: 1 };
    expect(granted).toEqual({ kind: "granted", lease });
    const renewed = replica.apply({ kind: "renew-lease", name: "n", token: FIRST, ttlMs: 300 }).leaseChange;
    expect(renewed).toEqual({ kind: "renewed", lease: { ...lease, ttlMs: 300, renewedAt: 2 } });
    const again = replica.apply({ kind: "acquire-lease", name: "n", holder: "a", ttlMs: 300 }).leaseChange;
    expect(again?.kind).toBe("renewed");
    const released = replica.apply({ kind: "release-lease", name: "n", token: FIRST }).leaseChange;
    expect(released).toEqual({ kind: "released", lease: { ...lease, ttlMs: 300, renewedAt: 3 } });
    replica.apply({ kind: "acquire-lease", name: "n", holder: "a", ttlMs: 100 });
    const command = { kind: "expire-lease", name: "n", token: FIRST + 1, renewedAt: 5 } as const;
    expect(replica.apply(command).leaseChange?.kind).toBe("expired");
    expect(replica.apply(command).leaseChange).toBeUndefined();
  });

  test("tokens grow over all names, through snapshots and re-forming", () => {
    let replica = new Replica();
    const tokens: number[] = [];
    for (let round = 0; round < 30; round++) {
      const result = acquire(replica, `n-${round % 4}`, `holder-${round}`);
      if (result?.kind === "leased") tokens.push(result.token);
      if (result?.kind === "held") release(replica, `n-${round % 4}`, result.token);
      if (round % 5 === 4) replica = replica.restored();
      if (round % 10 !== 9) continue;
      // A clock that went back must not take tokens back.
      const tokenFloor = round === 9 ? 5 : round * 1_000;
      replica = new Replica(replica.state.reform({ clusterId: `c-${round}`, tokenFloor, members: [] }));
    }
    expect(tokens.length).toBeGreaterThan(10);
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
    expect(tokens.at(-1)).toBeGreaterThan(19_000);
  });

  test.each<[string, string, string, Result["kind"]]>([
    ["a name of 512 bytes", "n".repeat(512), "h", "leased"],
    ["a name of 513 bytes", "n".repeat(513), "h", "too-large"],
    ["a holder of 256 bytes", "n", "h".repeat(256), "leased"],
    ["a holder of 129 characters of two bytes", "n", "ä".repeat(129), "too-large"],
  ])("%s", (_, name, holder, kind) => {
    const replica = new Replica();
    expect(acquire(replica, name, holder)?.kind).toBe(kind);
    expect([...replica.state.leases()].length).toBe(kind === "leased" ? 1 : 0);
  });

  test("10,000 are held at once, and one more is too many", () => {
    const replica = new Replica();
    for (let lease = 0; lease < LEASES_MAX; lease++) acquire(replica, `n-${lease}`, "a");
    const refused = acquire(replica, "more", "a");
    expect(refused?.kind === "too-large" && refused.message).toContain("at most 10000");
    expect(acquire(replica, "n-5", "a")?.kind).toBe("leased");
    expect(replica.restored().equals(replica)).toBe(true);
    release(replica, "n-0", FIRST);
    expect(acquire(replica, "more", "a")).toEqual({
      kind: "leased",
      token: FIRST + LEASES_MAX,
      ttlMs: 1_000,
    });
  }, 20_000);
});
