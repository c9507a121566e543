/** Storage in processes that are killed, on each runtime, and read by another one. */
import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { systemRandom } from "../../../src/lib/random.ts";
import { MemoryRaftStorage } from "../../../src/raft/storage.ts";
import { type Child, runChild, startChild } from "../../support/child.ts";
import { commandFor, programOf, ROOT, type Runtime, RUNTIMES } from "../../support/runtimes.ts";
import { scale } from "../../support/scale.ts";
import { emptyFolder, openIn, removeFolders } from "./folders.ts";
import { change, CLUSTER, digestOf } from "./histories.ts";

afterAll(removeFolders);

const ROUNDS = scale(9, 300);
const LIMIT_MS = scale(120_000, 1_800_000);

function child(runtime: Runtime, ...args: string[]): Child {
  return startChild(...commandFor(runtime, "test/raft/storage/child.ts", args), { cwd: ROOT });
}

/** The number of the last change that the process said it had kept, and had started with `first`. */
function lastKept(output: string, first: number): number {
  return Math.max(first - 1, ...[...output.matchAll(/^kept (\d+)$/gm)].map(([, number]) => Number(number)));
}

/** The history again, in memory: what a storage holds after each change. */
class Expected {
  readonly #storage = new MemoryRaftStorage(systemRandom);
  readonly #digests: string[] = [];

  constructor() {
    this.#storage.begin(CLUSTER, undefined);
  }

  async after(number: number): Promise<string> {
    if (this.#digests.length === 0) this.#digests.push(await digestOf(this.#storage));
    while (this.#digests.length <= number) {
      change(this.#storage, this.#digests.length);
      this.#digests.push(await digestOf(this.#storage));
    }
    return this.#digests[number] ?? "";
  }

  /** Which of the changes `kept` and the one behind it was the last that `digest` has in it. */
  async lastOf(digest: string, kept: number): Promise<number> {
    for (const number of [kept, kept + 1]) if (await this.after(number) === digest) return number;
    throw new Error(`after change ${kept} was acknowledged, the storage holds neither that nor the next one`);
  }
}

test(
  "a killed process leaves every change that it had acknowledged and no part of another, for any runtime",
  async () => {
    const folder = emptyFolder();
    const expected = new Expected();
    let next = 1;
    const raftIds = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      const writer = RUNTIMES[round % 3] ?? "node",
        reader = RUNTIMES[(round + 1 + Math.floor(round / 3)) % 3] ?? "bun";
      const writing = child(writer, "write", folder, String(next));
      await writing.waitFor(new RegExp(`^kept ${next + Math.floor(Math.random() * 60)}$`, "m"));
      // Not at once: the process is to be somewhere in the middle of a change.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
      await writing.kill();
      const kept = lastKept(writing.output, next);
      const read = await runChild(...commandFor(reader, "test/raft/storage/child.ts", ["read", folder]), {
        cwd: ROOT,
      });
      const [, digest = ""] = read.output.match(/^holds (\w+)$/m) ?? [];
      next = 1 + await expected.lastOf(digest, kept).catch((thrown) => {
        throw new Error(`round ${round}, ${writer} to ${reader}: ${String(thrown)}\n${read.output}`);
      });
      for (const { output } of [writing, read]) raftIds.add(output.match(/^opened (\d+)$/m)?.[1] ?? "none");
    }
    expect(raftIds.size).toBe(1);
  },
  LIMIT_MS,
);

test("on Deno it needs no more than leave to read and to write its folder", async () => {
  const folder = emptyFolder();
  // `env` and `sys` are for the test's own imports.
  const flags = [
    "--allow-read",
    `--allow-write=${folder}`,
    "--allow-env",
    "--allow-sys",
    "--no-check",
    "--quiet",
  ];
  const args = ["run", ...flags, "test/raft/storage/child.ts", "reset", folder];
  const { output } = await runChild(programOf("deno"), args, { cwd: ROOT });
  expect(output).toMatch(/^reset$/m);
  expect(readdirSync(folder).sort()).toEqual(["raft-a.db", `raft-a~${CLUSTER}.old.db`]);
}, LIMIT_MS);

describe.each(RUNTIMES)("on %s", (runtime) => {
  test(
    "a storage is refused while a process of any runtime has it, and free when that was killed",
    async () => {
      const folder = emptyFolder();
      const holder = child(runtime, "hold", folder);
      await holder.waitFor(/^opened/m);
      for (const other of RUNTIMES) {
        const { output } = await child(other, "read", folder).ended();
        expect(output).toContain("failed invalid-option open Raft's storage");
        expect(output).toContain("another process is using it");
      }
      await holder.kill();
      (await openIn(folder)).close();
    },
    LIMIT_MS,
  );

  test("of processes that open a new storage at once one gets it", async () => {
    const folder = emptyFolder();
    const rivals = [1, 2, 3].map(() => child(runtime, "hold", folder));
    await Promise.all(rivals.map((rival) => rival.waitFor(/^(opened|failed)/m)));
    const outputs = rivals.map(({ output }) => output.match(/^(opened|failed invalid-option)/m)?.[1]);
    expect(outputs.sort()).toEqual(["failed invalid-option", "failed invalid-option", "opened"]);
    await Promise.all(rivals.map((rival) => rival.kill()));
  }, LIMIT_MS);

  test("a write that the operating system refuses fails, and all before it are there", async () => {
    const folder = emptyFolder();
    const [program, args] = commandFor(runtime, "test/raft/storage/child.ts", ["write", folder, "1"]);
    // A file may have 300 KiB from now on; without the signal a write beyond that is an error like a full disk's.
    const limited = `trap '' XFSZ; ulimit -f 300; exec "$0" "$@"`;
    const { output } = await runChild("bash", ["-c", limited, program, ...args], { cwd: ROOT });
    expect(output).toMatch(
      /^failed invalid-option (write of a ready|compaction through \d+) in Raft's storage/m,
    );
    const kept = lastKept(output, 1);
    expect(kept).toBeGreaterThan(0);
    const storage = await openIn(folder);
    await new Expected().lastOf(await digestOf(storage), kept);
    storage.close();
  }, LIMIT_MS);
});
