import { describe, expect, test } from "bun:test";
import { utf8 } from "../../../src/lib/bytes.ts";
import type { Command } from "../../../src/raft/state/commands.ts";
import {
  ENDED_SESSIONS_MAX,
  RESULTS_MAX,
  RESULTS_PER_SESSION_MAX,
  SESSIONS_MAX,
} from "../../../src/raft/state/limits.ts";
import type { Result } from "../../../src/raft/state/results.ts";
import { Sessions } from "../../../src/raft/state/sessions.ts";
import { Replica } from "./replica.ts";

const set = (key: string, value = "1"): Command => ({ kind: "set", key, value: utf8(value) });
const open = (session: number): Command => ({ kind: "open-session", session });
const DONE: Result = { kind: "done", revision: 0 };

function opened(...sessions: readonly number[]): Replica {
  const replica = new Replica();
  for (const session of sessions) expect(replica.result(open(session))).toEqual(DONE);
  return replica;
}

describe("sessions", () => {
  test("a retried command gives the remembered result and changes nothing", () => {
    const replica = opened(7);
    const first = replica.apply(set("a"), 7, 1);
    expect([first.repeated, first.result]).toEqual([false, { kind: "done", revision: 1 }]);
    replica.apply(set("b"), 7, 2);
    const again = replica.apply(set("a"), 7, 1);
    expect([again.repeated, again.result, again.change]).toEqual([true, first.result, undefined]);
    expect(replica.state.revision).toBe(2);
  });

  test.each<[string, Command, Result["kind"]]>([
    ["a conflict", { kind: "compare-and-set", key: "a", expected: 5, value: null }, "conflict"],
    ["an absent key", { kind: "delete", key: "a" }, "not-found"],
    ["a lease that somebody holds", { kind: "acquire-lease", name: "n", holder: "b", ttlMs: 100 }, "held"],
    ["a key too long", set("k".repeat(600)), "too-large"],
    ["a key too long, of pairs of units", set("🚢".repeat(600)), "too-large"],
    ["a key too long, of pairs of units behind one", set("k" + "🚢".repeat(600)), "too-large"],
    ["a granted lease", { kind: "acquire-lease", name: "m", holder: "b", ttlMs: 100 }, "leased"],
  ])("%s is remembered as it was, also by who learns it from a snapshot", (_, command, kind) => {
    const replica = opened(7);
    replica.apply({ kind: "acquire-lease", name: "n", holder: "a", ttlMs: 100 }, 7, 1);
    const first = replica.apply(command, 7, 2);
    expect(first.result?.kind).toBe(kind);
    replica.apply({ kind: "release-lease", name: "n", token: 1_001 }, 7, 3);
    replica.apply(set("a"), 7, 4);
    for (const each of [replica.restored(), replica]) {
      const again = each.apply(command, 7, 2);
      expect([again.repeated, again.result]).toEqual([true, first.result]);
    }
  });

  test("commands may come in any order, each once", () => {
    const replica = opened(7);
    for (const sequence of [3, 1, 2, 3, 1, 4]) replica.apply(set(`k-${sequence}`), 7, sequence, 1);
    expect(replica.state.revision).toBe(4);
  });

  test("sessions do not share sequences", () => {
    const replica = opened(7, 8);
    expect(replica.apply(set("a"), 7, 1).repeated).toBe(false);
    expect(replica.apply(set("a"), 8, 1).repeated).toBe(false);
  });

  test("without a session a command is applied as often as it comes", () => {
    const replica = new Replica();
    expect(replica.apply(set("a"), 0, 5, 5).repeated).toBe(false);
    expect(replica.apply(set("a"), 0, 5, 5).repeated).toBe(false);
    expect(replica.state.revision).toBe(2);
  });

  test("a late copy of an answered command changes nothing and has no result", () => {
    const replica = opened(7);
    replica.apply(set("a"), 7, 1);
    replica.apply(set("b"), 7, 2, 2);
    const late = replica.apply(set("a", "late"), 7, 1);
    expect([late.repeated, late.result, late.change]).toEqual([true, undefined, undefined]);
    expect(replica.state.revision).toBe(2);
  });

  test("a command that was given up is not applied by a copy that was still on its way", () => {
    const replica = opened(7);
    replica.apply(set("b"), 7, 2, 2);
    expect(replica.apply(set("a"), 7, 1).result).toBeUndefined();
    expect(replica.state.get("a")).toBeUndefined();
  });

  test("doneBelow never goes back", () => {
    const replica = opened(7);
    replica.apply(set("a"), 7, 10, 9);
    replica.apply(set("b"), 7, 11, 2);
    expect(replica.apply(set("c"), 7, 8, 2).repeated).toBe(true);
    expect(replica.apply(set("c"), 7, 9, 2).repeated).toBe(false);
  });

  test("a command of an unknown session is refused, without a trace", () => {
    const replica = opened(7);
    const before = replica.restored();
    expect(replica.apply(set("a"), 8, 1).result).toEqual({ kind: "session-expired" });
    expect(replica.equals(before)).toBe(true);
  });

  test("opening an open session changes nothing it remembers", () => {
    const replica = opened(7);
    replica.apply(set("a"), 7, 1);
    expect(replica.result(open(7))?.kind).toBe("done");
    expect(replica.apply(set("a"), 7, 1).repeated).toBe(true);
  });

  test("a closed session takes no commands and never opens again, not even after a snapshot", () => {
    const replica = opened(7);
    replica.apply(set("a"), 7, 1);
    expect(replica.result({ kind: "close-session", session: 7 })?.kind).toBe("done");
    for (const each of [replica.restored(), replica]) {
      expect(each.apply(set("a"), 7, 1).result?.kind).toBe("session-expired");
      expect(each.result(open(7))?.kind).toBe("session-expired");
      expect(each.apply(set("a"), 7, 1).result?.kind).toBe("session-expired");
      expect(each.result({ kind: "close-session", session: 7 })?.kind).toBe("session-expired");
      expect(each.state.revision).toBe(1);
    }
  });

  test("a session may close itself", () => {
    const replica = opened(7);
    expect(replica.result({ kind: "close-session", session: 7 }, 7, 1)?.kind).toBe("done");
    expect(replica.result({ kind: "close-session", session: 7 }, 7, 1)?.kind).toBe("session-expired");
  });
});

describe("limits of sessions", () => {
  test("the window counts back from the highest sequence; below it nothing is applied twice", () => {
    const replica = opened(7);
    replica.apply(set("a"), 7, 1);
    replica.apply(set("b"), 7, RESULTS_PER_SESSION_MAX, 1);
    expect(replica.apply(set("a"), 7, 1, 1).result).toEqual({ kind: "done", revision: 1 });
    replica.apply(set("c"), 7, RESULTS_PER_SESSION_MAX + 1, 1);
    const { repeated, result } = replica.apply(set("a"), 7, 1, 1);
    expect([repeated, result]).toEqual([true, undefined]);
    expect(replica.apply(set("d"), 7, 2, 1).repeated).toBe(false);
    expect(replica.state.revision).toBe(4);
    expect(replica.restored().equals(replica)).toBe(true);
  });

  test("a session remembers 4,096 results and no more", () => {
    const sessions = new Sessions();
    sessions.open(1);
    const session = sessions.use(1);
    if (session === undefined) throw new Error("it is open");
    for (let sequence = 1; sequence <= 10_000; sequence++) sessions.remember(session, sequence, DONE);
    expect(session.results.size).toBe(RESULTS_PER_SESSION_MAX);
    sessions.forgetBelow(session, 9_000);
    expect([session.results.size, session.floor]).toEqual([1_001, 9_000]);
    sessions.forgetBelow(session, Number.MAX_SAFE_INTEGER);
    expect(session.results.size).toBe(0);
  });

  test("of more than 10,000 sessions the one least recently used is evicted", () => {
    const replica = opened(...Array.from({ length: SESSIONS_MAX }, (_, place) => place + 1));
    replica.apply(set("a"), 1, 1);
    replica.apply(set("a"), 1, 1);
    // A malformed entry uses nothing, one of a session with its name does.
    replica.take(utf8("nonsense"));
    const twin = replica.restored();
    for (const each of [replica, twin]) {
      expect(each.result(open(20_001))?.kind).toBe("done");
      expect(each.result(open(3))?.kind).toBe("done");
      expect(each.result(open(20_002))?.kind).toBe("done");
      expect(each.apply(set("a"), 1, 1).repeated).toBe(true);
      expect(each.apply(set("a"), 3, 1).result?.kind).toBe("done");
      expect(each.apply(set("a"), 2, 1).result?.kind).toBe("session-expired");
      expect(each.apply(set("a"), 4, 1).result?.kind).toBe("session-expired");
      expect(each.apply(set("a"), 5, 1).result?.kind).toBe("done");
    }
    expect(twin.equals(replica)).toBe(true);
  }, 20_000);

  test("results of all sessions together are bounded: the least recently used session goes", () => {
    const sessions = new Sessions();
    const full = RESULTS_MAX / RESULTS_PER_SESSION_MAX;
    for (let id = 1; id <= full; id++) {
      sessions.open(id);
      const session = sessions.use(id);
      for (let sequence = 1; session !== undefined && sequence <= RESULTS_PER_SESSION_MAX; sequence++) {
        sessions.remember(session, sequence, DONE);
      }
    }
    expect(sessions.size).toBe(full);
    sessions.open(1_000);
    const session = sessions.use(1_000);
    if (session === undefined) throw new Error("it is open");
    sessions.remember(session, 1, DONE);
    expect([sessions.size, sessions.use(1), sessions.use(2)?.id]).toEqual([full, undefined, 2]);
    expect(sessions.open(1)).toBe(false);
  }, 20_000);

  test("of ended sessions the newest 4,096 are remembered", () => {
    const sessions = new Sessions();
    for (let id = 1; id <= ENDED_SESSIONS_MAX + 1; id++) {
      sessions.open(id);
      sessions.close(id);
    }
    expect([...sessions.ended()].length).toBe(ENDED_SESSIONS_MAX);
    expect([sessions.open(2), sessions.open(ENDED_SESSIONS_MAX + 1), sessions.open(1)]).toEqual([
      false,
      false,
      true,
    ]);
  });
});
