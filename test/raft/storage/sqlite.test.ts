/** The file under a member: what it is called, whose it is, and which files are refused. */
import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { FlotillaError } from "../../../src/lib/errors.ts";
import { silentLogger } from "../../../src/lib/logger.ts";
import { seededRandom, systemRandom } from "../../../src/lib/random.ts";
import type { Entry } from "../../../src/raft/core/types.ts";
import { openSqliteStorage } from "../../../src/raft/sqlite.ts";
import { emptyFolder, filesIn, openIn, removeFolders } from "./folders.ts";
import { change, CLUSTER, contentOf, digestOf, normal, snapshotOf } from "./histories.ts";

afterAll(removeFolders);

const OTHER_CLUSTER = "00000000000000bb";

interface Filled {
  readonly folder: string;
  readonly file: string;
  readonly digest: string;
}

let original: Promise<Filled> | undefined;

/** A folder with node a's closed storage after a history of some 100 KB, and what was in it. */
async function filledFolder(): Promise<Filled> {
  const { file, digest } = await (original ??= fill(emptyFolder()));
  const folder = emptyFolder();
  copyFileSync(file, join(folder, "raft-a.db"));
  return { folder, file: join(folder, "raft-a.db"), digest };
}

async function fill(folder: string): Promise<Filled> {
  const storage = await openIn(folder);
  storage.begin(CLUSTER, undefined);
  for (let number = 1; number <= 60; number++) change(storage, number);
  storage.close();
  return { folder, file: join(folder, "raft-a.db"), digest: await digestOf(storage) };
}

/** The error with which node a's storage in `folder` is refused. */
async function refusal(folder: string, nodeId = "a"): Promise<FlotillaError> {
  const thrown: unknown = await openIn(folder, nodeId).then((storage) => storage.close(), (reason) => reason);
  if (!(thrown instanceof FlotillaError)) throw new Error(`opened, or failed with ${String(thrown)}`);
  return thrown;
}

function run(file: string, sql: string): void {
  const db = new DatabaseSync(file);
  db.exec(sql);
  db.close();
}

describe("a member's file", () => {
  test("holds everything after it was closed, and nothing lies beside it", async () => {
    const { folder, digest } = await filledFolder();
    expect(readdirSync(folder)).toEqual(["raft-a.db"]);
    const again = await openIn(folder);
    expect(await digestOf(again)).toBe(digest);
    again.close();
  });

  test("keeps its raftId through reopening and beginning, and the new one after a reset", async () => {
    const folder = emptyFolder();
    const first = await openIn(folder);
    first.close();
    const second = await openIn(folder);
    expect(second.raftId).toBe(first.raftId);
    second.begin(CLUSTER, snapshotOf(5, 2));
    second.close();
    const third = await openIn(folder);
    expect([third.raftId, third.clusterId]).toEqual([first.raftId, CLUSTER]);
    third.reset();
    third.close();
    const fourth = await openIn(folder);
    expect([fourth.raftId, fourth.clusterId]).toEqual([third.raftId, undefined]);
    expect(fourth.raftId).not.toBe(first.raftId);
    fourth.close();
  });

  test("gets a raftId from the randomness that was given", async () => {
    const open = () =>
      openSqliteStorage({
        dataDir: emptyFolder(),
        nodeId: "a",
        random: seededRandom(7),
        logger: silentLogger,
      });
    const one = await open(), other = await open();
    expect(one.raftId).toBe(other.raftId);
    one.close();
    other.close();
  });

  test("has a commit index that came alone once it is closed", async () => {
    const folder = emptyFolder();
    const storage = await openIn(folder);
    storage.begin(CLUSTER, undefined);
    const hardState = { term: 1, vote: 1, commit: 0 };
    storage.write({ hardState, entries: [normal(1, 1)], snapshot: undefined, mustSync: true });
    storage.write({
      hardState: { ...hardState, commit: 1 },
      entries: [],
      snapshot: undefined,
      mustSync: false,
    });
    storage.close();
    const again = await openIn(folder);
    expect(again.initialState().hardState).toEqual({ term: 1, vote: 1, commit: 1 });
    again.close();
  });

  test("has every vote at once, whatever `mustSync` says, and a commit index alone with the next write", async () => {
    const folder = emptyFolder();
    const storage = await openIn(folder);
    const write = (term: number, commit: number, entries: readonly Entry[] = []): void =>
      storage.write({ hardState: { term, vote: 2, commit }, entries, snapshot: undefined, mustSync: false });
    /** What a killed process would leave. Reading the files drops this one's lock on them, which nobody wants here. */
    const left = async (): Promise<unknown> => {
      const copy = emptyFolder();
      for (const name of readdirSync(folder)) copyFileSync(join(folder, name), join(copy, name));
      const opened = await openIn(copy);
      opened.close();
      return opened.initialState().hardState;
    };
    storage.begin(CLUSTER, undefined);
    write(4, 0);
    expect(await left()).toEqual({ term: 4, vote: 2, commit: 0 });
    write(4, 0, [normal(1, 4), normal(2, 4)]);
    write(4, 1);
    expect(await left()).toEqual({ term: 4, vote: 2, commit: 0 });
    storage.write({ hardState: undefined, entries: [normal(3, 4)], snapshot: undefined, mustSync: true });
    expect(await left()).toEqual({ term: 4, vote: 2, commit: 1 });
    write(4, 2);
    storage.compact(snapshotOf(1, 4), 1);
    expect(await left()).toEqual({ term: 4, vote: 2, commit: 2 });
    storage.close();
  });

  test("lies where `path` says, in folders that are made", async () => {
    const path = join(emptyFolder(), "deep", "down", "mine.sqlite");
    const options = { path, nodeId: "a", random: systemRandom, logger: silentLogger };
    const storage = await openSqliteStorage(options);
    storage.begin(CLUSTER, undefined);
    storage.reset();
    storage.close();
    expect(readdirSync(join(path, "..")).sort()).toEqual(["mine.sqlite", `mine.sqlite~${CLUSTER}.old.db`]);
  });
});

describe("the names of nodes", () => {
  const names = [
    "a",
    "A",
    "node-1.example.com",
    "a/b",
    "a\\b",
    "../../a",
    ".",
    "..",
    "a~0123456789abcdef",
    "con",
    "naïve",
    "Ω".repeat(64),
    "x".repeat(128),
    "X".repeat(128),
    " ",
    "%2e",
    ":memory:",
    "file:x?mode=memory",
  ];

  test("lead to a file each, in the folder, that file systems of every kind take and tell apart", async () => {
    const folder = emptyFolder();
    for (const nodeId of names) (await openIn(folder, nodeId)).close();
    const files = readdirSync(folder);
    expect(new Set(files.map((file) => file.toLowerCase())).size).toBe(names.length);
    expect(files.filter((file) => !/^raft-[a-z0-9._~-]{1,80}\.db$/.test(file))).toEqual([]);
    for (const nodeId of names) (await openIn(folder, nodeId)).close();
    expect(readdirSync(folder).length).toBe(names.length);
  });

  test.each([
    ["empty", ""],
    ["longer than 128 bytes", "x".repeat(129)],
    ["with a control character", "a\u0000b"],
    ["with half a character", "\ud800"],
  ])("that are %s are refused", async (_fault, nodeId) => {
    const error = await refusal(emptyFolder(), nodeId);
    expect([error.code, error.message.includes("not a nodeId")]).toEqual(["invalid-option", true]);
  });
});

describe("what a cluster left", () => {
  test("is kept aside by a reset and by a beginning elsewhere, whole and once for each cluster", async () => {
    const { folder, file, digest } = await filledFolder();
    const aside = `raft-a~${CLUSTER}.old.db`;
    const storage = await openIn(folder);
    const { raftId } = storage;
    storage.begin(OTHER_CLUSTER, snapshotOf(3, 1));
    expect(readdirSync(folder)).toContain(aside);
    storage.reset();
    storage.begin(CLUSTER, undefined);
    storage.write({ hardState: undefined, entries: [normal(1, 9)], snapshot: undefined, mustSync: true });
    storage.reset();
    storage.close();
    expect(readdirSync(folder).sort()).toEqual(["raft-a.db", aside, `raft-a~${OTHER_CLUSTER}.old.db`].sort());
    const options = { nodeId: "a", random: systemRandom, logger: silentLogger };
    const old = await openSqliteStorage({ ...options, path: join(folder, aside) });
    expect([await digestOf(old), old.raftId]).toEqual([digest, raftId]);
    old.close();
    expect(existsSync(`${file}.draft`)).toBe(false);
  });

  test("is not kept when there was nothing", async () => {
    const folder = emptyFolder();
    const storage = await openIn(folder);
    storage.reset();
    storage.begin(CLUSTER, undefined);
    storage.close();
    expect(readdirSync(folder)).toEqual(["raft-a.db"]);
  });
});

describe("a file in use", () => {
  test("is refused by name, and free again after closing", async () => {
    const folder = emptyFolder();
    const storage = await openIn(folder);
    const error = await refusal(folder);
    expect(error.code).toBe("invalid-option");
    expect(error.message).toContain(`raft-a.db": another process is using it`);
    storage.begin(CLUSTER, undefined);
    storage.close();
    (await openIn(folder)).close();
  });
});

describe("a file that is refused", () => {
  /** That node a's storage in `folder` is refused so, and that its files stay what they are. */
  async function refused(folder: string, code: string, message: string, nodeId = "a"): Promise<void> {
    const before = filesIn(folder);
    const error = await refusal(folder, nodeId);
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)]);
    expect(error.message).toContain(`open Raft's storage "${folder}`);
    expect(filesIn(folder)).toEqual(before);
  }

  test("belongs to another node", async () => {
    const { folder } = await filledFolder();
    const path = join(folder, "raft-a.db");
    const opening = openSqliteStorage({ path, nodeId: "b", random: systemRandom, logger: silentLogger });
    await expect(opening).rejects.toThrow(`raft-a.db": it belongs to node "a", not to "b"`);
    (await openIn(folder)).close();
  });

  test("is of a newer format", async () => {
    const { folder, file } = await filledFolder();
    run(file, "PRAGMA user_version = 2");
    await refused(folder, "invalid-option", "it is of format 2, and this version reads up to 1");
  });

  test("is another program's database", async () => {
    const folder = emptyFolder();
    run(join(folder, "raft-a.db"), "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    await refused(folder, "invalid-option", "it is a database of something else");
  });

  test.each([
    ["text", "hello"],
    ["a long text", "hello ".repeat(10_000)],
    ["zeros", "\0".repeat(8_192)],
    ["SQLite's first words alone", "SQLite format 3\0"],
  ])("is no database but %s", async (_what, content) => {
    const folder = emptyFolder();
    writeFileSync(join(folder, "raft-a.db"), content);
    await refused(folder, "malformed", "it is damaged or no database");
  });

  test.each([2, 99, 100, 512, 4_095, 4_096, 8_192, 20_000, 40_960])(
    "was cut after %d bytes",
    async (bytes) => {
      const { folder, file } = await filledFolder();
      truncateSync(file, bytes);
      await refused(folder, "malformed", "damaged");
    },
  );

  test("was lost while its log of writes was not", async () => {
    const { folder, file } = await filledFolder();
    writeFileSync(`${file}-wal`, "the newest writes");
    truncateSync(file, 0);
    await refused(folder, "malformed", "it is empty or missing, but");
  });

  test("is a folder", async () => {
    const folder = emptyFolder();
    mkdirSync(join(folder, "raft-a.db"));
    const error = await refusal(folder);
    expect([error.code, error.message.includes("raft-a.db")]).toEqual(["invalid-option", true]);
  });

  const DAMAGES: readonly (readonly [string, string, string])[] = [
    [
      "lacks an entry",
      "DELETE FROM entry WHERE position = (SELECT max(position) - 1 FROM entry)",
      "stands where",
    ],
    ["lacks the last entries", "DELETE FROM entry", "and the log ends at"],
    [
      "has an entry at another's place",
      "UPDATE entry SET position = position + 1000 WHERE position = (SELECT max(position) FROM entry)",
      "stands at",
    ],
    [
      "has an entry of other bytes",
      "UPDATE entry SET bytes = x'0901' WHERE position = (SELECT max(position) FROM entry)",
      "has 9 where 0 or 1 must be",
    ],
    [
      "has entries of falling terms",
      "UPDATE entry SET bytes = CAST(x'0001' || substr(bytes, 3) AS BLOB) WHERE position = (SELECT max(position) FROM entry)",
      "is of term 1, after",
    ],
    ["lacks its snapshot", "DELETE FROM snapshot", "and there is no snapshot"],
    ["has a broken snapshot", "UPDATE snapshot SET bytes = x'05'", "ends too early"],
    [
      "has a commit index beyond its log",
      "UPDATE member SET commit_index = 1000000",
      "entry 1000000 is committed",
    ],
    ["has a raftId of 0", "UPDATE member SET raft_id = 0", "expected raft_id from 1"],
    ["has a number that is none in JavaScript", "UPDATE member SET term = 9223372036854775807", "damaged"],
    ["has a vote in no term", "UPDATE member SET term = NULL", "expected term"],
    ["has a log and no cluster", "UPDATE member SET cluster_id = NULL", "there is a log and no cluster"],
    ["has a cluster of no such id", "UPDATE member SET cluster_id = 'x'", "is not 16 hex digits"],
    ["has no member", "DELETE FROM member", "the member's names are no texts"],
    ["has no table of entries", "DROP TABLE entry", "no such table"],
  ];
  test.each(DAMAGES)("%s", async (_name, sql, message) => {
    const { folder, file } = await filledFolder();
    run(file, sql);
    await refused(folder, "malformed", message);
  });

  test("is new when it is there and has nothing in it", async () => {
    const folder = emptyFolder();
    writeFileSync(join(folder, "raft-a.db"), "");
    const storage = await openIn(folder);
    expect(contentOf(storage)).toMatchObject({ clusterId: undefined, last: 0 });
    storage.close();
  });
});

describe("a folder that cannot be used", () => {
  test.each([
    ["lies in a file", (folder: string) => join(folder, "file", "data"), "use the folder"],
    ["is a file", (folder: string) => join(folder, "file"), "it is none"],
    ["cannot be written to", () => "/proc/self", "cannot be read and written"],
    ["cannot be made", () => "/proc/self/data", "use the folder"],
  ])("is named when it %s", async (_fault, place, message) => {
    const folder = emptyFolder();
    writeFileSync(join(folder, "file"), "");
    const dataDir = place(folder);
    const error = await refusal(dataDir);
    expect([error.code, error.message]).toEqual(["invalid-option", expect.stringContaining(message)]);
    expect(error.message).toContain(dataDir);
  });

  test("is refused when it has no name", async () => {
    expect((await refusal("")).message).toContain("empty name");
  });
});
