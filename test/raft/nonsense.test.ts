/** Members that are sent whatever fits the type of a message. */
import { expect, test } from "bun:test";
import { randomBelow, seededRandom } from "../../src/lib/random.ts";
import { EMPTY_CONF_STATE } from "../../src/raft/core/configuration.ts";
import type { Entry, Message } from "../../src/raft/core/types.ts";
import { entry, followerOf, leaderOf, type Member } from "./members.ts";

const NOTHING = new Uint8Array();

const random = seededRandom(20_261_122);
const numbers = [0, 1, 2, 3, 4, 5, 9, -1, 0.5, NaN, Infinity, 2 ** 48, 2 ** 53, 77];
const number = (): number => numbers[randomBelow(random, numbers.length)] ?? 0;
const flag = (): boolean => random.float() < 0.5;
const entries = (): Entry[] =>
  Array.from({ length: randomBelow(random, 3) }, () => entry(number(), number()));
type Maker = (envelope: { from: number; to: number; term: number }) => Message;
const timeoutNow: Maker = (e) => ({ ...e, type: "timeout-now" });
const makers: readonly Maker[] = [
  (e) => ({
    ...e,
    type: "append",
    index: number(),
    logTerm: number(),
    entries: entries(),
    commit: number(),
  }),
  (e) => ({
    ...e,
    type: "append-response",
    index: number(),
    reject: flag(),
    hint: number(),
    hintTerm: number(),
  }),
  (e) => ({ ...e, type: "heartbeat", commit: number(), round: number() }),
  (e) => ({ ...e, type: "heartbeat-response", round: number() }),
  (e) => ({
    ...e,
    type: flag() ? "vote" : "pre-vote",
    index: number(),
    logTerm: number(),
    transfer: flag(),
  }),
  (e) => ({
    ...e,
    type: flag() ? "vote-response" : "pre-vote-response",
    reject: flag(),
    commit: number(),
    commitTerm: number(),
  }),
  (e) => ({
    ...e,
    type: "snapshot",
    snapshot: {
      index: number(),
      term: number(),
      confState: { ...EMPTY_CONF_STATE, voters: [number(), 1] },
      data: NOTHING,
    },
  }),
  timeoutNow,
  (e) => ({ ...e, type: "transfer-leader", transferee: number() }),
  (e) => ({ ...e, type: "propose", proposals: [{ type: "normal", data: NOTHING }] }),
  (e) => ({ ...e, type: "read-index", context: number() }),
  (e) => ({ ...e, type: "read-index-response", index: number(), context: number() }),
];

/** Of the first entries: a nonsensical snapshot may have made the log very long. */
const committedTerms = (member: Member): number[] =>
  Array.from({ length: Math.min(member.commit, 16) }, (_, place) => member.raw.termAt(place + 1) ?? 0);

test("ten thousand messages of nonsense throw nothing, take back no commit and no term", () => {
  for (let run = 0; run < 100; run++) {
    const member = run % 2 === 0 ? followerOf(2) : leaderOf(3).leader;
    for (let count = 0; count < 100; count++) {
      const { term, commit } = member;
      const committed = committedTerms(member);
      const make = makers[randomBelow(random, makers.length)] ?? timeoutNow;
      member.raw.step(make({ from: number(), to: flag() ? 1 : number(), term: number() }));
      if (flag()) member.raw.tick();
      member.settle();
      expect(member.term).toBeGreaterThanOrEqual(term);
      expect(member.commit).toBeGreaterThanOrEqual(commit);
      expect(member.commit).toBeLessThanOrEqual(member.raw.status().lastIndex);
      // A snapshot may have replaced the log; what is left of the committed part is what it was.
      const now = committedTerms(member).slice(0, committed.length);
      expect(now.filter((each, place) => each !== 0 && each !== committed[place])).toEqual([]);
    }
  }
});
