/** Where a member's database lies: names, folders, and what must not be found there. */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { hex, utf8 } from "../lib/bytes.ts";
import { FlotillaError, reasonOf } from "../lib/errors.ts";

/** NodeIds that file systems of every kind tell apart as they are: no capitals, nothing to escape. */
const PLAIN_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const SLUG_CHARS_MAX = 32;
const ENDING = ".db";

/**
 * `raft-<nodeId>.db`; of other nodeIds what is readable, and 16 digits of their SHA-256 behind a `~`, which no plain
 * one contains.
 */
export async function fileNameOf(nodeId: string): Promise<string> {
  if (PLAIN_NAME.test(nodeId)) return `raft-${nodeId}${ENDING}`;
  const slug = nodeId.toLowerCase().replace(/[^a-z0-9._-]/g, "_").slice(0, SLUG_CHARS_MAX);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(nodeId)));
  return `raft-${slug}~${hex(digest.subarray(0, 8))}${ENDING}`;
}

/** The file's absolute path, so that SQLite takes no name for one of its special ones. Its folder is there. */
export function preparedPath(folder: string, name: string): string {
  if (folder === "" || name === "") {
    throw new FlotillaError("invalid-option", "open Raft's storage: its folder or file has an empty name");
  }
  const absolute = resolve(folder);
  const fail = (reason: string, cause?: unknown): never => {
    throw new FlotillaError(
      "invalid-option",
      `use the folder ${JSON.stringify(absolute)} for Raft's storage: ${reason}`,
      { cause },
    );
  };
  try {
    makeFolder(absolute);
  } catch (cause) {
    fail(reasonOf(cause), cause);
  }
  if (!statSync(absolute).isDirectory()) fail("it is none");
  return join(absolute, name);
}

/** One level after the other: asked for all at once, Node tries for ever where `/proc` refuses. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  const parent = dirname(folder);
  makeFolder(parent);
  try {
    mkdirSync(folder);
  } catch (thrown) {
    // Another node of this machine may have made it meanwhile.
    if (!existsSync(folder)) throw thrown;
  }
  syncFolder(parent);
}

/**
 * SQLite takes a log of writes beside an empty database for a leftover and deletes it; here it is the newest part of
 * a database whose rest was lost. Only looks and never opens: when a process closes a file, it loses all its
 * locks on it (POSIX), SQLite's too.
 */
export function demandNoOrphan(path: string): void {
  const log = `${path}-wal`;
  // SQLite counts a single byte as nothing.
  if (sizeOf(path) > 1 || sizeOf(log) === 0) return;
  throw new FlotillaError(
    "malformed",
    `open Raft's storage ${JSON.stringify(path)}: it is empty or missing, but ${
      JSON.stringify(log)
    } is there: restore it or move both away`,
  );
}

/** Where the content of `path` is kept that belonged to `clusterId`. */
export function asidePath(path: string, clusterId: string): string {
  const stem = path.endsWith(ENDING) ? path.slice(0, -ENDING.length) : path;
  return `${stem}~${clusterId}.old${ENDING}`;
}

/** Has `write` make a durable file, and gives it the name `path` when it is whole. */
export function writeWhole(path: string, write: (draft: string) => void): void {
  const draft = `${path}.draft`;
  // Of an attempt that a crash ended.
  for (const left of [draft, `${draft}-journal`]) rmSync(left, { force: true });
  write(draft);
  renameSync(draft, path);
  syncFolder(dirname(path));
}

/** Makes names in `folder` durable. Windows cannot open folders, and needs no such help. */
function syncFolder(folder: string): void {
  try {
    const file = openSync(folder, "r");
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch {
    // What is lost then with a power failure is a file that nobody has relied upon yet, or a copy's new name.
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
