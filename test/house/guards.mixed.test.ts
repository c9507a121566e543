/** Guards against what outsiders and bad luck do: with any one of them taken out, the test that is named for it fails. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runChild } from "../support/child.ts";
import { emptyFolder, type Folder, shareNodeModules } from "../support/getting.ts";
import { programOf, ROOT } from "../support/runtimes.ts";

interface Guard {
  /** What must not happen. */
  readonly against: string;
  readonly file: string;
  /** Occurs once in the file, on one line. */
  readonly guard: string;
  /** What the line says when it guards no more. */
  readonly instead: string;
  readonly testFile: string;
  /** The test that must notice; the whole name within its file. */
  readonly testName: string;
}

const GUARDS: readonly Guard[] = [
  {
    against: "a packet that comes twice is heard twice",
    file: "src/link/ranges.ts",
    guard: "if (number < this.#floor) return true;",
    instead: "if (number >= 0) return false;",
    testFile: "test/link/session.test.ts",
    testName: "what the network doubles is heard once, datagrams too, sealed or not",
  },
  {
    against: "a handshake is believed without its proof",
    file: "src/link/cluster_keys.ts",
    guard: 'return crypto.subtle.verify("HMAC", this.#proofKey, proof, proofInput(role, transcript));',
    instead: "return Promise.resolve(true);",
    testFile: "test/link/handshake.test.ts",
    testName: "nothing recorded, replayed, reflected or altered changes anything",
  },
  {
    against: "a newcomer takes the id of a living node",
    file: "src/link/handshaker.ts",
    guard: "if (await this.#host.probe()) return true;",
    instead: "if (await this.#host.probe()) return false;",
    testFile: "test/link/handshake.test.ts",
    testName: "a second node with a living node's id is refused and told why; the living one is undisturbed",
  },
  {
    against: "two ends go unsealed though somebody stands between them",
    file: "src/link/agreement.ts",
    guard: 'return peer === "opened";',
    instead: 'return peer !== "no";',
    testFile: "test/link/paths.test.ts",
    testName: "who opens a way to each of two nodes and passes everything on reads and forges nothing",
  },
  {
    against: "whoever knows a tag speaks in an unsealed session",
    file: "src/link/links.ts",
    guard: "known.nodeId !== from || known.space.path !== path",
    instead: "known.nodeId !== from",
    testFile: "test/link/paths.test.ts",
    testName: "who claims a peer's id and knows its tag cannot speak in an unsealed session",
  },
  {
    against: "strangers make a node decrypt without end",
    file: "src/link/gate.ts",
    guard: "if (limit.allows(key, this.#context.clock.now())) return true;",
    instead: "if (limit.allows(key, this.#context.clock.now()) || key !== undefined) return true;",
    testFile: "test/link/outsider.test.ts",
    testName: "makes a node open so many packets at once, and answer so many hellos, and no more",
  },
  {
    against: "a peer fills the memory with what lies ahead of a gap",
    file: "src/link/lane_receiver.ts",
    guard: "if (this.#earlyBytes > this.windowBytes + FRAGMENT_BYTES_MAX) {",
    instead: "if (this.#earlyBytes === Infinity) {",
    testFile: "test/link/recovery.test.ts",
    testName:
      "a peer cannot make a receiver hold more than its window and one fragment, or a frame over the limit",
  },
  {
    against: "sockets that prove nothing pile up",
    file: "transports/ws_path_table.ts",
    guard: "const UNPROVEN_PATHS_MAX = 128;",
    instead: "const UNPROVEN_PATHS_MAX = 1_000_000;",
    testFile: "test/transports/ws.test.ts",
    testName: "keeps at most 128 sockets that prove nothing; a newcomer that does is not kept out",
  },
  {
    against: "what passes through a broker, repeated, makes nodes decrypt and answer without end",
    file: "transports/broker_peers.ts",
    guard: "if (times >= this.#timesMax || (times === 0 && this.#times.size >= this.#keysMax)) return false;",
    instead: "if (times === Infinity) return false;",
    testFile: "test/transports/broker.test.ts",
    testName: "answers whoever asks a few times a second, whatever is repeated",
  },
  {
    against: "a client's unhandled messages pile up",
    file: "src/server/clients.ts",
    guard: "if (this.#undoneBytes > UNDONE_BYTES_MAX) return this.#flooded();",
    instead: "if (this.#undoneBytes === Infinity) return this.#flooded();",
    testFile: "test/server/flooding.test.ts",
    testName: "a client whose messages pile up unhandled is closed and counted; another is not",
  },
  {
    against: "ids hold control characters or half a character",
    file: "src/lib/ids.ts",
    guard: "if (!value.isWellFormed() || CONTROL_CHARACTERS.test(value)) return false;",
    instead: "if (!value.isWellFormed() && CONTROL_CHARACTERS.test(value)) return false;",
    testFile: "test/cluster/registering.test.ts",
    testName: "with an id or details that cannot be leaves everything as it was",
  },
];

/** Everything that a test of the library loads. */
const SOURCES = ["mod.ts", "src", "transports", "test", "package.json", "deno.json", "tsconfig.json"];
const PATIENCE_MS = 60_000;

let copy: Folder;
beforeAll(() => {
  copy = emptyFolder();
  for (const source of SOURCES) cpSync(join(ROOT, source), join(copy.path, source), { recursive: true });
  shareNodeModules(copy);
});
afterAll(() => copy[Symbol.asyncDispose]());

/** Runs the guard's test in the copy; how it went, by bun's own word for it. */
async function outcomeOf({ testFile, testName }: Guard): Promise<"pass" | "fail" | "neither"> {
  const pattern = testName.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const { output } = await runChild(programOf("bun"), ["test", `./${testFile}`, "-t", `${pattern}$`], {
    cwd: copy.path,
    env: { FLOTILLA_FULL: "0", FLOTILLA_REPORT: undefined },
    timeoutMs: PATIENCE_MS,
  });
  const lines = output.split("\n").filter((line) => line.includes(testName));
  if (lines.some((line) => line.startsWith("(fail)"))) return "fail";
  return lines.some((line) => line.startsWith("(pass)")) ? "pass" : "neither";
}

describe("without its guard", () => {
  for (const guard of GUARDS) {
    test(`${guard.against}, and a test says so`, async () => {
      const file = join(copy.path, guard.file);
      const text = readFileSync(file, "utf8");
      expect(text.split(guard.guard).length).toBe(2);
      expect(await outcomeOf(guard)).toBe("pass");
      writeFileSync(file, text.replace(guard.guard, () => guard.instead));
      try {
        expect(await outcomeOf(guard)).toBe("fail");
      } finally {
        writeFileSync(file, text);
      }
    }, 2 * PATIENCE_MS);
  }
});
