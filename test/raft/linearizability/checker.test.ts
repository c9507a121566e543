import { describe, expect, test } from "bun:test";
import { type Answer, type Call, checkLinearizable, expectLinearizable, type Operation } from "./checker.ts";

/** `[calledAt, returnedAt, call, answer]`; returned at 0: unknown. Each is a client of its own. */
type Row = readonly [
  calledAt: number,
  returnedAt: number,
  call: Call,
  answer?: Answer | undefined,
  key?: string,
];

function history(...rows: readonly Row[]): Operation[] {
  return rows.map(([calledAt, returnedAt, call, answer, key = "k"], client) => {
    const unknown = returnedAt === 0;
    return { client, key, call, calledAt, returnedAt: unknown ? undefined : returnedAt, answer };
  });
}

const get: Call = { kind: "get" };
const remove: Call = { kind: "delete" };
const set = (value: string): Call => ({ kind: "set", value });
const compareAndSet = (expected: number, value: string): Call => ({
  kind: "compare-and-set",
  expected,
  value,
});
const found = (value: string, revision?: number): Answer => ({ kind: "found", value, revision });
const done = (revision?: number): Answer => ({ kind: "done", revision });
const conflict = (revision: number): Answer => ({ kind: "conflict", revision });
const absent: Answer = { kind: "not-found" };
const refused: Answer = { kind: "refused" };

const GOOD: Readonly<Record<string, readonly Row[]>> = {
  "nothing": [],
  "a read during a write, of what was before": [
    [1, 2, set("a"), done(1)],
    [3, 9, set("b"), done(2)],
    [4, 5, get, found("a", 1)],
    [6, 7, get, found("b", 2)],
  ],
  "concurrent writes in the order that a read shows": [
    [1, 9, set("a"), done()],
    [1, 9, set("b"), done()],
    [2, 3, get, found("b")],
    [4, 5, get, found("a")],
  ],
  "a call at the instant of another's return, before it": [
    [1, 5, set("a"), done(1)],
    [5, 6, get, absent],
  ],
  "an unknown write that never happens": [
    [1, 0, set("a")],
    [2, 9, get, absent],
  ],
  "an unknown write that appears late": [
    [1, 0, set("a")],
    [2, 3, set("b"), done(1)],
    [4, 5, get, found("b", 1)],
    [6, 7, get, found("a", 2)],
  ],
  "an unknown write that only a later revision betrays": [
    [1, 2, set("a"), done(1)],
    [3, 0, set("b")],
    [4, 5, compareAndSet(1, "c"), conflict(2)],
    [6, 7, compareAndSet(2, "d"), done(3)],
  ],
  "an unknown delete between two reads": [
    [1, 2, set("a"), done(1)],
    [3, 0, remove],
    [4, 5, get, found("a", 1)],
    [6, 7, get, absent],
    [8, 9, compareAndSet(0, "b"), done(3)],
  ],
  "an unknown compare-and-set onto an unknown delete": [
    [1, 2, set("a"), done(1)],
    [3, 0, remove],
    [4, 0, compareAndSet(0, "b")],
    [5, 6, get, found("b", 3)],
  ],
  "a conflict with what is written meanwhile": [
    [1, 2, set("a"), done(1)],
    [3, 9, set("b"), done(2)],
    [4, 8, compareAndSet(1, "c"), conflict(2)],
  ],
  "a delete and a compare-and-set that find nothing": [
    [1, 2, remove, absent],
    [3, 4, compareAndSet(7, "a"), conflict(0)],
    [5, 6, compareAndSet(7, "b"), absent],
  ],
  "revisions that grow over two keys": [
    [1, 4, set("a"), done(2)],
    [1, 4, set("b"), done(1), "other"],
    [5, 6, remove, done(3)],
  ],
};

const BAD: Readonly<Record<string, readonly [why: string, ...Row[]]>> = {
  "a stale read": [
    "none of these can follow",
    [1, 2, set("a"), done(1)],
    [3, 4, set("b"), done(2)],
    [5, 6, get, found("a", 1)],
  ],
  "a lost write": [
    "then the key is a at revision 1",
    [1, 2, set("a"), done(1)],
    [3, 4, get, absent],
  ],
  "a read of a refused write": [
    "that write did not happen",
    [1, 2, set("a"), refused],
    [3, 4, get, found("a", 1)],
  ],
  "a read of what nobody wrote": ["nobody wrote that here", [1, 2, get, found("a", 1)]],
  "a read of what was written to another key": [
    "nobody wrote that here",
    [1, 2, set("a"), done(1), "other"],
    [3, 4, get, found("a", 1)],
  ],
  "a read before the write was called": [
    "had not been called",
    [1, 2, get, found("a", 1)],
    [3, 4, set("a"), done(1)],
  ],
  "a write that is applied twice": [
    "then the key is b at revision 2",
    [1, 2, set("a"), done(1)],
    [3, 4, set("b"), done(2)],
    [5, 6, get, found("a", 3)],
  ],
  "a write that is applied twice, seen by its revision alone": [
    "none of these can follow",
    [1, 2, set("a"), done(1)],
    [3, 4, get, found("a", 2)],
  ],
  "reads that go back": [
    "none of these can follow",
    [1, 2, set("a"), done(1)],
    [3, 9, set("b"), done(2)],
    [4, 5, get, found("b", 2)],
    [6, 7, get, found("a", 1)],
  ],
  "two compare-and-sets of one revision that both succeed": [
    "none of these can follow",
    [1, 2, set("a"), done(1)],
    [3, 5, compareAndSet(1, "b"), done(2)],
    [3, 5, compareAndSet(1, "c"), done(3)],
  ],
  "two clients that both create a key": [
    "none of these can follow",
    [1, 5, compareAndSet(0, "b"), done(1)],
    [1, 5, compareAndSet(0, "c"), done(2)],
  ],
  "a conflict with the very revision that was expected": [
    "none of these can follow",
    [1, 2, set("a"), done(1)],
    [3, 4, compareAndSet(1, "b"), conflict(1)],
  ],
  "a conflict with a revision of another key": [
    "two keys of one revision",
    [1, 2, set("a"), done(1)],
    [1, 0, set("b"), undefined, "other"],
    [3, 4, compareAndSet(0, "c"), conflict(1), "other"],
  ],
  "an unknown write that is seen and then unseen": [
    "none of these can follow",
    [1, 2, set("a"), done(1)],
    [3, 0, set("b")],
    [4, 5, get, found("b", 2)],
    [6, 7, get, found("a", 1)],
  ],
  "an unknown write that is seen before it was called": [
    "had not been called",
    [1, 2, get, found("a", 1)],
    [3, 0, set("a")],
  ],
  "an unknown write that happens twice": [
    "none of these can follow",
    [1, 0, set("a")],
    [2, 3, get, found("a", 1)],
    [4, 5, set("b"), done(2)],
    [6, 7, get, found("a", 3)],
  ],
  "one unknown delete for two": [
    "none of these can follow",
    [1, 2, set("a"), done(1)],
    [3, 0, remove],
    [4, 5, get, absent],
    [6, 7, set("b"), done(3)],
    [8, 9, get, absent],
  ],
  "two writes of one revision, on two keys": [
    "two writes of one revision",
    [1, 2, set("a"), done(1)],
    [3, 4, set("b"), done(1), "other"],
  ],
  "revisions of two keys against time": [
    "revisions against time",
    [1, 2, set("a"), done(2)],
    [3, 4, set("b"), done(1), "other"],
  ],
  "a read that shows a later revision than a write that is called after it": [
    "revisions against time",
    [1, 9, set("a"), done(2)],
    [2, 3, get, found("a", 2)],
    [4, 5, set("b"), done(1), "other"],
  ],
  "a read that must see a write because a later one on another key is over": [
    "none of these can follow",
    [0, 10, set("a"), done(3)],
    [1, 2, set("b"), done(5), "other"],
    [3, 4, get, absent],
  ],
};

describe("a history is linearizable:", () => {
  test.each(Object.entries(GOOD))("%s", (_, rows) => {
    expect(checkLinearizable(history(...rows))).toMatchObject({ ok: true });
  });
});

describe("a history is not linearizable:", () => {
  test.each(Object.entries(BAD))("%s", (_, [why, ...rows]) => {
    expect(checkLinearizable(history(...rows as Row[]))).toMatchObject({
      ok: false,
      why: expect.stringContaining(why),
    });
  });
});

describe("the checker", () => {
  test("says what can stand and what cannot follow, for people to read", () => {
    const verdict = checkLinearizable(history(
      [1, 2, set("a"), done(1)],
      [3, 4.5, set("b"), done(2)],
      [5, 6, get, found("a", 1)],
    ));
    expect(verdict).toEqual({
      ok: false,
      key: "k",
      why: [
        "2 operations can stand in this order; the last of them:",
        "  client 0, 1 to 2: set a: done at 1",
        "  client 1, 3 to 4.500: set b: done at 2",
        "then the key is b at revision 2, and none of these can follow:",
        "  client 2, 5 to 6: get: found a at 1",
      ].join("\n"),
    });
  });

  test("throws what is wrong, for tests, and nothing when nothing is", () => {
    expect(() => expectLinearizable(history([1, 2, set("a"), done(1)]))).not.toThrow();
    expect(() => expectLinearizable(history([1, 2, get, found("a", 1)]))).toThrow(
      "not linearizable, key k: client 0, 1 to 2: get: found a at 1\nnobody wrote that here",
    );
  });

  test("gives up at its bound and names the key", () => {
    const rows = Array.from({ length: 9 }, (_, index): Row => [1, 9, set(`v${index}`), done()]);
    const verdict = checkLinearizable(history(...rows, [10, 11, get, absent]), 20);
    expect(verdict).toEqual({ ok: "gave-up", key: "k", states: 20 });
  });

  test("refuses a history in which a value is written twice", () => {
    const twice = history([1, 2, set("a"), done(1)], [3, 4, set("a"), done(2)]);
    expect(() => checkLinearizable(twice)).toThrow("must not write a twice");
  });
});
