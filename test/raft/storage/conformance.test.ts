/** What every storage does, with a disk or without. */
import { afterAll, describe, expect, test } from "bun:test";
import { systemRandom } from "../../../src/lib/random.ts";
import { MemoryRaftStorage, type RaftStorage, type Writable } from "../../../src/raft/storage.ts";
import { emptyFolder, openIn, removeFolders } from "./folders.ts";
import { change, CLUSTER, CONF, contentOf, digestOf, normal, snapshotOf } from "./histories.ts";

afterAll(removeFolders);

const OTHER_CLUSTER = "00000000000000bb";
const NO_CONF = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };

interface Kind {
  readonly durable: boolean;
  readonly open: () => Promise<RaftStorage>;
}
const KINDS: readonly (readonly [string, Kind])[] = [
  ["memory", { durable: false, open: async () => new MemoryRaftStorage(systemRandom) }],
  ["SQLite", { durable: true, open: () => openIn(emptyFolder()) }],
];

/** A ready with nothing but what is given. */
function ready(parts: Partial<Writable>): Writable {
  return { hardState: undefined, entries: [], snapshot: undefined, mustSync: true, ...parts };
}

describe.each(KINDS)("storage in %s", (_name, kind) => {
  async function begun(): Promise<RaftStorage> {
    const storage = await kind.open();
    storage.begin(CLUSTER, undefined);
    return storage;
  }

  /** Entries 1 to 5 of terms 1, 1, 2, 2, 3; 4 are committed. */
  async function filled(): Promise<RaftStorage> {
    const storage = await begun();
    const entries = [1, 1, 2, 2, 3].map((term, at) => normal(at + 1, term));
    storage.write(ready({ entries, hardState: { term: 3, vote: 2, commit: 4 } }));
    return storage;
  }

  /** That `act` is refused with `message` and changes nothing. */
  function refuses(storage: RaftStorage, message: string, act: () => void): void {
    const before = contentOf(storage);
    expect(act).toThrow(message);
    expect(contentOf(storage)).toEqual(before);
  }

  test("a new one has a raftId of its own, no cluster and no log", async () => {
    const storage = await kind.open(), other = await kind.open();
    expect(storage.durable).toBe(kind.durable);
    expect(storage.raftId).toBeGreaterThan(0);
    expect(storage.raftId).toBeLessThan(2 ** 48 + 1);
    expect(storage.raftId).not.toBe(other.raftId);
    expect(contentOf(storage)).toEqual({
      clusterId: undefined,
      hardState: undefined,
      confState: NO_CONF,
      first: 1,
      last: 0,
      before: 0,
      entries: [],
      snapshot: undefined,
    });
    storage.close();
    other.close();
  });

  test("it shows what a ready held", async () => {
    const storage = await filled();
    expect(storage.initialState()).toEqual({
      hardState: { term: 3, vote: 2, commit: 4 },
      confState: NO_CONF,
    });
    expect([0, 1, 2, 3, 4, 5, 6].map((index) => storage.term(index))).toEqual([0, 1, 1, 2, 2, 3, undefined]);
    expect(storage.entries(2, 4, Infinity)).toEqual([normal(2, 1), normal(3, 2)]);
    expect(storage.entries(2, 6, 1)).toEqual([normal(2, 1)]);
    storage.close();
  });

  test("entries replace what stood at their place and behind", async () => {
    const storage = await filled();
    storage.write(ready({ entries: [normal(4, 4)] }));
    expect(storage.entries(1, 9, Infinity)).toEqual([normal(1, 1), normal(2, 1), normal(3, 2), normal(4, 4)]);
    storage.close();
  });

  test("a leader's snapshot replaces the log, and entries of the same ready follow it", async () => {
    const storage = await filled();
    const snapshot = snapshotOf(9, 4);
    storage.write(ready({ snapshot, entries: [normal(10, 4)], hardState: { term: 4, vote: 0, commit: 9 } }));
    expect(contentOf(storage)).toEqual({
      clusterId: CLUSTER,
      hardState: { term: 4, vote: 0, commit: 9 },
      confState: CONF,
      first: 10,
      last: 10,
      before: 4,
      entries: [normal(10, 4)],
      snapshot,
    });
    storage.close();
  });

  test("a commit index that comes alone is shown, and the next write builds on it", async () => {
    const storage = await filled();
    storage.write(ready({ hardState: { term: 3, vote: 2, commit: 5 }, mustSync: false }));
    expect(storage.initialState().hardState).toEqual({ term: 3, vote: 2, commit: 5 });
    storage.write(ready({ entries: [normal(6, 3)] }));
    expect(storage.initialState().hardState).toEqual({ term: 3, vote: 2, commit: 5 });
    storage.close();
  });

  test("compaction keeps the snapshot and the entries behind `through`", async () => {
    const storage = await filled();
    storage.compact(snapshotOf(4, 2), 2);
    expect(contentOf(storage)).toMatchObject({ first: 3, last: 5, before: 1, snapshot: snapshotOf(4, 2) });
    expect(storage.term(1)).toBe(undefined);
    expect(storage.entries(2, 5, Infinity)).toBe(undefined);
    expect(storage.initialState().confState).toEqual(CONF);
    storage.compact(snapshotOf(4, 2), 4);
    expect(contentOf(storage)).toMatchObject({ first: 5, last: 5, before: 2, snapshot: snapshotOf(4, 2) });
    storage.close();
  });

  test("compaction to what is compacted already, or with an older snapshot, takes nothing back", async () => {
    const storage = await filled();
    storage.compact(snapshotOf(4, 2), 3);
    const before = contentOf(storage);
    storage.compact(snapshotOf(4, 2), 3);
    storage.compact(snapshotOf(3, 2), 1);
    storage.compact(snapshotOf(1, 1), 1);
    expect(contentOf(storage)).toEqual(before);
    storage.close();
  });

  test("it begins in a cluster with a snapshot, as the same member", async () => {
    const storage = await filled();
    const { raftId } = storage;
    storage.begin(OTHER_CLUSTER, snapshotOf(7, 5));
    expect(contentOf(storage)).toEqual({
      clusterId: OTHER_CLUSTER,
      hardState: { term: 5, vote: 0, commit: 7 },
      confState: CONF,
      first: 8,
      last: 7,
      before: 5,
      entries: [],
      snapshot: snapshotOf(7, 5),
    });
    expect(storage.raftId).toBe(raftId);
    storage.close();
  });

  test("it begins in a cluster with nothing", async () => {
    const storage = await filled();
    storage.begin(OTHER_CLUSTER, undefined);
    expect(contentOf(storage)).toMatchObject({
      clusterId: OTHER_CLUSTER,
      hardState: undefined,
      first: 1,
      last: 0,
    });
    storage.close();
  });

  test("a reset one is another member, of no cluster, without a log", async () => {
    const storage = await filled();
    const { raftId } = storage;
    storage.reset();
    expect(contentOf(storage)).toMatchObject({
      clusterId: undefined,
      hardState: undefined,
      first: 1,
      last: 0,
    });
    expect(storage.raftId).not.toBe(raftId);
    storage.begin(CLUSTER, undefined);
    expect(storage.clusterId).toBe(CLUSTER);
    storage.close();
  });

  test("it never begins twice in one cluster: it would vote twice in a term", async () => {
    const storage = await filled();
    refuses(storage, "it is a member of it already", () => storage.begin(CLUSTER, snapshotOf(2, 1)));
    storage.close();
  });

  test.each(["", "00AA", "00000000000000AA", "00000000000000a", "00000000000000aa0"])(
    "a cluster of the id %s is refused",
    async (clusterId) => {
      const storage = await kind.open();
      refuses(storage, "is not 16 hex digits", () => storage.begin(clusterId, undefined));
      storage.close();
    },
  );

  test("nothing is written before it belongs to a cluster, and an empty ready never is", async () => {
    const storage = await kind.open();
    storage.write(ready({}));
    refuses(storage, "it belongs to no cluster", () => storage.write(ready({ entries: [normal(1, 1)] })));
    storage.close();
  });

  test.each<readonly [string, Partial<Writable>, string]>([
    ["leave a gap", { entries: [normal(7, 3)] }, "entry 7 does not fit a log from 1 to 5"],
    ["skip one", { entries: [normal(6, 3), normal(8, 3)] }, "entry 8 stands where 7 must be"],
    ["go back in terms", { entries: [normal(6, 2)] }, "entry 6 is of term 2, after one of term 3"],
    ["are in the snapshot", { snapshot: snapshotOf(9, 3), entries: [normal(9, 3)] }, "entry 9 does not fit"],
    [
      "are not committed",
      { hardState: { term: 3, vote: 2, commit: 6 } },
      "entry 6 is committed, and the log ends at 5",
    ],
    ["have no term", { snapshot: snapshotOf(9, 0) }, "the snapshot is of entry 9 of term 0"],
    [
      "have members twice",
      { snapshot: { ...snapshotOf(9, 3), confState: { ...CONF, voters: [1, 1] } } },
      "a member is listed twice",
    ],
  ])("entries and snapshots that %s are refused", async (_fault, parts, message) => {
    const storage = await filled();
    refuses(storage, message, () => storage.write(ready(parts)));
    storage.close();
  });

  test("an old snapshot, entries before the log and a compaction beyond its snapshot are refused", async () => {
    const storage = await filled();
    storage.compact(snapshotOf(4, 2), 3);
    refuses(
      storage,
      "its snapshot is of 4, the one here of 4",
      () => storage.write(ready({ snapshot: snapshotOf(4, 2) })),
    );
    refuses(
      storage,
      "entry 3 does not fit a log from 4 to 5",
      () => storage.write(ready({ entries: [normal(3, 3)] })),
    );
    refuses(storage, "the snapshot is of 5", () => storage.compact(snapshotOf(5, 3), 6));
    refuses(storage, "which is not in the log", () => storage.compact(snapshotOf(5, 2), 4));
    refuses(storage, "which is not in the log", () => storage.compact(snapshotOf(6, 3), 4));
    storage.close();
  });

  test("a closed one can be read and not changed", async () => {
    const storage = await filled();
    storage.close();
    storage.close();
    const closed = "in a storage that is closed";
    refuses(storage, closed, () => storage.write(ready({ entries: [normal(6, 3)] })));
    refuses(storage, closed, () => storage.begin(OTHER_CLUSTER, undefined));
    refuses(storage, closed, () => storage.compact(snapshotOf(4, 2), 3));
    refuses(storage, closed, () => storage.reset());
    expect(storage.entries(5, 6, Infinity)).toEqual([normal(5, 3)]);
  });
});

describe("storage in memory and in SQLite", () => {
  test("show the same after every change of a long history, and SQLite again after closing", async () => {
    const folder = emptyFolder();
    const memory = new MemoryRaftStorage(systemRandom);
    let sqlite = await openIn(folder);
    const { raftId } = sqlite;
    for (const storage of [memory, sqlite]) storage.begin(CLUSTER, undefined);
    for (let number = 1; number <= 80; number++) {
      for (const storage of [memory, sqlite]) change(storage, number);
      expect(await digestOf(sqlite)).toBe(await digestOf(memory));
      if (number % 10 > 0) continue;
      sqlite.close();
      sqlite = await openIn(folder);
      expect(await digestOf(sqlite)).toBe(await digestOf(memory));
      expect(sqlite.raftId).toBe(raftId);
    }
    sqlite.close();
  }, 20_000);
});
