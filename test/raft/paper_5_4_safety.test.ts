/** Raft paper, section 5.4: safety; and figure 3, whose five properties always hold. */
import { describe, expect, test } from "bun:test";
import { accepted, ELECTION_TICKS, entry, leaderOf, Member } from "./members.ts";
import { simulate } from "./simulator/simulate.ts";

describe("5.4.1 election restriction", () => {
  test.each([
    ["1", [1], 1, 1],
    ["1 and 2", [1, 2], 2, 2],
  ])(
    "a candidate with a log of terms %s says where and in which term it ends",
    (_name, terms, index, logTerm) => {
      const member = new Member(1, [1, 2, 3], { terms, term: 2 });
      expect(member.tick(ELECTION_TICKS)).toMatchObject([
        { type: "vote", to: 2, term: 3, index, logTerm },
        { type: "vote", to: 3, term: 3, index, logTerm },
      ]);
    },
  );

  test.each([
    // The voter's log, the candidate's end, and whether it gets the vote.
    ["an equal log", [1], 1, 1, true],
    ["a longer log of the same term", [1], 2, 1, true],
    ["a shorter log of the same term", [1, 1], 1, 1, false],
    ["an equally long log of a later term", [1], 1, 2, true],
    ["a shorter log of a later term", [1, 1], 1, 2, true],
    ["an equally long log of an earlier term", [2], 1, 1, false],
    ["a longer log of an earlier term", [2], 2, 1, false],
    ["a shorter log of an earlier term", [1, 2], 1, 1, false],
  ])(
    "a voter decides by the end of the log about %s",
    (_name, terms, index, logTerm, votes) => {
      const voter = new Member(1, [1, 2, 3], { terms, term: 2 });
      const asked = { type: "vote", from: 2, term: 3, index, logTerm, transfer: false } as const;
      expect(voter.receive(asked)).toMatchObject([{ type: "vote-response", to: 2, reject: !votes }]);
    },
  );

  test("a member without an entry that is committed is never elected", () => {
    // 1 and 2 of three have the committed entry; 3 has not, and asks both.
    const voters = [1, 2].map((id) => new Member(id, [1, 2, 3], { terms: [1, 1], term: 1, commit: 2 }));
    const candidate = new Member(3, [1, 2, 3], { terms: [1], term: 1 });
    for (const message of candidate.tick(ELECTION_TICKS)) {
      for (const answer of voters.find(({ id }) => id === message.to)?.receive(message) ?? []) {
        candidate.receive(answer);
      }
    }
    expect(candidate.role).toBe("follower");
  });
});

describe("5.4.2 committing entries from previous terms", () => {
  test("copies of an entry of an older term, however many, do not commit it", () => {
    // Figure 8 (c): the leader of term 3 has copied an entry of term 2 to a majority.
    const { leader } = leaderOf(5, { terms: [1, 2], term: 2 });
    for (const from of [2, 3, 4, 5]) leader.receive(accepted(from, 3, 2));
    expect(leader.commit).toBe(0);
  });

  test("they are committed along with an entry of the leader's own term", () => {
    // Figure 8 (e).
    const { leader } = leaderOf(5, { terms: [1, 2], term: 2 });
    leader.receive(accepted(2, 3, 3));
    expect(leader.commit).toBe(0);
    leader.receive(accepted(3, 3, 3));
    expect(leader.commit).toBe(3);
    expect(leader.applied.map(({ term }) => term)).toEqual([1, 2, 3]);
  });
});

describe("5.4.3 and figure 3: what always holds, in simulation", () => {
  const outcomes = Array.from({ length: 24 }, (_, place) => simulate(1_000_000 + place));
  const failures = outcomes.map(({ failure }) => failure).filter((failure) => failure !== undefined);
  const withoutFailureOf = (rule: RegExp): void =>
    expect(failures.filter((failure) => rule.test(failure))).toEqual([]);

  test("Election Safety: there is at most one leader in a term (5.2)", () => {
    withoutFailureOf(/one leader a term|one vote a term/);
  });

  test("Leader Append-Only: a leader never overwrites or deletes entries of its log (5.3)", () => {
    withoutFailureOf(/a leader only appends/);
  });

  test("Log Matching: entries of equal index and term are equal, and so are all before them (5.3)", () => {
    withoutFailureOf(/log matching/);
  });

  test("Leader Completeness: a committed entry is in the logs of all leaders of later terms (5.4)", () => {
    withoutFailureOf(/leader completeness/);
  });

  test("State Machine Safety: no two members apply different entries at an index (5.4.3)", () => {
    withoutFailureOf(/one value|only committed entries|states are equal|application is in order/);
  });

  test("nothing else failed, and entries were committed in every simulation", () => {
    expect(failures).toEqual([]);
    expect(Math.min(...outcomes.map(({ committed }) => committed))).toBeGreaterThan(1);
  });

  test("what a vote rests on is in the message: nobody votes by a log it has not stored", () => {
    const voter = new Member(1, [1, 2, 3]);
    voter.raw.step({
      type: "append",
      from: 2,
      to: 1,
      term: 1,
      index: 0,
      logTerm: 0,
      entries: [entry(1, 1)],
      commit: 0,
    });
    const ready = voter.raw.ready();
    expect({ entries: ready.entries.length, mustSync: ready.mustSync }).toEqual({
      entries: 1,
      mustSync: true,
    });
    expect(ready.messages).toMatchObject([{ type: "append-response", index: 1 }]);
  });
});
