/** A commit index may wait for the next commit of the file, until something rests on it. */
import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { emptyFolder, openIn, removeFolders } from "./folders.ts";
import { CLUSTER, normal, snapshotOf } from "./histories.ts";

afterAll(removeFolders);

const NOTHING = { hardState: undefined, entries: [], snapshot: undefined, mustSync: false };

/** What a crash now would leave: the files as they are. */
async function commitAfterCrash(folder: string): Promise<number | undefined> {
  const copy = emptyFolder();
  for (const name of readdirSync(folder)) copyFileSync(join(folder, name), join(copy, name));
  const storage = await openIn(copy);
  const commit = storage.initialState().hardState?.commit;
  storage.close();
  return commit;
}

describe("a ready that must be synced and holds nothing", () => {
  test("makes the commit index durable that came before it", async () => {
    const folder = emptyFolder();
    const storage = await openIn(folder);
    storage.begin(CLUSTER, snapshotOf(1, 1));
    storage.write({ ...NOTHING, entries: [normal(2, 1), normal(3, 1)], mustSync: true });
    storage.write({ ...NOTHING, hardState: { term: 1, vote: 0, commit: 3 } });
    expect(storage.initialState().hardState?.commit).toBe(3);
    storage.write({ ...NOTHING, mustSync: true });
    expect(await commitAfterCrash(folder)).toBe(3);
    storage.close();
  });
});
