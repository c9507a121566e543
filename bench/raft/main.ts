/**
 * `npm run bench -- raft`: from the death of a leader to the next accepted proposal, and proposals a second. For
 * Node. Options:
 *   --kills N           leaders killed in each cluster (default 200)
 *   --sizes LIST        of the clusters whose leaders are killed (default 3,5)
 *   --load-ms N         of each load (default 8,000)
 *   --only WHAT         `kills` or `load` (default: both)
 */
import { loadavg } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { type Runtime, RUNTIMES } from "../../test/support/runtimes.ts";
import { wholeNumber } from "../support/arguments.ts";
import { provenance, ranOn, readResults, writeResults, writeSection } from "../support/results.ts";
import { aims, killsTable, type LoadResult, loadTable, type RaftResults } from "./summary.ts";
import { Trial } from "./trial.ts";

const NAME = "raft";
const TIMEOUTS = { electionTimeoutMs: 150, heartbeatMs: 30 };
const VALUE_BYTES = 100;
const WARM_UP_MS = 2_000;

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "200" },
    sizes: { type: "string", default: "3,5" },
    "load-ms": { type: "string", default: "8000" },
    only: { type: "string" },
  },
});
const kills = wholeNumber("--kills", values.kills), loadMs = wholeNumber("--load-ms", values["load-ms"]);
const sizes = values.sizes.split(",").map((size) => wholeNumber("--sizes", size));
if (![undefined, "kills", "load"].includes(values.only)) {
  throw new Error(`--only ${values.only}: must be kills or load`);
}
const earlier = readResults(NAME) as RaftResults | undefined;
const results: RaftResults = { kills: { ...earlier?.kills }, loads: { ...earlier?.loads } };

if (values.only !== "load") {
  for (const size of sizes) {
    const runtimes = Array.from({ length: size }, (_, index) => RUNTIMES[index % RUNTIMES.length] as Runtime);
    await using trial = await Trial.start({ runtimes, storage: "sqlite", ...TIMEOUTS });
    const [loadBefore = 0] = loadavg();
    const tookMs: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      tookMs.push(await trial.killLeader());
      if ((kill + 1) % 10 === 0) {
        say(`${size} nodes: ${kill + 1} leaders killed, the last gap ${tookMs.at(-1)?.toFixed(0)} ms`);
      }
    }
    results.kills[size] = { ...provenance(), runtimes, loadBefore, tookMs };
    keep();
  }
}
if (values.only !== "kills") {
  for (const runtime of RUNTIMES) {
    for (const storage of ["memory", "sqlite"] as const) {
      const [loadBefore = 0] = loadavg();
      const runtimes = [runtime, runtime, runtime];
      await using trial = await Trial.start({ runtimes, storage, electionTimeoutMs: 500, heartbeatMs: 100 });
      await trial.load({ clients: 64, ms: WARM_UP_MS, valueBytes: VALUE_BYTES });
      const one = await trial.load({ clients: 1, ms: loadMs, valueBytes: VALUE_BYTES });
      const many = await trial.load({ clients: 64, ms: loadMs, valueBytes: VALUE_BYTES });
      const result: LoadResult = { ...provenance(), runtime, storage, loadBefore, one, many };
      results.loads[`${runtime} ${storage}`] = result;
      say(`${runtime} ${storage}: ${one.perSecond.toFixed(0)} and ${many.perSecond.toFixed(0)} proposals/s`);
      keep();
    }
  }
}
say(`\n${killsTable(results)}\n\n${loadTable(results)}\n`);
for (const line of aims(results)) say(line);

function keep(): void {
  writeResults(NAME, results);
  writeSection(NAME, paper());
}

function paper(): string {
  const runs = [
    ...Object.entries(results.kills).map(([size, each]) => [`${size} nodes`, each, each.runtimes] as const),
    ...Object.entries(results.loads).map(([name, each]) => [name, each, [each.runtime]] as const),
  ].map(([name, each, runtimes]) =>
    `- ${name}: ${ranOn(each, runtimes)}; load before ${each.loadBefore.toFixed(1)}`
  );
  return `## Raft

The leader of real processes of three runtimes, which keep their state in SQLite, is killed (SIGKILL), and every
survivor proposes at once: milliseconds until the first of these proposals was accepted. Election timeouts 150 to
300 ms, heartbeats 30 ms. The killed node comes back before the next kill.

${killsTable(results)}

Proposals at the leader of three processes of one runtime: values of ${VALUE_BYTES} bytes, by one client that waits
for each, and by 64 of them. Microseconds are processor time of the leader's process for each proposal. In SQLite
each commit is synced to the disk, at the leader and at the followers.

${loadTable(results)}

${aims(results).map((line) => `- ${line}`).join("\n")}

${runs.join("\n")}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
