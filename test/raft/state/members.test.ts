import { describe, expect, test } from "bun:test";
import { FlotillaError } from "../../../src/lib/errors.ts";
import { FORGOTTEN_MEMBERS_MAX, MEMBERS_MAX } from "../../../src/raft/state/limits.ts";
import { type Formation, ReplicatedState } from "../../../src/raft/state/replicated_state.ts";
import { FORMATION, member, Replica } from "./replica.ts";

const ids = (replica: Replica): number[] => [...replica.state.members()].map(({ raftId }) => raftId);

describe("members", () => {
  test("a cluster begins with those of its formation, ascending by raftId", () => {
    const replica = new Replica(ReplicatedState.begin({ ...FORMATION, members: [member(9), member(4)] }));
    expect(ids(replica)).toEqual([4, 9]);
    expect(replica.state.member(9)).toEqual(member(9));
    expect(replica.state.member(5)).toBeUndefined();
  });

  test("the leader inserts and replaces records by raftId, which is no change of the map", () => {
    const replica = new Replica();
    for (const raftId of [5, 3, 8]) replica.apply({ kind: "set-member", member: member(raftId) });
    const changed = member(3, { status: "draining", publicUrl: null, nodeId: "other", witness: true });
    const { result, change } = replica.apply({ kind: "set-member", member: changed });
    expect([result, change]).toEqual([{ kind: "done", revision: 0 }, undefined]);
    expect(ids(replica)).toEqual([3, 5, 8]);
    expect(replica.state.member(3)).toEqual(changed);
    expect(replica.state.hasUserData).toBe(false);
  });

  test("a forgotten member is gone, and a late record does not bring it back", () => {
    const replica = new Replica();
    replica.apply({ kind: "set-member", member: member(5) });
    expect(replica.result({ kind: "forget-member", raftId: 5 })?.kind).toBe("done");
    expect(replica.result({ kind: "set-member", member: member(5) })).toEqual({ kind: "not-found" });
    for (const each of [replica, replica.restored()]) {
      expect([ids(each), each.state.isForgotten(5), each.state.isForgotten(6)]).toEqual([[], true, false]);
    }
  });

  test("who was never known can be forgotten, and forgetting again changes nothing", () => {
    const replica = new Replica();
    replica.result({ kind: "forget-member", raftId: 6 });
    replica.result({ kind: "forget-member", raftId: 7 });
    const before = replica.restored();
    expect(replica.result({ kind: "forget-member", raftId: 6 })?.kind).toBe("done");
    expect(replica.equals(before)).toBe(true);
  });

  test("the newest 1,024 forgotten ones are remembered", () => {
    const replica = new Replica();
    for (let raftId = 1; raftId <= FORGOTTEN_MEMBERS_MAX + 2; raftId++) {
      replica.apply({ kind: "forget-member", raftId });
    }
    const forgotten = [1, 2, 3, FORGOTTEN_MEMBERS_MAX + 2].map((raftId) => replica.state.isForgotten(raftId));
    expect(forgotten).toEqual([false, false, true, true]);
    expect(replica.restored().equals(replica)).toBe(true);
  });

  test("1,024 are members at once, and one more is too many", () => {
    const all = Array.from({ length: MEMBERS_MAX }, (_, place) => member(place + 1));
    const replica = new Replica(ReplicatedState.begin({ ...FORMATION, members: all }));
    expect(replica.result({ kind: "set-member", member: member(9_999) })?.kind).toBe("too-large");
    expect(replica.result({ kind: "set-member", member: member(5) })?.kind).toBe("done");
    expect(replica.restored().equals(replica)).toBe(true);
  });
});

describe("forming a cluster", () => {
  test("keeps the last 16 ids of its lineage", () => {
    const lineage = Array.from({ length: 20 }, (_, place) => `c-${place}`);
    const { state } = new Replica(ReplicatedState.begin({ ...FORMATION, lineage }));
    expect([state.clusterId, state.lineage]).toEqual(["harbour", lineage.slice(4)]);
  });

  test.each<[string, Partial<Formation>]>([
    ["an empty id", { clusterId: "" }],
    ["an id of 129 bytes", { clusterId: "x".repeat(129) }],
    ["a lineage with an empty id", { lineage: ["a", ""] }],
    ["a broken token floor", { tokenFloor: 0.5 }],
    ["a token floor above 2^52", { tokenFloor: 2 ** 52 + 1 }],
    ["a raftId twice", { members: [member(1), member(1)] }],
    ["raftId 0", { members: [member(0)] }],
    ["a member with an empty nodeId", { members: [member(1, { nodeId: "" })] }],
  ])("with %s is refused", (_, changes) => {
    expect(() => ReplicatedState.begin({ ...FORMATION, ...changes })).toThrow(FlotillaError);
    const { state } = new Replica();
    if (changes.lineage === undefined) {
      expect(() => state.reform({ ...FORMATION, ...changes })).toThrow(FlotillaError);
    }
  });
});
