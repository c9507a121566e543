/** The checker against random histories, and against the definition by brute force. */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/lib/random.ts";
import { report } from "../../support/measure.ts";
import { scale } from "../../support/scale.ts";
import { bruteForce } from "./brute_force.ts";
import { checkLinearizable, type Operation } from "./checker.ts";
import { randomHistory, type Shape, withAnotherAnswer, withoutRevisions } from "./random_history.ts";
import { SPOILERS, spoilt } from "./spoil.ts";

const LARGE: Shape = { operations: 20_000, clients: 20, keys: 10, unknown: 0.04, refused: 0.02 };
const SMALL: Shape = { ...LARGE, operations: 300, keys: 3 };
/** It is checked in less than a second; this is for a machine that does other things. */
const LARGE_LIMIT_MS = 15_000;

const WITHOUT_REVISIONS_STATES_MAX = 5_000;

const TINY_SEEDS = scale(2_000, 100_000);
const SMALL_SEEDS = scale(50, 2_000);

/** Three to seven operations, with none, one or two answers that may be wrong. */
function tinyHistory(seed: number, keys: number, unknown: number): Operation[] {
  const random = seededRandom(seed);
  const shape = { operations: 3 + seed % 5, clients: 2 + seed % 3, keys, unknown, refused: 0.05 };
  let history = randomHistory(random, shape);
  for (let change = 0; change < seed % 3; change++) history = withAnotherAnswer(random, history);
  return keys === 1 && seed % 7 === 0 ? withoutRevisions(history) : history;
}

/** Seeds whose verdicts differ, and how many of them the definition finds good. */
function compare(keys: number, unknown: number): { differ: [number, boolean][]; good: number } {
  const differ: [number, boolean][] = [];
  let good = 0;
  for (let seed = 1; seed <= TINY_SEEDS; seed++) {
    const history = tinyHistory(seed, keys, unknown);
    const truth = bruteForce(history);
    if (truth) good++;
    if (checkLinearizable(history).ok !== truth) differ.push([seed, truth]);
  }
  return { differ, good };
}

describe("on tiny histories the checker agrees with the definition", () => {
  test.each([[1, 0.25], [2, 0], [3, 0]])(
    "on %i keys with a share of %f unknown",
    (keys, unknown) => {
      const { differ, good } = compare(keys, unknown);
      expect(differ).toEqual([]);
      expect(good).toBeGreaterThan(TINY_SEEDS / 4);
      expect(good).toBeLessThan(TINY_SEEDS * 3 / 4);
    },
    60_000,
  );

  test("on two keys with unknown writes it blames no good history, and misses next to no bad one", () => {
    const { differ } = compare(2, 0.25);
    // What an untold write on one key leaves of the revisions for the other is not followed up.
    expect(differ.filter(([, truth]) => truth)).toEqual([]);
    expect(differ.length).toBeLessThan(TINY_SEEDS / 200);
  }, 60_000);
});

describe("random histories of an atomic map", () => {
  test("are linearizable, with revisions and without", () => {
    const blamed: number[] = [];
    for (let seed = 1; seed <= SMALL_SEEDS; seed++) {
      const history = randomHistory(seededRandom(seed), SMALL);
      // Without revisions the search may be too long for anybody, but it must not end in the negative.
      const without = checkLinearizable(withoutRevisions(history), WITHOUT_REVISIONS_STATES_MAX).ok;
      if (checkLinearizable(history).ok !== true || without === false) blamed.push(seed);
    }
    expect(blamed).toEqual([]);
  }, 60_000);

  test.each(Object.keys(SPOILERS))("are not when one answer is: %s", (name) => {
    const missed: number[] = [];
    let spoiled = 0;
    for (let seed = 1; seed <= SMALL_SEEDS; seed++) {
      const random = seededRandom(seed);
      const history = spoilt(name, random, randomHistory(random, SMALL));
      if (history === undefined) continue;
      spoiled++;
      if (checkLinearizable(history).ok !== false) missed.push(seed);
    }
    expect(missed).toEqual([]);
    expect(spoiled).toBeGreaterThan(SMALL_SEEDS / 4);
  });

  test("of 20,000 operations on 10 keys by 20 clients are checked in seconds, good or bad", () => {
    const random = seededRandom(1);
    const history = randomHistory(random, LARGE);
    const bad = spoilt("a read of what had been replaced before its call", random, history) ?? [];
    const times = [history, bad].map((each, index) => {
      const from = performance.now();
      expect(checkLinearizable(each).ok).toBe(index === 0);
      return performance.now() - from;
    });
    const [goodMs = Infinity, badMs = Infinity] = times;
    report("linearizability of 20,000 operations", { goodMs, badMs });
    expect(Math.max(goodMs, badMs)).toBeLessThan(LARGE_LIMIT_MS);
  }, 60_000);
});
