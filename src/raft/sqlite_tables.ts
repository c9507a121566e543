/** The tables of a member in SQLite, and what is read from them once. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { FlotillaError, shown } from "../lib/errors.ts";
import { asWhole } from "../lib/shape.ts";
import { POSITION_MAX } from "./core/message_check.ts";
import type { Entry } from "./core/types.ts";
import { decodeEntry, decodeSnapshot } from "./log_codec.ts";
import { faultOf, RAFT_ID_MAX, type StoredMember } from "./stored_member.ts";

/** "Flot" in a database's header: whose file it is. */
export const APPLICATION_ID = 0x466c6f74;
/** Goes up when tables or encodings change. */
export const FORMAT = 1;

/**
 * `member` is one row; its term, vote and commit_index are null before there is a hard state. Entries and snapshots
 * are in the encoding of log_codec.ts, which FORMAT covers.
 */
const TABLES = `
  CREATE TABLE member (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    node_id TEXT NOT NULL,
    raft_id INTEGER NOT NULL,
    cluster_id TEXT,
    term INTEGER,
    vote INTEGER,
    commit_index INTEGER,
    offset_index INTEGER NOT NULL,
    offset_term INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE entry (position INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE snapshot (id INTEGER PRIMARY KEY CHECK (id = 1), bytes BLOB NOT NULL) STRICT;
`;

/** In the caller's transaction. */
export function createMember(db: DatabaseSync, nodeId: string, { raftId }: StoredMember): void {
  createTables(db);
  db.prepare("INSERT INTO member VALUES (1, ?, ?, NULL, NULL, NULL, NULL, 0, 0)").run(nodeId, raftId);
}

/** Makes `to`, which is empty, a copy. Not by `VACUUM INTO`, which Deno allows only to who may write everywhere. */
export function copyMember(from: DatabaseSync, to: DatabaseSync): void {
  to.exec("PRAGMA synchronous = FULL; BEGIN");
  createTables(to);
  for (const table of ["member", "entry", "snapshot"]) {
    let insert: StatementSync | undefined;
    for (const row of from.prepare(`SELECT * FROM ${table}`).iterate()) {
      const values = Object.values(row);
      insert ??= to.prepare(`INSERT INTO ${table} VALUES (${values.map(() => "?").join(", ")})`);
      insert.run(...values);
    }
  }
  to.exec("COMMIT");
}

function createTables(db: DatabaseSync): void {
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${FORMAT}`);
  db.exec(TABLES);
}

/** In the caller's transaction. Throws `malformed` when the rows are none of `nodeId`'s member, or contradict each other. */
export function readMember(db: DatabaseSync): { nodeId: string; member: StoredMember } {
  const row = db.prepare("SELECT * FROM member WHERE id = 1").get() ?? {};
  const whole = (name: string): number => asWhole(row[name], 0, POSITION_MAX, name);
  const isFresh = ["term", "vote", "commit_index"].every((name) => row[name] === null);
  const clusterId = row["cluster_id"] ?? undefined;
  const nodeId = row["node_id"];
  if (typeof nodeId !== "string" || (clusterId !== undefined && typeof clusterId !== "string")) {
    throw new FlotillaError("malformed", "the member's names are no texts");
  }
  const bytes = db.prepare("SELECT bytes FROM snapshot WHERE id = 1").get()?.["bytes"];
  const member = {
    raftId: asWhole(row["raft_id"], 1, RAFT_ID_MAX, "raft_id"),
    clusterId,
    hardState: isFresh ? undefined : {
      term: whole("term"),
      vote: asWhole(row["vote"], 0, Number.MAX_SAFE_INTEGER, "vote"),
      commit: whole("commit_index"),
    },
    snapshot: bytes === undefined ? undefined : decodeSnapshot(asView(bytes)),
    offset: whole("offset_index"),
    offsetTerm: whole("offset_term"),
    entries: readEntries(db),
  };
  const fault = faultOf(member);
  if (fault !== undefined) throw new FlotillaError("malformed", fault);
  return { nodeId, member };
}

function readEntries(db: DatabaseSync): Entry[] {
  const entries: Entry[] = [];
  for (const row of db.prepare("SELECT position, bytes FROM entry ORDER BY position").iterate()) {
    const entry = decodeEntry(asView(row["bytes"]));
    if (entry.index !== row["position"]) {
      throw new FlotillaError("malformed", `entry ${entry.index} stands at ${String(row["position"])}`);
    }
    entries.push(entry);
  }
  return entries;
}

function asView(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw new FlotillaError("malformed", `expected bytes, got ${shown(value)}`);
  }
  return value;
}
