import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { equalBytes, hex, utf8 } from "../../../src/lib/bytes.ts";
import { FlotillaError } from "../../../src/lib/errors.ts";
import { encodeEnvelope } from "../../../src/raft/state/commands.ts";
import { ReplicatedState } from "../../../src/raft/state/replicated_state.ts";
import { mutated } from "../../support/mutated.ts";
import { scale } from "../../support/scale.ts";
import { envelopes } from "./arbitraries.ts";
import { FORMATION, member, Replica } from "./replica.ts";

const SMALL = "00000022828c0147686172626f757280011903e9f50101010000008541618101810181" +
  "018101310000001c8285416e41681903e918640383fb41f2a05f20000000018183010001";

/** One with something of everything. */
function rich(): Replica {
  const replica = new Replica(
    ReplicatedState.begin({ ...FORMATION, lineage: ["before"], members: [member(2)] }),
  );
  for (const session of [7, 8, 9]) replica.apply({ kind: "open-session", session });
  replica.apply({ kind: "set", key: "€/🚢", value: utf8("ahoy") }, 7, 1);
  replica.apply({ kind: "set", key: "\ufeff" + "b".repeat(100), value: new Uint8Array(70_000) }, 7, 3);
  replica.apply({ kind: "set", key: "empty", value: new Uint8Array() }, 8, 1);
  replica.apply({ kind: "delete", key: "absent" }, 7, 2);
  replica.apply({ kind: "compare-and-set", key: "empty", expected: 9, value: null }, 7, 4);
  replica.apply({ kind: "acquire-lease", name: "n", holder: "a", ttlMs: 100 }, 8, 2);
  replica.apply({ kind: "acquire-lease", name: "n", holder: "b", ttlMs: 100 }, 8, 3);
  replica.apply({ kind: "set", key: "k".repeat(600), value: new Uint8Array() }, 8, 4);
  replica.apply({ kind: "close-session", session: 9 });
  replica.apply({ kind: "set-member", member: member(1, { witness: true, publicUrl: null }) });
  replica.apply({ kind: "forget-member", raftId: 3 });
  return replica;
}

describe("a snapshot", () => {
  test("gives the same state, which gives the same bytes", () => {
    const replica = rich();
    const copy = replica.restored();
    expect(copy.equals(replica)).toBe(true);
    const { state } = copy;
    expect([state.clusterId, state.lineage, state.revision, state.size]).toEqual([
      "harbour",
      ["before"],
      3,
      3,
    ]);
    expect(state.get("€/🚢")).toEqual({ value: utf8("ahoy"), revision: 1, created: 1 });
    expect(state.get("empty")).toEqual({ value: new Uint8Array(), revision: 3, created: 3 });
    expect(state.keys("", "", 10)).toEqual(replica.state.keys("", "", 10));
    expect([...state.leases()]).toEqual([...replica.state.leases()]);
    expect([...state.members()]).toEqual([...replica.state.members()]);
    expect([state.isForgotten(3), state.stateBytes]).toEqual([true, replica.state.stateBytes]);
  });

  test("of one small state is these bytes, on every runtime", () => {
    const replica = new Replica();
    replica.apply({ kind: "open-session", session: 5_000_000_000 });
    replica.apply({ kind: "set", key: "a", value: utf8("1") }, 5_000_000_000, 1);
    replica.apply({ kind: "acquire-lease", name: "n", holder: "h", ttlMs: 100 });
    expect(hex(replica.state.snapshot())).toBe(SMALL);
  });

  test("does not change with the state, and the state not with its bytes", () => {
    const replica = rich();
    const bytes = replica.state.snapshot();
    const kept = bytes.slice();
    const copy = ReplicatedState.restore(bytes);
    bytes.fill(0);
    expect(equalBytes(copy.snapshot(), kept)).toBe(true);
    replica.set("€/🚢", "other");
    expect(equalBytes(copy.snapshot(), kept)).toBe(true);
  });

  test("of thousands of values comes back", () => {
    const replica = new Replica();
    for (let key = 0; key < 9_000; key++) replica.set(`key-${key}`, "x".repeat(key % 40));
    for (let key = 0; key < 9_000; key += 3) replica.result({ kind: "delete", key: `key-${key}` });
    const copy = replica.restored();
    expect([copy.equals(replica), copy.state.size, copy.state.revision]).toEqual([true, 6_000, 12_000]);
    expect(copy.state.get("key-8999")?.value.byteLength).toBe(39);
  }, 20_000);

  test("whatever was applied before it, what is applied after it does the same here and there", () => {
    fc.assert(
      fc.property(fc.array(envelopes), fc.array(envelopes), (before, after) => {
        const replica = new Replica();
        replica.apply({ kind: "open-session", session: 1 });
        for (const each of before) replica.take(encodeEnvelope({ ...each, session: each.session % 2 }));
        const copy = replica.restored();
        for (const each of after) {
          const bytes = encodeEnvelope({ ...each, session: each.session % 2 });
          expect(copy.take(bytes)).toEqual(replica.take(bytes));
        }
        expect(copy.equals(replica)).toBe(true);
      }),
      { numRuns: scale(100, 1_000) },
    );
  }, 20_000);

  test("altered, cut or doubled is malformed or a sound state, and nothing else happens", () => {
    const replica = rich();
    replica.result({ kind: "delete", key: "\ufeff" + "b".repeat(100) });
    const bytes = replica.state.snapshot();
    let refused = 0;
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 3 }), (changes) => {
        try {
          const { state } = new Replica(ReplicatedState.restore(mutated(bytes, changes)));
          expect(equalBytes(ReplicatedState.restore(state.snapshot()).snapshot(), state.snapshot())).toBe(
            true,
          );
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(FlotillaError);
          expect((thrown as FlotillaError).code).toBe("malformed");
          refused++;
        }
      }),
      { numRuns: scale(2_000, 20_000) },
    );
    expect(refused).toBeGreaterThan(0);
  }, 20_000);

  test("every byte of it matters or is one of a value, a name or a number", () => {
    const bytes = rich().state.snapshot();
    for (let length = 0; length < bytes.byteLength; length += length < 500 ? 1 : 997) {
      expect(() => ReplicatedState.restore(bytes.subarray(0, length))).toThrow(FlotillaError);
    }
  });
});

describe("a re-formed cluster", () => {
  const reformed = (replica: Replica): Replica =>
    new Replica(
      replica.state.reform({ clusterId: "new", tokenFloor: 50_000, members: [member(2), member(40)] }),
    );

  test("has the map, its revision, sessions and leases; a new id, and its own in the lineage", () => {
    const old = rich();
    const before = old.restored();
    const replica = reformed(old);
    const { state } = replica;
    expect([state.clusterId, state.lineage]).toEqual(["new", ["before", "harbour"]]);
    expect([state.revision, state.size, state.stateBytes, state.hasUserData]).toEqual([
      old.state.revision,
      old.state.size,
      old.state.stateBytes,
      true,
    ]);
    expect(replica.apply({ kind: "set", key: "€/🚢", value: utf8("ahoy") }, 7, 1).repeated).toBe(true);
    expect(state.lease("n")).toEqual({ name: "n", holder: "a", token: 1_001, ttlMs: 100, renewedAt: 0 });
    const next = replica.result({ kind: "acquire-lease", name: "m", holder: "a", ttlMs: 100 });
    expect(next).toEqual({ kind: "leased", token: 50_001, ttlMs: 100 });
    expect(old.equals(before)).toBe(true);
  });

  test("has the new members; who is not among them is forgotten", () => {
    const { state } = reformed(rich());
    expect([...state.members()]).toEqual([member(2), member(40)]);
    expect([1, 2, 3, 40].map((raftId) => state.isForgotten(raftId))).toEqual([true, false, true, false]);
  });

  test("remembers at most 16 clusters before it", () => {
    let replica = new Replica();
    for (let round = 0; round < 20; round++) {
      replica = new Replica(replica.state.reform({ clusterId: `c-${round}`, tokenFloor: 0, members: [] }));
    }
    expect(replica.state.lineage).toEqual(Array.from({ length: 16 }, (_, place) => `c-${place + 3}`));
    expect(replica.restored().equals(replica)).toBe(true);
  });
});
