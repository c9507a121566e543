/** Raft paper, section 5.2: leader election. */
import { describe, expect, test } from "bun:test";
import { carry, ELECTION_TICKS, granted, leaderOf, Member, refused } from "./members.ts";

const VOTE = { type: "vote", index: 0, logTerm: 0, transfer: false } as const;

describe("5.2 leader election", () => {
  test("a member starts as a follower", () => {
    expect(new Member(1, [1, 2, 3], { term: 4 }).role).toBe("follower");
  });

  test("a follower stays one while it hears from a leader", () => {
    const member = new Member(1, [1, 2, 3]);
    for (let round = 1; round < 50; round++) {
      member.tick(ELECTION_TICKS - 1);
      member.receive({ type: "heartbeat", from: 2, term: 1, commit: 0, round });
    }
    expect({ role: member.role, term: member.term }).toEqual({ role: "follower", term: 1 });
  });

  test("a leader sends heartbeats to all, each heartbeat interval", () => {
    const { leader } = leaderOf(3, { heartbeatTicks: 2 });
    expect(leader.tick(1)).toEqual([]);
    const sent = leader.tick(1).map(({ type, to }) => `${type} to ${to}`);
    expect(sent).toEqual(["heartbeat to 2", "heartbeat to 3"]);
  });

  test("a follower without a leader votes for itself in a new term and asks all others", () => {
    const member = new Member(1, [1, 2, 3], { term: 1 });
    const sent = member.tick(ELECTION_TICKS);
    expect({ role: member.role, hardState: member.hardState }).toEqual({
      role: "candidate",
      hardState: { term: 2, vote: 1, commit: 0 },
    });
    expect(sent.map(({ type, to, term }) => `${type} to ${to} in ${term}`)).toEqual([
      "vote to 2 in 2",
      "vote to 3 in 2",
    ]);
  });

  test.each([
    ["among 1 voter with no other vote is leader", 1, 0, "leader"],
    ["among 3 voters with 1 other vote is leader", 3, 1, "leader"],
    ["among 3 voters with no other vote is candidate", 3, 0, "candidate"],
    ["among 5 voters with 2 other votes is leader", 5, 2, "leader"],
    ["among 5 voters with 1 other vote is candidate", 5, 1, "candidate"],
  ])("a candidate %s", (_name, size, others, role) => {
    const member = new Member(1, Array.from({ length: size }, (_, place) => place + 1));
    member.tick(ELECTION_TICKS);
    for (let from = 2; from <= others + 1; from++) member.receive(granted(from, 1));
    expect(member.role).toBe(role);
  });

  test("a candidate that a majority refuses is a follower again", () => {
    const member = new Member(1, [1, 2, 3, 4, 5]);
    member.tick(ELECTION_TICKS);
    member.receive(refused(2, 1));
    member.receive(refused(3, 1));
    expect(member.role).toBe("candidate");
    member.receive(refused(4, 1));
    expect(member.role).toBe("follower");
  });

  test("a voter's vote counts once, whatever it says later", () => {
    const member = new Member(1, [1, 2, 3, 4, 5]);
    member.tick(ELECTION_TICKS);
    for (let again = 0; again < 3; again++) member.receive(granted(2, 1));
    expect(member.role).toBe("candidate");
  });

  test("in one term a member votes for one candidate, the first that comes", () => {
    const voter = new Member(1, [1, 2, 3]);
    expect(voter.receive({ ...VOTE, from: 2, term: 1 })).toMatchObject([{ to: 2, reject: false }]);
    expect(voter.receive({ ...VOTE, from: 3, term: 1 })).toMatchObject([{ to: 3, reject: true }]);
    // Asked again, it says the same again.
    expect(voter.receive({ ...VOTE, from: 2, term: 1 })).toMatchObject([{ to: 2, reject: false }]);
  });

  test("a vote outlives a restart", () => {
    const voter = new Member(1, [1, 2, 3], { term: 1, vote: 2 });
    expect(voter.receive({ ...VOTE, from: 3, term: 1 })).toMatchObject([{ to: 3, reject: true }]);
  });

  test("a candidate follows a leader of its own term", () => {
    const member = new Member(1, [1, 2, 3]);
    member.tick(ELECTION_TICKS);
    member.receive({ type: "heartbeat", from: 3, term: 1, commit: 0, round: 1 });
    expect(member.raw.status().softState).toEqual({ role: "follower", lead: 3 });
  });

  test("a candidate ignores a leader of an older term", () => {
    const member = new Member(1, [1, 2, 3], { term: 4 });
    member.tick(ELECTION_TICKS);
    member.receive({ type: "heartbeat", from: 3, term: 4, commit: 0, round: 1 });
    expect(member.role).toBe("candidate");
  });

  test("a candidate without a result tries again in the next term", () => {
    const member = new Member(1, [1, 2, 3]);
    member.tick(ELECTION_TICKS);
    const sent = member.tick(ELECTION_TICKS);
    expect(member.term).toBe(2);
    expect(sent.map(({ type, term }) => `${type} in ${term}`)).toEqual(["vote in 2", "vote in 2"]);
  });

  test("each wait for an election is drawn anew", () => {
    const drawn: number[] = [];
    const member = new Member(1, [1, 2, 3], {
      electionTimeoutTicks: () => {
        drawn.push(ELECTION_TICKS + drawn.length);
        return ELECTION_TICKS + drawn.length - 1;
      },
    });
    for (let election = 0; election < 3; election++) {
      const wait = drawn.at(-1) ?? 0;
      const { term } = member;
      member.tick(wait - 1);
      expect(member.term).toBe(term);
      member.tick(1);
      expect(member.term).toBe(term + 1);
    }
    expect(drawn).toEqual([10, 11, 12, 13]);
  });

  test("different waits end a split vote", () => {
    const waits = [10, 17, 19];
    const members = [1, 2, 3].map((id) =>
      new Member(id, [1, 2, 3], { electionTimeoutTicks: () => waits[id - 1] ?? 0 })
    );
    // All three campaign at once, each with its own vote.
    for (const member of members) member.raw.campaign();
    carry(members, []);
    expect(members.map(({ role }) => role)).not.toContain("leader");
    const sent = members.flatMap((member) => member.tick(10));
    carry(members, sent);
    expect(members.map(({ role }) => role)).toEqual(["leader", "follower", "follower"]);
  });
});
