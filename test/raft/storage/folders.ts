/** Folders and files for storages under test. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../../src/lib/logger.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { openSqliteStorage } from "../../../src/raft/sqlite.ts";
import type { RaftStorage } from "../../../src/raft/storage.ts";

const made: string[] = [];

export function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "flotilla-raft-"));
  made.push(folder);
  return folder;
}

/** Removes every folder made here; for `afterAll`. */
export function removeFolders(): void {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export function openIn(dataDir: string, nodeId = "a"): Promise<RaftStorage> {
  return openSqliteStorage({ dataDir, nodeId, random: systemRandom, logger: silentLogger });
}

/** The name and content of every file in `folder`. Only while no storage there is open: see sqlite_file.ts on locks. */
export function filesIn(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder).sort().map((name) => [name, readFileSync(join(folder, name)).toString("base64")]),
  );
}
