import { describe, expect, test } from "bun:test";
import { HISTORY_CHANGES_MAX } from "../../../src/raft/state/limits.ts";
import type { Change } from "../../../src/raft/state/replicated_state.ts";
import { WatchHub } from "../../../src/raft/state/watches.ts";

const change = (revision: number, bytes = 1): Change => ({
  revision,
  key: `k-${revision}`,
  value: new Uint8Array(bytes),
});

function filled(from: number, to: number): WatchHub {
  const hub = new WatchHub(from);
  for (let revision = from + 1; revision <= to; revision++) hub.push(change(revision));
  return hub;
}

const since = (hub: WatchHub, revision: number): readonly number[] | "compacted" => {
  const changes = hub.changesSince(revision);
  return changes === "compacted" ? changes : changes.map((each) => each.revision);
};

describe("the history for watchers", () => {
  test("gives the changes above a revision, in order", () => {
    const hub = filled(0, 5);
    expect([since(hub, 0), since(hub, 3), since(hub, 5)]).toEqual([[1, 2, 3, 4, 5], [4, 5], []]);
    expect(hub.revision).toBe(5);
  });

  test("has nothing yet above a revision that is still to come, and has it then", () => {
    const hub = filled(0, 5);
    expect(since(hub, 7)).toEqual([]);
    for (const revision of [6, 7, 8]) hub.push(change(revision));
    expect(since(hub, 7)).toEqual([8]);
  });

  test("begins at the revision of the snapshot: what was before is compacted", () => {
    const hub = filled(100, 103);
    expect([since(hub, 99), since(hub, 100), hub.compactedTo]).toEqual(["compacted", [101, 102, 103], 100]);
  });

  test("keeps the latest 8,192 changes", () => {
    const hub = filled(0, HISTORY_CHANGES_MAX + 3);
    expect([since(hub, 2), since(hub, 3).length, hub.compactedTo]).toEqual([
      "compacted",
      HISTORY_CHANGES_MAX,
      3,
    ]);
  });

  test("keeps the latest 8 MiB", () => {
    const hub = new WatchHub(0);
    for (let revision = 1; revision <= 12; revision++) hub.push(change(revision, 1_048_576));
    // Keys and the changes themselves count too, so that eight do not fit.
    expect([since(hub, 4), since(hub, 5)]).toEqual(["compacted", [6, 7, 8, 9, 10, 11, 12]]);
  });

  test("a restored snapshot compacts all before it", () => {
    const hub = filled(0, 5);
    hub.restart(9);
    expect([since(hub, 5), since(hub, 9), hub.revision]).toEqual(["compacted", [], 9]);
    hub.push(change(10));
    expect(since(hub, 9)).toEqual([10]);
  });

  test("a gap compacts what is before it instead of counting wrong", () => {
    const hub = filled(0, 5);
    hub.push(change(8));
    expect([since(hub, 5), since(hub, 7), hub.revision]).toEqual(["compacted", [8], 8]);
  });
});

describe("watchers", () => {
  test("are woken in the order in which they came, until they leave", () => {
    const hub = filled(0, 1);
    const woken: string[] = [];
    const leaveA = hub.watch(() => woken.push("a"));
    hub.watch(() => woken.push("b"));
    hub.wake();
    leaveA();
    leaveA();
    hub.wake();
    expect(woken).toEqual(["a", "b", "b"]);
  });

  test("a change alone wakes nobody, so that a batch wakes once", () => {
    const hub = filled(0, 1);
    let woken = 0;
    hub.watch(() => woken++);
    for (const revision of [2, 3, 4]) hub.push(change(revision));
    expect(woken).toBe(0);
    hub.wake();
    expect(woken).toBe(1);
  });

  test("who leaves or comes during a wake is not woken by it", () => {
    const hub = filled(0, 1);
    const woken: string[] = [];
    hub.watch(() => {
      woken.push("a");
      leaveB();
      hub.watch(() => woken.push("c"));
    });
    const leaveB = hub.watch(() => woken.push("b"));
    hub.wake();
    expect(woken).toEqual(["a"]);
  });

  test("one function watching twice is two watchers", () => {
    const hub = new WatchHub(0);
    let woken = 0;
    const wake = (): void => void woken++;
    const leave = hub.watch(wake);
    hub.watch(wake);
    leave();
    hub.wake();
    expect(woken).toBe(1);
  });
});
