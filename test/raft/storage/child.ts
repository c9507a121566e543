/**
 * A process with a storage, for storage.mixed.test.ts. Arguments: what to do, and the folder.
 * - `write`, first: makes change `first` of histories.ts and all behind it, and says so after each, until it fails.
 * - `read`: says what it holds.
 * - `reset`: resets it.
 * - `hold`: opens it and waits to be ended.
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { FlotillaError } from "../../../src/lib/errors.ts";
import { openIn } from "./folders.ts";
import { change, CLUSTER, digestOf } from "./histories.ts";

/** Not `console`, which may keep a line back that the end of the process then swallows. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

const [action = "", dataDir = "", first = "1"] = process.argv.slice(2);
try {
  const storage = await openIn(dataDir);
  if (storage.clusterId === undefined) storage.begin(CLUSTER, undefined);
  say(`opened ${storage.raftId}`);
  if (action === "write") {
    for (let number = Number(first);; number++) {
      change(storage, number);
      say(`kept ${number}`);
    }
  } else if (action === "read") {
    say(`holds ${await digestOf(storage)}`);
    storage.close();
  } else if (action === "reset") {
    storage.reset();
    storage.close();
    say("reset");
  } else {
    // The runtime closes a storage that nobody can reach any more.
    setInterval(() => storage.lastIndex(), 1_000);
  }
} catch (thrown) {
  if (!(thrown instanceof FlotillaError)) throw thrown;
  say(`failed ${thrown.code} ${thrown.message}`);
}
