/** Raft paper, section 5.3: log replication. */
import { describe, expect, test } from "bun:test";
import { accepted, carry, entry, leaderOf, Member } from "./members.ts";

const DATA = new TextEncoder().encode("some data");

describe("5.3 log replication", () => {
  test("a leader appends a proposal to its own log and sends it to all", () => {
    const { leader } = leaderOf(3);
    leader.receive(accepted(2, 1, 1));
    leader.receive(accepted(3, 1, 1));
    leader.raw.propose(DATA);
    const ready = leader.raw.ready();
    expect(ready.entries).toEqual([entry(1, 2, DATA)]);
    expect(ready.messages).toMatchObject([
      { type: "append", to: 2, index: 1, logTerm: 1, entries: [entry(1, 2, DATA)], commit: 1 },
      { type: "append", to: 3, index: 1, logTerm: 1, entries: [entry(1, 2, DATA)], commit: 1 },
    ]);
  });

  test("an entry that a majority has is committed, and the followers learn of it", () => {
    const { leader } = leaderOf(3);
    leader.receive(accepted(2, 1, 1));
    leader.raw.propose(DATA);
    leader.settle();
    expect(leader.commit).toBe(1);
    const sent = leader.receive(accepted(2, 1, 2));
    expect(leader.commit).toBe(2);
    expect(leader.applied.at(-1)).toEqual(entry(1, 2, DATA));
    expect(sent).toMatchObject([{ type: "append", to: 2, commit: 2 }]);
  });

  test.each([
    ["committed by 1 of 1", 1, [], true],
    ["not committed by 1 of 3", 3, [], false],
    ["committed by 2 of 3", 3, [2], true],
    ["not committed by 2 of 5", 5, [2], false],
    ["committed by 3 of 5", 5, [2, 3], true],
    ["committed by 5 of 5", 5, [2, 3, 4, 5], true],
  ])("an entry is %s", (_name, size, from, committed) => {
    const { leader } = leaderOf(size);
    for (const id of from) leader.receive(accepted(id, 1, 1));
    expect(leader.commit === 1).toBe(committed);
  });

  test("a leader counts its own copy only when it is stored", () => {
    const { leader } = leaderOf(2);
    leader.receive(accepted(2, 1, 1));
    leader.raw.propose(DATA);
    leader.raw.ready();
    leader.raw.step({ ...accepted(2, 1, 2), to: 1 });
    expect(leader.commit).toBe(1);
    leader.raw.advance();
    expect(leader.commit).toBe(2);
  });

  test.each([["none", []], ["1", [1]], ["1 and 1", [1, 1]], ["2 and 2", [2, 2]]] as const)(
    "with its own entry a leader commits all before it, here of terms %s",
    (_name, terms) => {
      const { leader } = leaderOf(3, { terms, term: 2 });
      leader.receive(accepted(2, 3, terms.length + 1));
      expect(leader.applied.map(({ term, index }) => [term, index])).toEqual([
        ...terms.map((term, place) => [term, place + 1]),
        [3, terms.length + 1],
      ]);
    },
  );

  test("a follower applies in the order of the log, and only what it is told is committed", () => {
    const follower = new Member(1, [1, 2, 3]);
    const entries = [entry(1, 1), entry(1, 2), entry(1, 3)];
    follower.receive({ type: "append", from: 2, term: 1, index: 0, logTerm: 0, entries, commit: 2 });
    expect(follower.applied).toEqual(entries.slice(0, 2));
    follower.receive({ type: "append", from: 2, term: 1, index: 3, logTerm: 1, entries: [], commit: 3 });
    expect(follower.applied).toEqual(entries);
  });

  test.each([
    ["the entry is there", 1, 1, { reject: false, index: 1 }],
    ["the log is longer", 2, 2, { reject: false, index: 2 }],
    ["the entry is of another term", 2, 1, { reject: true, index: 2 }],
    ["the entry is missing", 5, 3, { reject: true, index: 5 }],
  ])("the consistency check looks for the entry before: %s", (_case, index, logTerm, answer) => {
    const follower = new Member(1, [1, 2, 3], { terms: [1, 2, 2], term: 2, commit: 1 });
    const sent = follower.receive({
      type: "append",
      from: 2,
      term: 3,
      index,
      logTerm,
      entries: [],
      commit: 0,
    });
    expect(sent).toMatchObject([{ type: "append-response", to: 2, ...answer }]);
  });

  test.each([
    // The leader's entries, put after which, and the terms of the follower's log after that.
    ["a new one at the end is added", 2, 2, [[3, 3]], [1, 2, 3]],
    ["one of another term goes, with all behind it", 1, 1, [[3, 2], [4, 3]], [1, 3, 4]],
    ["one that is there already changes nothing", 0, 0, [[1, 1]], [1, 2]],
    ["the very first one goes", 0, 0, [[3, 1]], [3]],
  ])(
    "entries that conflict go, equal ones stay: %s",
    (_name, index, logTerm, raw, terms) => {
      const follower = new Member(1, [1, 2, 3], { terms: [1, 2], term: 2 });
      const entries = raw.map(([term = 0, place = 0]) => entry(term, place));
      follower.receive({ type: "append", from: 2, term: 4, index, logTerm, entries, commit: 0 });
      expect(follower.terms).toEqual(terms);
    },
  );

  test("an old append does not shorten the log", () => {
    const follower = new Member(1, [1, 2, 3]);
    const entries = [entry(1, 1), entry(1, 2), entry(1, 3)];
    const append = { type: "append", from: 2, term: 1, index: 0, logTerm: 0, commit: 0 } as const;
    follower.receive({ ...append, entries });
    follower.receive({ ...append, entries: entries.slice(0, 1) });
    expect(follower.terms).toEqual([1, 1, 1]);
  });

  // Figure 7: what followers can look like when a leader of term 8 comes to power.
  test.each([
    ["a", [1, 1, 1, 4, 4, 5, 5, 6, 6]],
    ["b", [1, 1, 1, 4]],
    ["c", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
    ["d", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
    ["e", [1, 1, 1, 4, 4, 4, 4]],
    ["f", [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
  ])("a leader makes the log of follower (%s) of figure 7 equal to its own", (_name, terms) => {
    const own = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    const leader = new Member(1, [1, 2, 3], { terms: own, term: 7, commit: own.length });
    const follower = new Member(2, [1, 2, 3], { terms, term: 7 });
    // The third one votes and says no more; the logs of (c) and (d) would not let their owner vote.
    leader.raw.campaign();
    leader.settle();
    const sent = leader.receive({
      type: "vote-response",
      from: 3,
      term: 8,
      reject: false,
      commit: 0,
      commitTerm: 0,
    });
    expect(leader.role).toBe("leader");
    carry([leader, follower], sent);
    expect(follower.terms).toEqual([...own, 8]);
    expect(follower.terms).toEqual(leader.terms);
  });

  test("a leader skips a whole term with each probe", () => {
    const leader = new Member(1, [1, 2], { terms: [1, ...new Array<number>(50).fill(3)], term: 3 });
    const follower = new Member(2, [1, 2], { terms: [1, ...new Array<number>(50).fill(2)], term: 2 });
    leader.raw.campaign();
    let appends = 0;
    carry([leader, follower], [], (message) => {
      if (message.type === "append") appends++;
      return true;
    });
    expect(follower.terms).toEqual(leader.terms);
    expect(appends).toBeLessThan(6);
  });

  test("a leader never changes what is in its log", () => {
    const { leader } = leaderOf(3, { terms: [1, 1], term: 1 });
    const before = leader.terms;
    leader.receive({
      type: "append",
      from: 2,
      term: 2,
      index: 0,
      logTerm: 0,
      entries: [entry(2, 1)],
      commit: 0,
    });
    expect(leader.role).toBe("leader");
    expect(leader.terms).toEqual(before);
  });
});
