import { describe, expect, test } from "bun:test";
import type { Answer, Call, Operation } from "../linearizability/operation.ts";
import { lostWrites } from "./lost_writes.ts";

const history = (...rows: readonly (readonly [Call, Answer | undefined])[]): Operation[] =>
  rows.map(([call, answer], at) => ({
    client: 0,
    key: "k",
    call,
    calledAt: at * 2,
    returnedAt: answer === undefined ? undefined : at * 2 + 1,
    answer,
  }));

const get: Call = { kind: "get" };
const remove: Call = { kind: "delete" };
const set = (value: string): Call => ({ kind: "set", value });
const done = (revision: number): Answer => ({ kind: "done", revision });
const found = (value: string, revision: number): Answer => ({ kind: "found", value, revision });
const absent: Answer = { kind: "not-found" };

describe("an acknowledged write", () => {
  test("is not lost when the last read shows it, or a later one that may have happened", () => {
    expect(lostWrites(history([set("a"), done(1)], [get, found("a", 1)]))).toEqual([]);
    expect(lostWrites(history([set("a"), done(1)], [set("b"), undefined], [get, found("b", 2)]))).toEqual([]);
    expect(lostWrites(history([set("a"), done(1)], [remove, done(2)], [get, absent]))).toEqual([]);
    expect(lostWrites(history([set("a"), done(1)], [remove, undefined], [get, absent]))).toEqual([]);
  });

  test("is lost when the last read shows something older, or nothing", () => {
    const first = [set("a"), done(1)] as const, second = [set("b"), done(2)] as const;
    expect(lostWrites(history(first, second, [get, found("a", 1)]))).toEqual([
      "k: client 0, 2 to 3: set b: done at 2; client 0, 4 to 5: get: found a at 1",
    ]);
    expect(lostWrites(history(first, [get, absent]))).toHaveLength(1);
    expect(lostWrites(history(first, [remove, done(2)], [get, found("a", 1)]))).toHaveLength(1);
  });

  test("is not known to be kept when nobody read at the end", () => {
    expect(lostWrites(history([set("a"), done(1)], [get, undefined]))).toHaveLength(1);
  });
});
