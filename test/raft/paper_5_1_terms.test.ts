/** Raft paper, section 5.1: terms are a logical clock. */
import { describe, expect, test } from "bun:test";
import { accepted, leaderOf, Member } from "./members.ts";

const AHEAD = { from: 2, term: 5, commit: 0, index: 0, logTerm: 0, entries: [] } as const;

function inRole(role: "follower" | "candidate" | "leader"): Member {
  if (role === "leader") return leaderOf(3).leader;
  const member = new Member(1, [1, 2, 3]);
  if (role === "candidate") member.raw.campaign();
  member.settle();
  return member;
}

describe("5.1 terms", () => {
  test.each([["follower"], ["candidate"], ["leader"]] as const)(
    "a %s that sees a higher term takes it over and becomes a follower",
    (role) => {
      const member = inRole(role);
      expect(member.role).toBe(role);
      member.receive({ ...AHEAD, type: "append" });
      expect({ role: member.role, term: member.term }).toEqual({ role: "follower", term: 5 });
    },
  );

  test.each([["follower"], ["candidate"], ["leader"]] as const)(
    "a %s takes the higher term of an answer too",
    (role) => {
      const member = inRole(role);
      member.receive(accepted(2, 7, 0));
      expect({ role: member.role, term: member.term }).toEqual({ role: "follower", term: 7 });
    },
  );

  test("a message of a lower term changes nothing", () => {
    const member = new Member(1, [1, 2, 3], { terms: [1, 2], term: 3, commit: 1 });
    member.settle();
    const before = member.raw.status();
    member.receive({ ...AHEAD, type: "append", term: 2, index: 2, logTerm: 2, entries: [], commit: 2 });
    member.receive({ type: "heartbeat", from: 2, term: 1, commit: 2, round: 1 });
    member.receive({ type: "vote", from: 2, term: 2, index: 9, logTerm: 2, transfer: false });
    expect(member.raw.status()).toEqual(before);
  });

  test("a term is stored before anybody hears of it", () => {
    const member = new Member(1, [1, 2, 3]);
    member.raw.campaign();
    const ready = member.raw.ready();
    expect(ready.hardState).toEqual({ term: 1, vote: 1, commit: 0 });
    expect(ready.mustSync).toBe(true);
    expect(ready.messages.map(({ term }) => term)).toEqual([1, 1]);
  });

  test("a term never falls, not even by a restart", () => {
    expect(new Member(1, [1, 2, 3], { term: 9, vote: 2 }).term).toBe(9);
  });
});
