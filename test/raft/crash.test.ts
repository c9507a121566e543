/** What a crash may take back, and what not: a commit index, but no configuration that was in force. */
import { describe, expect, test } from "bun:test";
import { LEAVE_JOINT } from "../../src/raft/core/members.ts";
import type { ConfChange, Entry } from "../../src/raft/core/types.ts";
import { accepted, carry, ELECTION_TICKS, granted, leaderOf, Member } from "./members.ts";

const REMOVE_2: ConfChange = {
  transition: "auto",
  steps: [{ operation: "remove", id: 2 }],
  context: new Uint8Array(),
};

/** Its log as it is stored. */
function logOf({ storage }: Member): Entry[] {
  return storage.entries(1, storage.lastIndex() + 1, Infinity) ?? [];
}

describe("after a crash that loses what was not synced", () => {
  test("the commit index may be lower than it was", () => {
    const { leader } = leaderOf(3);
    leader.receive(accepted(2, 1, 1));
    expect({ commit: leader.commit, kept: leader.durableHardState.commit }).toEqual({ commit: 1, kept: 0 });
  });

  test("a member that was the last voter comes back as that, and leads alone (thesis, 4.1)", () => {
    const { leader } = leaderOf(2);
    leader.receive(accepted(2, 1, 1));
    leader.raw.proposeConfChange(REMOVE_2);
    leader.settle();
    leader.receive(accepted(2, 1, 2));
    expect(leader.raw.status().configuration.voters.incoming).toEqual(new Set([1]));

    const back = new Member(1, [1, 2], { log: logOf(leader), ...leader.durableHardState });
    back.settle();
    back.tick(ELECTION_TICKS);
    expect(back.role).toBe("leader");
  });

  test("a follower that learned that it is the last voter comes back as that", () => {
    const members = [new Member(1, [1, 2]), new Member(2, [1, 2])] as const;
    const [leader, follower] = members;
    leader.raw.campaign();
    carry(members, []);
    leader.raw.proposeConfChange({ ...REMOVE_2, steps: [{ operation: "remove", id: 1 }] });
    carry(members, []);
    expect({ commit: follower.commit, kept: follower.durableHardState.commit }).toEqual({
      commit: 2,
      kept: 2,
    });

    const back = new Member(2, [1, 2], { log: logOf(follower), ...follower.durableHardState });
    back.settle();
    back.tick(ELECTION_TICKS);
    expect(back.role).toBe("leader");
  });

  test("a configuration whose commit index was handed out before it is kept all the same", () => {
    // Committed at once, applied one by one: the commit index stands in the first ready, which need not be synced.
    const member = new Member(1, [1, 2], { applyingBytesMax: 1 });
    member.receive({
      type: "append",
      from: 2,
      term: 1,
      index: 0,
      logTerm: 0,
      commit: 0,
      entries: [
        { type: "normal", term: 1, index: 1, data: new Uint8Array(9) },
        { type: "conf-change", term: 1, index: 2, change: REMOVE_2 },
      ],
    });
    member.receive({ type: "heartbeat", from: 2, term: 1, commit: 2, round: 1 });
    expect({ applied: member.applied.length, kept: member.durableHardState.commit }).toEqual({
      applied: 2,
      kept: 2,
    });
  });

  // The hard state is written behind the entries that came with it, and may be lost where they are not.
  const LEAVES_OTHERS: readonly Entry[] = [
    {
      type: "conf-change",
      term: 4,
      index: 1,
      change: {
        transition: "explicit",
        steps: [{ operation: "remove", id: 2 }, { operation: "remove", id: 3 }],
        context: new Uint8Array(),
      },
    },
    { type: "conf-change", term: 4, index: 2, change: LEAVE_JOINT },
  ];

  test("a change that another one follows in the log was committed, and comes in force (thesis, 4.1)", () => {
    const member = new Member(3, [1, 2, 3], { log: LEAVES_OTHERS, term: 4 });
    member.settle();
    expect(member.raw.status()).toMatchObject({ commit: 1, applied: 1 });
    expect(member.raw.status().configuration.voters).toEqual({
      incoming: new Set([1]),
      outgoing: new Set([1, 2, 3]),
    });
    expect(member.durableHardState.commit).toBe(1);
  });

  test("such a member is not elected by voters of the configuration before it", () => {
    const member = new Member(3, [1, 2, 3], { log: LEAVES_OTHERS, term: 4 });
    member.settle();
    member.tick(ELECTION_TICKS);
    member.receive(granted(2, 5));
    expect({ role: member.role, term: member.term }).toEqual({ role: "candidate", term: 5 });
    member.receive(granted(1, 5));
    expect(member.role).toBe("leader");
  });

  test("the last change in the log may not have been committed, and waits", () => {
    const member = new Member(3, [1, 2, 3], { log: LEAVES_OTHERS.slice(0, 1), term: 4 });
    member.settle();
    expect(member.raw.status()).toMatchObject({ commit: 0, applied: 0 });
  });

  test("a member whose first hard state is lost takes the term of its log, and writes it", () => {
    const member = new Member(3, [1, 2, 3], { terms: [1, 4] });
    member.settle();
    expect({ term: member.term, kept: member.durableHardState.term }).toEqual({ term: 4, kept: 4 });
  });
});
