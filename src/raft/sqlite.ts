/**
 * A member on a disk: SQLite through `node:sqlite`, which Deno, Bun and Node have built in. One process at a time
 * has the file. What it holds must never be put back from a backup, for then it would vote a second time.
 */
import { basename, dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { sleep, systemClock } from "../lib/clock.ts";
import { type ErrorCode, FlotillaError, reasonOf, shown } from "../lib/errors.ts";
import { isNodeId } from "../lib/ids.ts";
import type { Logger } from "../lib/logger.ts";
import type { Random } from "../lib/random.ts";
import { demandNoOrphan, fileNameOf, preparedPath } from "./sqlite_file.ts";
import { type Connect, SqliteKeeper } from "./sqlite_keeper.ts";
import { APPLICATION_ID, createMember, FORMAT, readMember } from "./sqlite_tables.ts";
import { MirroredStorage, type RaftStorage } from "./storage.ts";
import { drawRaftId, memberWith, type StoredMember } from "./stored_member.ts";

export type SqliteOptions =
  & {
    /** Whose storage it is: 1 to 128 bytes of text. A file of another node is refused. */
    readonly nodeId: string;
    readonly random: Random;
    readonly logger: Logger;
  }
  & (
    /** The folder; made when missing. The file in it is named after the nodeId. */
    | { readonly dataDir: string }
    /** The file itself; its folder is made when missing. */
    | { readonly path: string }
  );

/** How long a process that is just ending may still hold the file, in milliseconds. */
const BUSY_MS = 500;
/** The longest pause between two attempts. */
const RETRY_MS_MAX = 50;
/** What stays of the log of writes between checkpoints, in bytes: 64 MiB. */
const WAL_BYTES_MAX = 67_108_864;

/** Results of SQLite (sqlite.org/rescode.html), without the detail in their upper bits. */
const ERROR = 1;
const BUSY = 5;
const LOCKED = 6;
const CORRUPT = 11;
const NOT_A_DATABASE = 26;

/** What a file holds, and the hand that changes it. */
export interface OpenSqlite {
  readonly member: StoredMember;
  readonly keeper: SqliteKeeper;
}

/** See `openSqlite`. */
export async function openSqliteStorage(options: SqliteOptions): Promise<RaftStorage> {
  const { member, keeper } = await openSqlite(options);
  return new MirroredStorage(member, options.random, keeper);
}

/**
 * Opens the file, or makes it, and locks it. Rejects with `unsupported` where the runtime has no `node:sqlite`; with
 * `malformed` when the file is damaged; with `invalid-option` when another process has it, when it is another node's,
 * of a newer format or no member's at all, or when the folder cannot be used. A file that is refused stays as it is.
 */
export async function openSqlite(options: SqliteOptions): Promise<OpenSqlite> {
  const { nodeId, random, logger } = options;
  if (!isNodeId(nodeId)) {
    throw new FlotillaError("invalid-option", `open Raft's storage of node ${shown(nodeId)}: not a nodeId`);
  }
  const path = await pathOf(options);
  const { DatabaseSync } = await import("node:sqlite").catch((cause) => {
    const message = `open Raft's storage ${JSON.stringify(path)}: this runtime has no node:sqlite (${
      reasonOf(cause)
    })`;
    throw new FlotillaError("unsupported", message, { cause });
  });
  demandNoOrphan(path);
  const connect: Connect = (file) => new DatabaseSync(file);
  for (const from = systemClock.now();;) {
    let db: DatabaseSync | undefined;
    try {
      db = connect(path);
      const member = openMember(db, nodeId, random);
      logger.info("Raft's storage is open", {
        file: path,
        raftId: member.raftId,
        clusterId: member.clusterId,
      });
      return { member, keeper: new SqliteKeeper(path, db, member.hardState, connect, logger) };
    } catch (thrown) {
      // Lets go of all locks: of rivals that each hold some and wait for the others' nobody would get all.
      db?.close();
      if (!isBusy(thrown) || systemClock.now() - from >= BUSY_MS) {
        throw refusal(path, thrown, db !== undefined);
      }
    }
    await sleep(systemClock, random.float() * RETRY_MS_MAX);
  }
}

async function pathOf(options: SqliteOptions): Promise<string> {
  if ("path" in options) return preparedPath(dirname(options.path), basename(options.path));
  return preparedPath(options.dataDir, await fileNameOf(options.nodeId));
}

/** Everything of `db`, locked for this process alone and from now on synced with every commit. */
function openMember(db: DatabaseSync, nodeId: string, random: Random): StoredMember {
  db.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE");
  // Takes the lock before anything is read: two processes that had both read would wait for each other.
  // Prepared, for Deno says nothing of SQLite's result when `exec` fails.
  db.prepare("BEGIN EXCLUSIVE").run();
  const member = isEmpty(db) ? makeMember(db, nodeId, random) : loadMember(db, nodeId);
  db.prepare("COMMIT").run();
  const mode = db.prepare("PRAGMA journal_mode = WAL").get()?.["journal_mode"];
  if (mode !== "wal") {
    throw new FlotillaError("invalid-option", `SQLite keeps its log of writes as ${shown(mode)}`);
  }
  // `fullfsync`: macOS's fsync alone leaves writes in the disk's cache.
  db.exec(
    `PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
    PRAGMA journal_size_limit = ${WAL_BYTES_MAX}`,
  );
  return member;
}

function makeMember(db: DatabaseSync, nodeId: string, random: Random): StoredMember {
  const member = memberWith(drawRaftId(random), undefined, undefined);
  createMember(db, nodeId, member);
  return member;
}

function loadMember(db: DatabaseSync, nodeId: string): StoredMember {
  if (numberOf(db, "application_id") !== APPLICATION_ID) {
    throw new FlotillaError("invalid-option", "it is a database of something else");
  }
  const format = numberOf(db, "user_version");
  if (format > FORMAT) {
    throw new FlotillaError(
      "invalid-option",
      `it is of format ${format}, and this version reads up to ${FORMAT}`,
    );
  }
  const check = db.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
  if (check !== "ok") throw new FlotillaError("malformed", `SQLite finds it damaged: ${String(check)}`);
  const { nodeId: owner, member } = readMember(db);
  if (owner === nodeId) return member;
  throw new FlotillaError("invalid-option", `it belongs to node ${shown(owner)}, not to ${shown(nodeId)}`);
}

/** Nothing was ever put into it. A write transaction alone gives it its one page. */
function isEmpty(db: DatabaseSync): boolean {
  return numberOf(db, "page_count") <= 1 && numberOf(db, "application_id") === 0 &&
    numberOf(db, "user_version") === 0 && db.prepare("SELECT 1 FROM sqlite_schema").get() === undefined;
}

function numberOf(db: DatabaseSync, pragma: "page_count" | "application_id" | "user_version"): number {
  return Number(db.prepare(`PRAGMA ${pragma}`).get()?.[pragma]);
}

function refusal(path: string, thrown: unknown, isOpen: boolean): FlotillaError {
  const action = `open Raft's storage ${JSON.stringify(path)}`;
  const refused = (code: ErrorCode, reason: string): FlotillaError =>
    new FlotillaError(code, `${action}: ${reason}`, { cause: thrown });
  if (thrown instanceof FlotillaError) return refused(thrown.code, thrown.message);
  if (isBusy(thrown)) return refused("invalid-option", "another process is using it");
  const result = resultOf(thrown);
  // Without a result it is a value that no JavaScript number can be; `ERROR` is a table or column that is not there.
  const isDamage = result === undefined ? isOpen : [ERROR, CORRUPT, NOT_A_DATABASE].includes(result);
  if (isDamage) {
    return refused("malformed", `it is damaged or no database: ${reasonOf(thrown)}`);
  }
  return refused("invalid-option", `it cannot be read and written: ${reasonOf(thrown)}`);
}

function isBusy(thrown: unknown): boolean {
  const result = resultOf(thrown);
  return result === BUSY || result === LOCKED;
}

/** SQLite's own code of an error that `node:sqlite` threw. */
function resultOf(thrown: unknown): number | undefined {
  const code = thrown instanceof Error && "errcode" in thrown ? thrown.errcode : undefined;
  return typeof code === "number" ? code & 0xff : undefined;
}
