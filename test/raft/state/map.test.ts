import { describe, expect, test } from "bun:test";
import { fromUtf8, utf8 } from "../../../src/lib/bytes.ts";
import { randomBelow, seededRandom } from "../../../src/lib/random.ts";
import {
  ITEM_BYTES,
  KEY_BYTES_MAX,
  STATE_BYTES_MAX,
  VALUE_BYTES_MAX,
} from "../../../src/raft/state/limits.ts";
import type { Result } from "../../../src/raft/state/results.ts";
import { Replica } from "./replica.ts";

const cas = (replica: Replica, key: string, expected: number, value: string | null): Result | undefined =>
  replica.result({ kind: "compare-and-set", key, expected, value: value === null ? null : utf8(value) });

const text = (replica: Replica, key: string): string | undefined => {
  const stored = replica.state.get(key);
  return stored === undefined ? undefined : fromUtf8(stored.value);
};

describe("the map", () => {
  test("begins empty at revision 0, without user data", () => {
    const { state } = new Replica();
    expect([state.revision, state.size, state.stateBytes, state.hasUserData]).toEqual([0, 0, 0, false]);
    expect(state.get("a")).toBeUndefined();
    expect(state.keys("", "", 10)).toEqual([]);
  });

  test("a write raises the revision by one, and the key carries it", () => {
    const replica = new Replica();
    expect(replica.set("a", "1")).toEqual({ kind: "done", revision: 1 });
    expect(replica.set("b", "2")).toEqual({ kind: "done", revision: 2 });
    expect(replica.set("a", "3")).toEqual({ kind: "done", revision: 3 });
    expect(replica.state.get("a")).toEqual({ value: utf8("3"), revision: 3, created: 1 });
    expect(replica.state.get("b")).toEqual({ value: utf8("2"), revision: 2, created: 2 });
    expect(replica.state.hasUserData).toBe(true);
  });

  test("what changes is told with its revision; what does not change is not", () => {
    const replica = new Replica();
    const value = utf8("1");
    expect(replica.apply({ kind: "set", key: "a", value }).change).toEqual({ revision: 1, key: "a", value });
    expect(replica.apply({ kind: "delete", key: "a" }).change).toEqual({
      revision: 2,
      key: "a",
      value: null,
    });
    expect(replica.apply({ kind: "delete", key: "a" }).change).toBeUndefined();
    expect(replica.apply({ kind: "compare-and-set", key: "a", expected: 1, value }).change).toBeUndefined();
  });

  test("deleting an absent key is not-found and no change", () => {
    const replica = new Replica();
    expect(replica.result({ kind: "delete", key: "a" })).toEqual({ kind: "not-found" });
    expect(replica.state.revision).toBe(0);
  });

  test("a key that was deleted and set again came anew", () => {
    const replica = new Replica();
    replica.set("a", "1");
    replica.result({ kind: "delete", key: "a" });
    replica.set("a", "2");
    expect(replica.state.get("a")).toEqual({ value: utf8("2"), revision: 3, created: 3 });
  });

  test("once written and deleted, the map is empty and still has had user data", () => {
    const replica = new Replica();
    replica.set("a", "1");
    replica.result({ kind: "delete", key: "a" });
    expect([replica.state.size, replica.state.stateBytes]).toEqual([0, 0]);
    expect(replica.restored().state.hasUserData).toBe(true);
  });

  test("compare-and-set writes at the expected revision and says the present one otherwise", () => {
    const replica = new Replica();
    expect(cas(replica, "a", 7, "x")).toEqual({ kind: "conflict", revision: 0 });
    expect(cas(replica, "a", 0, "1")).toEqual({ kind: "done", revision: 1 });
    expect(cas(replica, "a", 0, "x")).toEqual({ kind: "conflict", revision: 1 });
    replica.set("b", "other");
    expect(cas(replica, "a", 1, "2")).toEqual({ kind: "done", revision: 3 });
    expect(cas(replica, "a", 1, "x")).toEqual({ kind: "conflict", revision: 3 });
    expect(text(replica, "a")).toBe("2");
  });

  test("compare-and-set of null deletes at the expected revision", () => {
    const replica = new Replica();
    replica.set("a", "1");
    expect(cas(replica, "a", 2, null)).toEqual({ kind: "conflict", revision: 1 });
    expect(cas(replica, "a", 1, null)).toEqual({ kind: "done", revision: 2 });
    expect(replica.state.get("a")).toBeUndefined();
    expect(cas(replica, "a", 0, null)).toEqual({ kind: "not-found" });
    expect(replica.state.revision).toBe(2);
  });

  test("values are copied: an entry's bytes may be used again", () => {
    const replica = new Replica();
    const value = utf8("first");
    replica.set("a", value);
    value.fill(0);
    expect(text(replica, "a")).toBe("first");
    expect(replica.state.get("a")?.value.buffer.byteLength).toBe(5);
  });
});

describe("limits of the map", () => {
  const message = (result: Result | undefined): string => result?.kind === "too-large" ? result.message : "";

  test.each([
    ["512 bytes", "k".repeat(KEY_BYTES_MAX), true],
    ["513 bytes", "k".repeat(KEY_BYTES_MAX + 1), false],
    ["171 characters of three bytes", "€".repeat(171), false],
    ["170 characters of three bytes", "€".repeat(170), true],
  ])("a key of %s", (_, key, fits) => {
    const replica = new Replica();
    expect(replica.set(key, "1")?.kind).toBe(fits ? "done" : "too-large");
    expect(replica.state.size).toBe(fits ? 1 : 0);
    expect(cas(new Replica(), key, 0, "1")?.kind).toBe(fits ? "done" : "too-large");
  });

  test("a value of 1 MiB fits and one of a byte more does not", () => {
    const replica = new Replica();
    expect(replica.set("a", new Uint8Array(VALUE_BYTES_MAX))?.kind).toBe("done");
    const refused = replica.set("b", new Uint8Array(VALUE_BYTES_MAX + 1));
    expect(message(refused)).toContain("1048577");
    expect(message(refused)).toContain("1048576");
    expect(message(refused)).toContain('"b"');
  });

  test("the whole state is bounded, and a refused write changes nothing", () => {
    const replica = new Replica();
    const value = new Uint8Array(VALUE_BYTES_MAX);
    for (let key = 0; key < 15; key++) expect(replica.set(`key-${key}`, value)?.kind).toBe("done");
    const before = replica.restored();
    const refused = replica.set("key-15", value);
    expect(message(refused)).toContain(String(STATE_BYTES_MAX));
    expect(replica.set("key-15", value)?.kind).toBe("too-large");
    expect(cas(replica, "key-15", 1, "x")?.kind).toBe("conflict");
    expect(replica.equals(before)).toBe(true);
    const rest = STATE_BYTES_MAX - replica.state.stateBytes - "rest".length - ITEM_BYTES;
    expect(replica.set("rest", new Uint8Array(rest))?.kind).toBe("done");
    expect(replica.state.stateBytes).toBe(STATE_BYTES_MAX);
    expect(replica.set("x", "")?.kind).toBe("too-large");
    expect(replica.set("rest", new Uint8Array(rest + 1))?.kind).toBe("too-large");
    expect(replica.result({ kind: "acquire-lease", name: "n", holder: "h", ttlMs: 100 })?.kind).toBe(
      "too-large",
    );
    // What is there can still be changed, shrunk and deleted.
    expect(replica.set("rest", new Uint8Array(rest))?.kind).toBe("done");
    expect(replica.set("rest", "small")?.kind).toBe("done");
    expect(replica.result({ kind: "delete", key: "key-0" })?.kind).toBe("done");
    expect(replica.set("key-15", value)?.kind).toBe("done");
    expect(replica.restored().state.stateBytes).toBe(replica.state.stateBytes);
  }, 20_000);

  test("bytes are counted as they come and go", () => {
    const replica = new Replica();
    replica.set("€", "1234");
    expect(replica.state.stateBytes).toBe(3 + 4 + ITEM_BYTES);
    replica.set("€", "12");
    expect(replica.state.stateBytes).toBe(3 + 2 + ITEM_BYTES);
    replica.result({ kind: "acquire-lease", name: "n", holder: "he", ttlMs: 100 });
    expect(replica.state.stateBytes).toBe(3 + 2 + 1 + 2 + 2 * ITEM_BYTES);
    replica.result({ kind: "delete", key: "€" });
    replica.result({ kind: "release-lease", name: "n", token: 1_001 });
    expect(replica.state.stateBytes).toBe(0);
  });
});

describe("listing keys", () => {
  test("pages go through all keys with a prefix, in order and once", () => {
    const replica = new Replica();
    const keys = ["b/2", "a", "b", "b/1", "b0", "c", "b/10", "b/€", "b/🚢"];
    for (const key of keys) replica.set(key, "1");
    expect(replica.state.keys("", "", 100)).toEqual([...keys].sort());
    expect(replica.state.keys("b/", "", 2)).toEqual(["b/1", "b/10"]);
    expect(replica.state.keys("b/", "b/10", 2)).toEqual(["b/2", "b/€"]);
    expect(replica.state.keys("b/", "b/€", 2)).toEqual(["b/🚢"]);
    expect(replica.state.keys("b/", "b/🚢", 2)).toEqual([]);
    expect(replica.state.keys("b/", "a", 1)).toEqual(["b/1"]);
    expect(replica.state.keys("b/", "c", 1)).toEqual([]);
    expect(replica.state.keys("x", "", 1)).toEqual([]);
    expect(replica.state.keys("", "", 0)).toEqual([]);
  });

  test("stays in order through thousands of changes at random", () => {
    const random = seededRandom(41);
    const replica = new Replica();
    const model = new Set<string>();
    for (let step = 0; step < 6_000; step++) {
      const key = randomBelow(random, 4_000).toString(36);
      if (random.float() < (step < 4_000 ? 0.9 : 0.2)) {
        replica.set(key, "");
        model.add(key);
      } else {
        replica.result({ kind: "delete", key });
        model.delete(key);
      }
      if (step % 200 !== 199) continue;
      const prefix = ["", "1", "2a", "zz"][randomBelow(random, 4)] ?? "";
      const after = randomBelow(random, 4_000).toString(36);
      const wanted = [...model].filter((each) => each.startsWith(prefix) && each > after).sort();
      expect(replica.state.keys(prefix, after, 10_000)).toEqual(wanted);
      expect(replica.state.keys(prefix, after, 7)).toEqual(wanted.slice(0, 7));
    }
    for (const key of model) replica.result({ kind: "delete", key });
    expect(replica.state.keys("", "", 10)).toEqual([]);
    replica.set("again", "");
    expect(replica.state.keys("", "", 10)).toEqual(["again"]);
  });
});
