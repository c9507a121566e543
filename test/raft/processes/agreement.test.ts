import { describe, expect, test } from "bun:test";
import { agreedLeader, isSettled } from "./agreement.ts";

type View = Exclude<Parameters<typeof agreedLeader>[0][number], undefined>;

const view = (nodeId: string, leaderId: string | null, term: number, commitIndex = 7): View => ({
  nodeId,
  leaderId,
  term,
  commitIndex,
  role: nodeId === leaderId ? "leader" : "follower",
});

describe("an agreed leader", () => {
  test("is one that a majority names in one term", () => {
    expect(agreedLeader([view("a", "b", 3), view("b", "b", 3), undefined], 3)).toEqual({
      leaderId: "b",
      term: 3,
      agreeing: ["a", "b"],
    });
  });

  test("is not one that is named by too few", () => {
    expect(agreedLeader([view("a", null, 3), view("b", "b", 3), undefined], 3)).toBeUndefined();
    expect(agreedLeader([view("a", "a", 3), view("b", "a", 3), undefined, undefined], 4)).toBeUndefined();
  });

  test("is not one that does not answer, as after its death", () => {
    expect(agreedLeader([view("a", "c", 3), view("b", "c", 3), undefined], 3)).toBeUndefined();
  });

  test("is not one of another term", () => {
    expect(agreedLeader([view("a", "b", 2), view("b", "b", 3), view("c", "b", 2)], 3)).toBeUndefined();
  });

  test("is the one of a majority beside an old one that does not know yet", () => {
    const views = [view("a", "a", 2), view("b", "b", 3), view("c", "b", 3)];
    expect(agreedLeader(views, 3)).toMatchObject({ leaderId: "b", term: 3 });
  });

  test("is nobody where Raft is off", () => {
    const off: View = { nodeId: "a", role: null, leaderId: null, term: null, commitIndex: null };
    expect(agreedLeader([off, { ...off, nodeId: "b" }], 2)).toBeUndefined();
  });
});

describe("nodes are settled", () => {
  test("when all answer, agree, and have committed the same", () => {
    const views = [view("a", "b", 3), view("b", "b", 3)];
    expect(isSettled(views)).toBe(true);
    expect(isSettled([...views, undefined])).toBe(false);
    expect(isSettled([...views, view("c", null, 3)])).toBe(false);
    expect(isSettled([...views, view("c", "b", 3, 6)])).toBe(false);
  });
});
