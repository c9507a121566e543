import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../src/lib/random.ts";
import type { Message } from "../../src/raft/core/types.ts";
import { answer, answerAll, type WitnessRecord } from "../../src/raft/witness.ts";
import { scale } from "../support/scale.ts";
import { entry } from "./members.ts";
import { type Answers, DATA, WitnessWorld } from "./witness/world.ts";

const RECORD: WitnessRecord = {
  raftId: 3,
  clusterId: "00000000000000aa",
  term: 5,
  vote: 0,
  lastTerm: 4,
  lastIndex: 10,
};

const voteOf = (from: number, term: number, logTerm: number, index: number): Message => ({
  type: "vote",
  from,
  to: 3,
  term,
  index,
  logTerm,
  transfer: false,
});
const appendOf = (term: number, logTerm: number, index: number, terms: readonly number[] = []): Message => ({
  type: "append",
  from: 1,
  to: 3,
  term,
  index,
  logTerm,
  entries: terms.map((of, place) => entry(of, index + 1 + place)),
  commit: 0,
});
const granted = (record: WitnessRecord, message: Message): boolean => {
  const [reply] = answer(record, message).replies;
  return reply !== undefined && "reject" in reply && !reply.reject;
};
const noted = (
  { term, vote, lastTerm, lastIndex }: WitnessRecord,
): number[] => [term, vote, lastTerm, lastIndex];

describe("a witness", () => {
  test.each([
    ["to a log that ends where it has noted", voteOf(1, 6, 4, 10), true],
    ["to a longer one", voteOf(1, 6, 4, 11), true],
    ["to a shorter one of a later term", voteOf(1, 6, 5, 2), true],
    ["not to a shorter one", voteOf(1, 6, 4, 9), false],
    ["not to a longer one of an earlier term", voteOf(1, 6, 3, 99), false],
  ])("gives its vote %s", (_, message, expected) => {
    expect(granted(RECORD, message)).toBe(expected);
    expect(granted(RECORD, { ...message, type: "pre-vote" } as Message)).toBe(expected);
  });

  test("votes once a term, and again for the same candidate", () => {
    const { record } = answer(RECORD, voteOf(1, 6, 4, 10));
    expect(noted(record)).toEqual([6, 1, 4, 10]);
    expect(granted(record, voteOf(1, 6, 4, 10))).toBe(true);
    expect(granted(record, voteOf(2, 6, 4, 12))).toBe(false);
    expect(granted(record, voteOf(2, 7, 4, 12))).toBe(true);
    expect(answer(record, voteOf(2, 5, 4, 12)).replies).toEqual([]);
  });

  test("changes nothing for a pre-vote", () => {
    const { record, replies } = answer(RECORD, { ...voteOf(1, 9, 4, 10), type: "pre-vote" } as Message);
    expect(record).toBe(RECORD);
    expect(replies[0]?.term).toBe(9);
  });

  test("notes the end of an append and acknowledges it, whatever came before", () => {
    const { record, replies } = answer(RECORD, appendOf(5, 5, 40, [5, 5]));
    expect(noted(record)).toEqual([5, 0, 5, 42]);
    expect(replies).toEqual([
      { type: "append-response", from: 3, to: 1, term: 5, index: 42, reject: false, hint: 0, hintTerm: 0 },
    ]);
  });

  test("acknowledges a probe below what it has noted, goes back with a later term only, and never in one", () => {
    const probe = answer(RECORD, appendOf(5, 4, 8));
    expect(probe.record).toBe(RECORD);
    expect(probe.replies[0]).toMatchObject({ index: 8, reject: false });
    const { record } = answer(RECORD, appendOf(5, 4, 8, [5]));
    expect(noted(record)).toEqual([5, 0, 5, 9]);
    expect(answer(record, appendOf(5, 4, 7, [4])).record).toBe(record);
  });

  test("tells a former leader of the later term, and notes nothing of it", () => {
    const { record, replies } = answer(RECORD, appendOf(4, 4, 11, [4]));
    expect(record).toBe(RECORD);
    expect(replies[0]).toMatchObject({ type: "append-response", term: 5, index: 0 });
    expect(answer(RECORD, { type: "heartbeat", from: 1, to: 3, term: 4, commit: 0, round: 1 }).replies[0])
      .toMatchObject({ type: "append-response", term: 5 });
  });

  test("confirms heartbeats, and takes their term on", () => {
    const { record, replies } = answer(RECORD, {
      type: "heartbeat",
      from: 1,
      to: 3,
      term: 6,
      commit: 3,
      round: 7,
    });
    expect(noted(record)).toEqual([6, 0, 4, 10]);
    expect(replies).toEqual([{ type: "heartbeat-response", from: 3, to: 1, term: 6, round: 7 }]);
  });

  test("does not campaign when told to, and answers nothing that is malformed or for another", () => {
    for (
      const message of [
        { type: "timeout-now", from: 1, to: 3, term: 9 },
        { ...voteOf(1, 6, 4, 10), to: 4 },
        appendOf(5, 6, 8),
        { type: "propose", from: 1, to: 3, term: 0, proposals: [{ type: "normal", data: new Uint8Array() }] },
      ] as Message[]
    ) expect(answer(RECORD, message)).toEqual({ record: RECORD, replies: [] });
  });
});

/** Runs `seed` through chance and through what must be possible afterwards. */
function run(seed: number, answers: Answers, steps: number): WitnessWorld {
  const random = seededRandom(seed);
  const world = new WitnessWorld(random, answers);
  for (let step = 0; step < steps; step++) world.step();
  // One node is dead, the other reaches the witness.
  const [first, second] = random.float() < 0.5 ? DATA : [...DATA].reverse();
  const alive = world.node(first as number), dead = world.node(second as number);
  world.heal();
  world.kill(dead);
  world.start(alive);
  world.loseMail();
  const able = world.leader() === alive || world.isUpToDate(alive);
  const before = world.maxCommitted;
  world.calm(80);
  if (able !== (world.leader() === alive)) {
    throw new Error(
      `node ${alive.id} ${able ? "should lead with the witness" : "leads without what was noted"}`,
    );
  }
  if (able) {
    world.propose(alive, 3);
    world.calm(20);
    if (world.maxCommitted <= before) throw new Error(`node ${alive.id} commits nothing with the witness`);
  }
  // All are back.
  world.start(dead);
  world.calm(80);
  const leader = world.leader();
  if (leader === undefined) throw new Error("nobody leads though all are there");
  const reached = world.maxCommitted;
  world.propose(leader, 3);
  world.calm(20);
  if (world.maxCommitted <= reached) throw new Error("nothing is committed though all are there");
  return world;
}

describe("two nodes and a witness, by chance", () => {
  test(
    "there is one leader a term, nothing committed is lost, and who has all goes on with the witness alone",
    () => {
      const seen = { leaders: 0, committed: 0 };
      for (let seed = 1; seed <= scale(150, 5_000); seed++) {
        try {
          const world = run(seed, answerAll, 1_500);
          seen.leaders += world.leaders.size;
          seen.committed += world.maxCommitted;
        } catch (thrown) {
          throw new Error(`seed ${seed}: ${String(thrown)}`, { cause: thrown });
        }
      }
      expect(seen.leaders).toBeGreaterThan(scale(300, 10_000));
      expect(seen.committed).toBeGreaterThan(scale(3_000, 100_000));
    },
    60_000,
  );

  const faults: readonly [string, Answers][] = [
    ["votes for any log", (record, messages) => {
      const { record: next, replies } = answerAll({ ...record, lastTerm: 0, lastIndex: 0 }, messages);
      return { record: next, replies };
    }],
    ["forgets whom it voted for", (record, messages) => answerAll({ ...record, vote: 0 }, messages)],
    ["acknowledges what it did not note", (record, messages) => {
      const { record: next, replies } = answerAll(record, messages);
      const { lastTerm, lastIndex } = record;
      return { record: { ...next, lastTerm, lastIndex }, replies };
    }],
  ];
  test.each(faults)("a witness that %s is found out", (_, answers) => {
    const found = (): boolean => {
      for (let seed = 1; seed <= 1_000; seed++) {
        try {
          run(seed, answers, 1_500);
        } catch (thrown) {
          if (/two (votes|leaders)|lacks committed|was committed/.test(String(thrown))) return true;
        }
      }
      return false;
    };
    expect(found()).toBe(true);
  }, 60_000);
});
