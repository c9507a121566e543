/** A medium that fails: the call throws, nothing of it is shown, and nothing more is kept. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { FlotillaError } from "../../../src/lib/errors.ts";
import { silentLogger } from "../../../src/lib/logger.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { SqliteKeeper } from "../../../src/raft/sqlite_keeper.ts";
import { readMember } from "../../../src/raft/sqlite_tables.ts";
import { MirroredStorage, type RaftStorage } from "../../../src/raft/storage.ts";
import { emptyFolder, openIn, removeFolders } from "./folders.ts";
import { CLUSTER, contentOf, normal, snapshotOf } from "./histories.ts";

afterAll(removeFolders);

interface Broken {
  readonly folder: string;
  readonly file: string;
  readonly db: DatabaseSync;
  readonly storage: RaftStorage;
}

/** Node a's storage with entries 1 to 3, over a database that the test can do things to. */
async function open(): Promise<Broken> {
  const folder = emptyFolder(), file = join(folder, "raft-a.db");
  const made = await openIn(folder);
  made.begin(CLUSTER, undefined);
  const hardState = { term: 1, vote: 1, commit: 3 };
  const entries = [normal(1, 1), normal(2, 1), normal(3, 1)];
  made.write({ hardState, entries, snapshot: undefined, mustSync: true });
  made.close();
  const db = new DatabaseSync(file);
  const { member } = readMember(db);
  const keeper = new SqliteKeeper(file, db, member.hardState, (path) => new DatabaseSync(path), silentLogger);
  return { folder, file, db, storage: new MirroredStorage(member, systemRandom, keeper) };
}

function write(storage: RaftStorage, index: number, text?: string): void {
  const hardState = { term: 1, vote: 1, commit: index - 1 };
  storage.write({ hardState, entries: [normal(index, 1, text)], snapshot: undefined, mustSync: true });
}

/** Two of what a full disk makes fail: the first fails in the middle of a transaction. */
const LARGE = "x".repeat(1_000_000);
const CHANGES: readonly (readonly [string, (storage: RaftStorage) => void])[] = [
  ["write of entries", (storage) => write(storage, 4, LARGE)],
  [
    "write of a snapshot",
    (storage) =>
      storage.write({ hardState: undefined, entries: [], snapshot: snapshotOf(9, 1, LARGE), mustSync: true }),
  ],
  ["compaction", (storage) => storage.compact(snapshotOf(3, 1, LARGE), 2)],
  ["beginning", (storage) => storage.begin("00000000000000bb", snapshotOf(9, 2, LARGE))],
];

describe("a full disk", () => {
  test.each(CHANGES)("fails a %s, which leaves nothing here or in the file", async (_name, act) => {
    const { db, file, folder, storage } = await open();
    const before = contentOf(storage);
    db.exec("PRAGMA max_page_count = 20");
    let thrown: unknown;
    try {
      act(storage);
    } catch (error) {
      thrown = error;
    }
    if (!(thrown instanceof FlotillaError)) throw new Error("it did not fail");
    expect(thrown.code).toBe("invalid-option");
    expect(thrown.message).toContain(file);
    expect(thrown.message).toContain("database or disk is full");
    expect(contentOf(storage)).toEqual(before);
    storage.close();
    const again = await openIn(folder);
    expect(contentOf(again)).toEqual(before);
    again.close();
  });

  test("ends the storage: there is room again, and still nothing is kept", async () => {
    const { db, folder, storage } = await open();
    db.exec("PRAGMA max_page_count = 20");
    expect(() => write(storage, 4, LARGE)).toThrow("is full");
    db.exec("PRAGMA max_page_count = 100000");
    const refused = "an earlier change failed, so nothing more can be kept";
    expect(() => write(storage, 4)).toThrow(refused);
    const commit = {
      hardState: { term: 1, vote: 1, commit: 2 },
      entries: [],
      snapshot: undefined,
      mustSync: false,
    };
    expect(() => storage.write(commit)).toThrow(refused);
    expect(() => storage.compact(snapshotOf(3, 1), 2)).toThrow(refused);
    expect(() => storage.begin("00000000000000bb", undefined)).toThrow(refused);
    expect(() => storage.reset()).toThrow(refused);
    storage.close();
    expect(readdirSync(folder)).toEqual(["raft-a.db"]);
  });
});

describe("a medium that is gone", () => {
  test("fails a write, and does not keep the storage from closing", async () => {
    const { db, storage } = await open();
    const before = contentOf(storage);
    db.close();
    expect(() => write(storage, 4)).toThrow("write of a ready in Raft's storage");
    expect(contentOf(storage)).toEqual(before);
    storage.close();
  });
});

describe("content that cannot be kept aside", () => {
  test("fails a reset, which then forgets nothing", async () => {
    const { folder, storage } = await open();
    const before = contentOf(storage), { raftId } = storage;
    mkdirSync(join(folder, `raft-a~${CLUSTER}.old.db.draft`));
    expect(() => storage.reset()).toThrow(`keeping aside what belongs to cluster ${CLUSTER}`);
    expect([contentOf(storage), storage.raftId]).toEqual([before, raftId]);
    storage.close();
    const again = await openIn(folder);
    expect([contentOf(again), again.raftId]).toEqual([before, raftId]);
    again.close();
  });
});
