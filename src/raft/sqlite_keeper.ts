/** A member in an SQLite database: its tables, what is read from them once, and each change as one transaction. */
import { existsSync } from "node:fs";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { FlotillaError, reasonOf, shown } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { asWhole } from "../lib/shape.ts";
import { POSITION_MAX } from "./core/message_check.ts";
import type { Entry, HardState, Snapshot } from "./core/types.ts";
import { decodeEntry, decodeSnapshot, encodeEntry, encodeSnapshot } from "./log_codec.ts";
import { asidePath, writeWhole } from "./sqlite_file.ts";
import type { Keeper, Writable } from "./storage.ts";
import { faultOf, RAFT_ID_MAX, type StoredMember } from "./stored_member.ts";

/**
 * `member` is one row; its term, vote and commit_index are null before there is a hard state. Entries and snapshots
 * are in the encoding of log_codec.ts, which FORMAT in sqlite.ts covers.
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
export function createTables(db: DatabaseSync, nodeId: string, { raftId }: StoredMember): void {
  db.exec(TABLES);
  db.prepare("INSERT INTO member VALUES (1, ?, ?, NULL, NULL, NULL, NULL, 0, 0)").run(nodeId, raftId);
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
    hardState: isFresh
      ? undefined
      : { term: whole("term"), vote: whole("vote"), commit: whole("commit_index") },
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

export class SqliteKeeper implements Keeper {
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #logger: Logger;
  readonly #insertEntry: StatementSync;
  readonly #dropFrom: StatementSync;
  readonly #dropThrough: StatementSync;
  readonly #setSnapshot: StatementSync;
  readonly #setHardState: StatementSync;
  readonly #setOffset: StatementSync;
  readonly #setIdentity: StatementSync;
  /** As the database has it, and what it is to have with the next commit. */
  #stored: HardState | undefined;
  #wanted: HardState | undefined;
  #failed = false;

  /** `db` is open, locked and synchronous, and holds a member of `hardState`. */
  constructor(db: DatabaseSync, path: string, hardState: HardState | undefined, logger: Logger) {
    this.#db = db;
    this.#path = path;
    this.#logger = logger;
    this.#stored = this.#wanted = hardState;
    this.#insertEntry = db.prepare("INSERT INTO entry VALUES (?, ?)");
    this.#dropFrom = db.prepare("DELETE FROM entry WHERE position >= ?");
    this.#dropThrough = db.prepare("DELETE FROM entry WHERE position <= ?");
    this.#setSnapshot = db.prepare("INSERT OR REPLACE INTO snapshot VALUES (1, ?)");
    this.#setHardState = db.prepare("UPDATE member SET term = ?, vote = ?, commit_index = ?");
    this.#setOffset = db.prepare("UPDATE member SET offset_index = ?, offset_term = ?");
    this.#setIdentity = db.prepare("UPDATE member SET raft_id = ?, cluster_id = ?");
  }

  /**
   * A commit index alone is not worth a write: Raft finds it again (the core tolerates one that lags), and what a
   * crash may lose is the same whether SQLite has it unsynced or nobody has. It goes with the next commit, or when a
   * ready must be synced that holds nothing itself: then a configuration rests on it.
   */
  write({ hardState, entries, snapshot, mustSync }: Writable, lastIndex: number): void {
    const stored = this.#stored, wanted = hardState ?? this.#wanted;
    const isLag = wanted?.term === stored?.term && wanted?.vote === stored?.vote;
    const mayWait = !mustSync || wanted?.commit === stored?.commit;
    if (mayWait && isLag && entries.length === 0 && snapshot === undefined) {
      this.#demandUsable("write");
      this.#wanted = wanted;
      return;
    }
    this.#commit("write of a ready", wanted, () => {
      if (snapshot !== undefined) {
        this.#dropFrom.run(0);
        this.#setSnapshot.run(encodeSnapshot(snapshot));
        this.#setOffset.run(snapshot.index, snapshot.term);
      }
      const first = entries[0];
      if (first !== undefined && snapshot === undefined && first.index <= lastIndex) {
        this.#dropFrom.run(first.index);
      }
      for (const entry of entries) this.#insertEntry.run(entry.index, encodeEntry(entry));
    });
  }

  /** What a cluster left here stays beside the file, once for each. */
  replace({ clusterId }: { readonly clusterId: string | undefined }, next: StoredMember): void {
    if (clusterId !== undefined) this.#keepAside(clusterId);
    this.#commit(`start of Raft member ${next.raftId}`, next.hardState, () => {
      this.#db.exec("DELETE FROM entry; DELETE FROM snapshot");
      if (next.snapshot !== undefined) this.#setSnapshot.run(encodeSnapshot(next.snapshot));
      this.#setOffset.run(next.offset, next.offsetTerm);
      this.#setIdentity.run(next.raftId, next.clusterId ?? null);
    });
  }

  compact(snapshot: Snapshot | undefined, offset: number, offsetTerm: number): void {
    this.#commit(`compaction through ${offset}`, this.#wanted, () => {
      if (snapshot !== undefined) this.#setSnapshot.run(encodeSnapshot(snapshot));
      this.#dropThrough.run(offset);
      this.#setOffset.run(offset, offsetTerm);
    });
  }

  close(): void {
    try {
      if (!this.#failed && this.#wanted !== this.#stored) {
        this.#commit("close", this.#wanted, () => undefined);
      }
      this.#db.close();
    } catch (thrown) {
      // Whatever had to be durable is.
      this.#logger.warn("Raft's storage did not close cleanly", {
        file: this.#path,
        reason: reasonOf(thrown),
      });
    }
  }

  /** `hardState` is what the database has afterwards. */
  #commit(action: string, hardState: HardState | undefined, change: () => void): void {
    this.#demandUsable(action);
    try {
      this.#db.exec("BEGIN IMMEDIATE");
      change();
      if (hardState !== this.#stored) {
        this.#setHardState.run(hardState?.term ?? null, hardState?.vote ?? null, hardState?.commit ?? null);
      }
      this.#db.exec("COMMIT");
    } catch (cause) {
      throw this.#failure(action, cause);
    }
    this.#stored = this.#wanted = hardState;
  }

  /** After a failed sync the kernel forgets what it could not write, so that a second try proves nothing. */
  #failure(action: string, cause: unknown): FlotillaError {
    this.#failed = true;
    const message = `${action} in Raft's storage ${shown(this.#path)}: ${reasonOf(cause)}`;
    return new FlotillaError("invalid-option", message, { cause });
  }

  #demandUsable(action: string): void {
    if (!this.#failed) return;
    throw new FlotillaError(
      "invalid-option",
      `${action} in Raft's storage ${
        shown(this.#path)
      }: an earlier change failed, so nothing more can be kept`,
    );
  }

  #keepAside(clusterId: string): void {
    const aside = asidePath(this.#path, clusterId);
    this.#demandUsable("keeping aside");
    try {
      if (!existsSync(aside)) writeWhole(aside, (draft) => void this.#db.prepare("VACUUM INTO ?").run(draft));
    } catch (cause) {
      throw this.#failure(`keeping aside what belongs to cluster ${clusterId}`, cause);
    }
    this.#logger.info("Raft's storage keeps a former cluster's content aside", { clusterId, file: aside });
  }
}
