/** A member's database while it is open: each change is one transaction. */
import { existsSync } from "node:fs";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { FlotillaError, reasonOf } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { HardState, Snapshot } from "./core/types.ts";
import { encodeEntry, encodeSnapshot } from "./log_codec.ts";
import { asidePath, writeWhole } from "./sqlite_file.ts";
import { copyMember } from "./sqlite_tables.ts";
import type { Keeper, Writable } from "./storage.ts";
import type { StoredMember } from "./stored_member.ts";

/** Opens a database, made when missing. */
export type Connect = (path: string) => DatabaseSync;

export class SqliteKeeper implements Keeper {
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #connect: Connect;
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
  constructor(
    path: string,
    db: DatabaseSync,
    hardState: HardState | undefined,
    connect: Connect,
    logger: Logger,
  ) {
    this.#path = path;
    this.#db = db;
    this.#connect = connect;
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
    const message = `${action} in Raft's storage ${JSON.stringify(this.#path)}: ${reasonOf(cause)}`;
    return new FlotillaError("invalid-option", message, { cause });
  }

  #demandUsable(action: string): void {
    if (!this.#failed) return;
    throw new FlotillaError(
      "invalid-option",
      `${action} in Raft's storage ${
        JSON.stringify(this.#path)
      }: an earlier change failed, so nothing more can be kept`,
    );
  }

  #keepAside(clusterId: string): void {
    const aside = asidePath(this.#path, clusterId);
    this.#demandUsable("keeping aside");
    if (existsSync(aside)) return;
    try {
      writeWhole(aside, (draft) => {
        const copy = this.#connect(draft);
        try {
          copyMember(this.#db, copy);
        } finally {
          copy.close();
        }
      });
    } catch (cause) {
      throw this.#failure(`keeping aside what belongs to cluster ${clusterId}`, cause);
    }
    this.#logger.info("Raft's storage keeps a former cluster's content aside", { clusterId, file: aside });
  }
}
