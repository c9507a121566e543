import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { countClaim, emptyDigest } from "../../src/directory/digest.ts";
import { NONE } from "../../src/directory/id_index.ts";
import { smallestAfter } from "../../src/directory/page.ts";
import { type Owner, RouteTable } from "../../src/directory/table.ts";

interface ModelClaim {
  owner: number;
  id: string;
  handle: number;
  stamp: number;
}

/** The plainest table there can be: a list. Owners are named `n0`, `n1`, ... */
class Model {
  claims: ModelClaim[] = [];
  /** Not yet confirmed by the snapshot under way, by owner. */
  readonly unconfirmed = new Map<number, Set<string>>();

  put(claim: ModelClaim): void {
    this.remove(claim.owner, claim.id);
    this.claims.push(claim);
  }

  remove(owner: number, id: string): void {
    this.claims = this.claims.filter((claim) => claim.owner !== owner || claim.id !== id);
    this.unconfirmed.get(owner)?.delete(id);
  }

  renew(owner: number): void {
    const ids = this.claims.filter((claim) => claim.owner === owner).map(({ id }) => id);
    this.unconfirmed.set(owner, new Set(ids));
  }

  settle(owner: number): void {
    for (const id of this.unconfirmed.get(owner) ?? []) this.remove(owner, id);
    this.unconfirmed.delete(owner);
  }

  winner(id: string): ModelClaim | undefined {
    return this.claims.filter((claim) => claim.id === id)
      .sort((a, b) => b.stamp - a.stamp || b.owner - a.owner)[0];
  }
}

const OWNERS = 5;
const IDS = Array.from({ length: 24 }, (_, index) => `id-${index}`);

const ownerAt = fc.integer({ min: 0, max: OWNERS - 1 });
const idAt = fc.integer({ min: 0, max: IDS.length - 1 });
const put = fc.record({
  do: fc.constant("put" as const),
  owner: ownerAt,
  id: idAt,
  handle: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 2 ** 47 - 1 })),
  stamp: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - 1 })),
});
const act = fc.oneof(
  { arbitrary: put, weight: 8 },
  { arbitrary: fc.record({ do: fc.constant("remove" as const), owner: ownerAt, id: idAt }), weight: 4 },
  { arbitrary: fc.record({ do: fc.constant("renew" as const), owner: ownerAt }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constant("settle" as const), owner: ownerAt }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constant("drop" as const), owner: ownerAt }), weight: 1 },
  {
    arbitrary: fc.record({ do: fc.constant("recount" as const), slots: fc.integer({ min: 1, max: 20 }) }),
    weight: 3,
  },
  {
    arbitrary: fc.record({ do: fc.constant("sweep" as const), slots: fc.integer({ min: 1, max: 20 }) }),
    weight: 3,
  },
);

describe("route table", () => {
  test("names the winner, counts and digests of a plain list of claims, through anything", () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(act, { maxLength: 200, size: "max" }), (seed, acts) => {
        const table = new RouteTable(seed);
        const owners = Array.from({ length: OWNERS }, (_, owner) => table.open(`n${owner}`));
        const model = new Model();
        for (const step of acts) {
          switch (step.do) {
            case "put": {
              const claim = {
                owner: step.owner,
                id: IDS[step.id] as string,
                handle: step.handle,
                stamp: step.stamp,
              };
              table.put(owners[step.owner] as Owner, claim.id, claim.handle, claim.stamp);
              model.put(claim);
              break;
            }
            case "remove":
              table.remove(owners[step.owner] as Owner, IDS[step.id] as string);
              model.remove(step.owner, IDS[step.id] as string);
              break;
            case "renew":
              // Another one on top of an unfinished snapshot keeps what either has: the model has no word for it.
              if (model.unconfirmed.has(step.owner)) break;
              table.renew(owners[step.owner] as Owner);
              model.renew(step.owner);
              break;
            case "settle":
              table.settle(owners[step.owner] as Owner);
              model.settle(step.owner);
              break;
            case "drop":
              table.drop(owners[step.owner] as Owner);
              owners[step.owner] = table.open(`n${step.owner}`);
              model.renew(step.owner);
              model.settle(step.owner);
              break;
            case "sweep":
              table.sweep(step.slots);
              break;
            case "recount":
              expect(table.recount(step.slots)?.size ?? 0).toBe(0);
          }
          // One expectation a step: more of them take longer than all the rest.
          const expected = IDS.map((id) => model.winner(id)).map((claim) => claim && shownClaim(claim));
          const found = IDS.map((id) => winnerOf(table, id));
          if (found.some((each, at) => each !== expected[at])) expect(found).toEqual(expected);
        }
        for (const [number, owner] of owners.entries()) {
          const digest = emptyDigest();
          for (const { owner, id, handle, stamp } of model.claims) {
            if (owner === number) countClaim(digest, 1, id, handle, stamp);
          }
          expect(table.digestOf(owner)).toEqual(digest);
          expect(table.countOf(owner)).toBe(digest.count);
        }
        const known = new Set(model.claims.map(({ id }) => id));
        expect([...table.ids()].sort()).toEqual([...known].sort());
        expect(table.recount(10_000)?.size ?? 0).toBe(0);
        while (!table.sweep(7)) continue;
        expect([...table.ids()].sort()).toEqual([...known].sort());
        expect(table.recount(10_000)?.size ?? 0).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  test("put and remove say whether another claim counts now", () => {
    const table = new RouteTable();
    const [a, b] = [table.open("a"), table.open("b")];
    expect(table.put(a, "x", 1, 10)).toBe(true);
    expect(table.put(b, "x", 1, 9)).toBe(false);
    expect(table.put(b, "x", 2, 10)).toBe(true);
    expect(table.put(b, "x", 2, 11)).toBe(false);
    expect(table.remove(a, "x")).toBe(false);
    expect(table.remove(a, "x")).toBe(false);
    expect(table.remove(b, "x")).toBe(true);
    expect(table.winner("x")).toBe(NONE);
  });

  test("dropping an owner clears its claims and count at once, before anything is swept", () => {
    const table = new RouteTable();
    const [a, b] = [table.open("a"), table.open("b")];
    for (let count = 0; count < 1_000; count++) table.put(a, `id-${count}`, count + 1, count);
    table.put(b, "id-7", 1, 1);
    table.drop(a);
    expect(table.countOf(a)).toBe(0);
    expect(table.winner("id-6")).toBe(NONE);
    expect(table.ownerAt(table.winner("id-7"))).toBe(b);
    expect([...table.ids()]).toEqual(["id-7"]);
    const gone = new Set<string>();
    while (!table.sweep(100, (id) => gone.add(id))) continue;
    expect(gone.size).toBe(1_000);
  });

  test("a recount finds an owner whose running digest or count is wrong, and sets it right", () => {
    const table = new RouteTable();
    const [a, b] = [table.open("a"), table.open("b")];
    for (const owner of [a, b]) {
      for (let count = 0; count < 100; count++) table.put(owner, `id-${count}`, 1, 1);
    }
    const right = table.digestOf(b);
    const digest = b.generations[0]?.digest as { low: number };
    digest.low ^= 1;
    expect(table.recount(150)).toBeUndefined();
    table.remove(a, "id-5");
    table.put(a, "id-new", 1, 1);
    expect(table.recount(150)).toEqual(new Set([b]));
    expect(table.digestOf(b)).toEqual(right);
    expect(table.recount(1_000)?.size).toBe(0);
  });

  test("slots of swept claims are used again", () => {
    const table = new RouteTable();
    let slots = 0;
    for (let round = 0; round < 50; round++) {
      const owner = table.open("a");
      for (let count = 0; count < 100; count++) {
        table.put(owner, `id-${round}-${count}`, count + 1, round);
        slots = Math.max(slots, table.winner(`id-${round}-${count}`) + 1);
      }
      table.drop(owner);
      while (!table.sweep(1_000)) continue;
    }
    expect(slots).toBe(100);
  });

  test("generations without end run out of nothing", () => {
    const table = new RouteTable();
    const owner = table.open("a");
    table.put(owner, "x", 1, 1);
    for (let count = 0; count < 70_000; count++) {
      table.renew(owner);
      table.put(owner, "x", 1, 1);
      table.settle(owner);
    }
    expect(table.countOf(owner)).toBe(1);
    expect(table.ownerAt(table.winner("x"))).toBe(owner);
  });
});

function shownClaim({ owner, handle, stamp }: ModelClaim): string {
  return `n${owner} ${handle} ${stamp}`;
}

function winnerOf(table: RouteTable, id: string): string | undefined {
  const slot = table.winner(id);
  if (slot === NONE) return undefined;
  return `${table.ownerAt(slot).nodeId} ${table.handleAt(slot)} ${table.stampAt(slot)}`;
}

describe("page", () => {
  test("is the first ids after the cursor, in order", () => {
    fc.assert(fc.property(
      fc.uniqueArray(fc.string(), { maxLength: 60 }),
      fc.integer({ min: 0, max: 20 }),
      fc.option(fc.string(), { nil: undefined }),
      (ids, limit, after) => {
        const sorted = [...ids].sort().filter((id) => after === undefined || id > after);
        expect(smallestAfter(ids, limit, after)).toEqual(sorted.slice(0, limit));
      },
    ));
  });
});
