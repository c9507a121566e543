/** What a faulty or hostile member can send: it is ignored or refused by rule, never thrown at, never obeyed. */
import { describe, expect, test } from "bun:test";
import { CONF_STEPS_MAX, POSITION_MAX, TERMS_AHEAD_MAX } from "../../src/raft/core/message_check.ts";
import type { ConfChange, ConfState, Entry, Message, StepResult } from "../../src/raft/core/types.ts";
import { entry, followerOf, leaderOf, Member } from "./members.ts";

const NOTHING = new Uint8Array();
const STRANGER = 77;

/** All that a message could have changed. */
function stateOf(member: Member): unknown {
  const progress = [...member.raw.progress()].map(([id, { match, next, state }]) => [id, match, next, state]);
  return { ...member.raw.status(), terms: member.terms, applied: member.applied.length, progress };
}

/** Hands `message` over; it must change nothing. What the member makes of it. */
function harmless(member: Member, message: Message): StepResult {
  const before = stateOf(member);
  const result = member.raw.step(message);
  member.settle();
  expect(stateOf(member)).toEqual(before);
  return result;
}

const APPEND = {
  type: "append",
  from: 2,
  to: 1,
  term: 3,
  index: 3,
  logTerm: 3,
  entries: [],
  commit: 0,
} as const;

describe("terms and indexes", () => {
  test.each([
    ["below 0", -1],
    ["0", 0],
    ["a fraction", 3.5],
    ["no number", NaN],
    ["beyond every number", Infinity],
    ["beyond safe integers", 2 ** 53],
    ["beyond the limit", POSITION_MAX + 1],
    ["too far ahead", 3 + TERMS_AHEAD_MAX + 1],
  ])("a term that is %s is malformed", (_name, term) => {
    expect(harmless(followerOf(2), { ...APPEND, term })).toBe("malformed");
    expect(harmless(followerOf(2), { type: "heartbeat", from: 2, to: 1, term, commit: 0, round: 0 })).toBe(
      "malformed",
    );
    const vote = { type: "vote", from: 3, to: 1, term, index: 9, logTerm: 1, transfer: true } as const;
    expect(harmless(followerOf(2), vote)).toBe("malformed");
  });

  test.each([["-1", -1], ["1.5", 1.5], ["NaN", NaN], ["beyond the limit", POSITION_MAX + 1]])(
    "an index of %s is malformed",
    (_name, index) => {
      expect(harmless(followerOf(2), { ...APPEND, index })).toBe("malformed");
      expect(harmless(followerOf(2), { ...APPEND, commit: index })).toBe("malformed");
    },
  );

  test("messages of a lower term are answered or ignored", () => {
    expect(harmless(followerOf(2), { ...APPEND, term: 2, logTerm: 1, index: 1 })).toBe("ignored");
    const stale = { type: "snapshot", from: 2, to: 1, term: 2, snapshot: snapshot({}, 9, 2) } as const;
    expect(harmless(followerOf(2), stale)).toBe("ignored");
  });

  test("an entry before the log's end that is not there is refused", () => {
    expect(harmless(followerOf(2), { ...APPEND, index: 900 })).toBe("taken");
    expect(harmless(followerOf(2), { ...APPEND, logTerm: 2 })).toBe("taken");
  });

  test("a heartbeat that names a commit beyond the log commits nothing", () => {
    const commit = 900;
    expect(harmless(followerOf(2), { type: "heartbeat", from: 2, to: 1, term: 3, commit, round: 2 })).toBe(
      "taken",
    );
  });
});

describe("entries", () => {
  const wrong: readonly (readonly [string, readonly Entry[]])[] = [
    ["with a gap before them", [entry(3, 5)]],
    ["with a gap among them", [entry(3, 4), entry(3, 6)]],
    ["twice the same", [entry(3, 4), entry(3, 4)]],
    ["with falling terms", [entry(3, 4), entry(2, 5)]],
    ["of a later term than their leader's", [entry(4, 4)]],
    ["of an earlier term than the one before", [entry(2, 4)]],
    ["of no term", [entry(0, 4)]],
  ];
  test.each(wrong)("%s are malformed", (_name, entries) => {
    expect(harmless(followerOf(2), { ...APPEND, entries })).toBe("malformed");
  });

  test("that would replace committed ones are malformed", () => {
    const member = new Member(1, [1, 2, 3], { terms: [1, 2, 3], term: 3, commit: 2 });
    member.receive({ type: "heartbeat", from: 2, term: 3, commit: 2, round: 1 });
    member.receive({ ...APPEND, commit: 3 });
    const entries = [entry(4, 2)];
    // Such a leader's first index is below our commit: it is told how far we are, and nothing is replaced.
    const before = member.terms;
    member.receive({ ...APPEND, term: 4, index: 1, logTerm: 1, entries });
    expect(member.terms).toEqual(before);
  });

  test("that overlap with the log are taken once", () => {
    const member = followerOf(2);
    member.receive({ ...APPEND, index: 2, logTerm: 2, entries: [entry(3, 3), entry(3, 4)] });
    expect(member.terms).toEqual([1, 2, 3, 3]);
  });
});

describe("senders", () => {
  test.each(
    [
      ["append-response", { type: "append-response", index: 3, reject: false, hint: 0, hintTerm: 0 }],
      ["heartbeat-response", { type: "heartbeat-response", round: 1 }],
      ["vote-response", { type: "vote-response", reject: false, commit: 0, commitTerm: 0 }],
      ["pre-vote-response", { type: "pre-vote-response", reject: true, commit: 0, commitTerm: 0 }],
      ["read-index-response", { type: "read-index-response", index: 3, context: 1 }],
    ] as const,
  )("a stranger's %s is refused, of whatever term", (_name, body) => {
    for (const term of [1, 9]) {
      const { leader } = leaderOf(3);
      expect(harmless(leader, { ...body, from: STRANGER, to: 1, term })).toBe("unknown-peer");
    }
  });

  test("a message for somebody else, from nobody or from oneself is malformed", () => {
    expect(harmless(followerOf(2), { ...APPEND, to: 2 })).toBe("malformed");
    expect(harmless(followerOf(2), { ...APPEND, from: 0 })).toBe("malformed");
    expect(harmless(followerOf(2), { ...APPEND, from: 1 })).toBe("malformed");
  });

  test("a second leader of a term is none", () => {
    expect(harmless(followerOf(2), { ...APPEND, from: 3, entries: [entry(3, 4)] })).toBe("malformed");
    expect(harmless(followerOf(2), { type: "timeout-now", from: 3, to: 1, term: 3 })).toBe("malformed");
  });

  test("an acknowledgement of entries the leader does not have counts nothing", () => {
    const { leader } = leaderOf(3);
    for (const from of [2, 3]) {
      leader.receive({
        type: "append-response",
        from,
        term: 1,
        index: 500,
        reject: false,
        hint: 0,
        hintTerm: 0,
      });
    }
    expect(leader.commit).toBe(0);
  });

  test("an answer to a round that never began proves no read", () => {
    const { leader } = leaderOf(3);
    leader.receive({
      type: "append-response",
      from: 2,
      term: 1,
      index: 1,
      reject: false,
      hint: 0,
      hintTerm: 0,
    });
    leader.raw.readIndex(5);
    leader.settle();
    leader.raw.step({ type: "heartbeat-response", from: 2, to: 1, term: 1, round: 10_000 });
    expect(leader.raw.ready().readStates).toEqual([]);
    leader.raw.advance();
    leader.raw.step({ type: "heartbeat-response", from: 2, to: 1, term: 1, round: 1 });
    expect(leader.raw.ready().readStates).toEqual([{ index: 1, context: 5 }]);
  });
});

function snapshot(
  changes: Partial<ConfState>,
  index = 9,
  term = 3,
): Extract<Message, { type: "snapshot" }>["snapshot"] {
  const confState = {
    voters: [1, 2, 3],
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    autoLeave: false,
  };
  return { index, term, confState: { ...confState, ...changes }, data: NOTHING };
}

describe("configurations", () => {
  const changes: readonly (readonly [string, ConfChange])[] = [
    ["an id below 0", { transition: "auto", steps: [{ operation: "add-voter", id: -4 }], context: NOTHING }],
    ["an id that is no integer", {
      transition: "auto",
      steps: [{ operation: "remove", id: 0.5 }],
      context: NOTHING,
    }],
    [
      "too many steps",
      {
        transition: "implicit",
        steps: new Array(CONF_STEPS_MAX + 1).fill({ operation: "add-learner", id: 5 }),
        context: NOTHING,
      },
    ],
  ];
  test.each(changes)("a change with %s is malformed, proposed or replicated", (_name, change) => {
    const { leader } = leaderOf(3);
    const before = leader.terms;
    expect(leader.raw.proposeConfChange(change)).toBe("malformed");
    const proposals = [{ type: "conf-change", change }] as const;
    expect(harmless(leader, { type: "propose", from: 2, to: 1, term: 0, proposals })).toBe("malformed");
    expect(leader.terms).toEqual(before);
    const entries = [{ type: "conf-change", term: 3, index: 4, change }] as const;
    expect(harmless(followerOf(2), { ...APPEND, entries })).toBe("malformed");
  });

  test("a committed change that cannot be made changes nothing", () => {
    const member = followerOf(2);
    const before = member.raw.status().configuration;
    const steps = [1, 2, 3].map((id) => ({ operation: "remove", id }) as const);
    const change: ConfChange = { transition: "explicit", steps, context: NOTHING };
    member.receive({ ...APPEND, entries: [{ type: "conf-change", term: 3, index: 4, change }], commit: 4 });
    expect(member.applied.at(-1)).toMatchObject({ type: "conf-change", index: 4 });
    expect(member.raw.status().configuration).toEqual(before);
  });

  test.each([
    ["without voters", snapshot({ voters: [] })],
    ["with a voter who is a learner", snapshot({ learners: [3] })],
    ["with a voter twice", snapshot({ voters: [1, 1, 2] })],
    ["with a future learner who is no outgoing voter", snapshot({ learnersNext: [4] })],
    ["that leaves no joint configuration", snapshot({ autoLeave: true })],
    ["with an id of 0", snapshot({ voters: [0, 1, 2] })],
    ["of a later term than its leader's", snapshot({}, 9, 4)],
    ["of nothing", snapshot({}, 0, 0)],
  ])("a snapshot %s is malformed", (_name, of) => {
    expect(harmless(followerOf(2), { type: "snapshot", from: 2, to: 1, term: 3, snapshot: of })).toBe(
      "malformed",
    );
  });

  test("a snapshot of what is committed here brings nothing", () => {
    const old = snapshot({ voters: [1] }, 2, 2);
    expect(harmless(followerOf(2), { type: "snapshot", from: 2, to: 1, term: 3, snapshot: old })).toBe(
      "taken",
    );
  });
});
