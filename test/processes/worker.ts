/**
 * A node that sends numbered messages for ever and writes down how each ended. Runs on every runtime; told what to
 * do by the JSON in FLOTILLA_WORKER.
 */
import { CountedSignal, heldNow } from "./held.ts";
import { appendFileSync } from "node:fs";
import process from "node:process";
import timers from "node:timers";
import { createCluster, serve } from "../../mod.ts";
import type { WorkerJob } from "./fleet_worker.ts";

const job = JSON.parse(process.env["FLOTILLA_WORKER"] ?? "") as WorkerJob;
const note = (line: string): void => appendFileSync(job.log, `${line}\n`);

const cluster = createCluster({
  nodeId: job.nodeId,
  nodePort: job.reachedAt,
  nodes: job.nodes,
  secret: "fleet",
  ...job.options,
});
cluster.on("nodeup", ({ nodeId }) => note(`up ${nodeId}`));
cluster.on("nodedown", ({ nodeId, reason }) => note(`down ${nodeId} ${reason}`));
cluster.on("fatal", ({ code }) => note(`fatal ${code}`));
const shared = new CountedSignal();
const listener = await serve(cluster, {
  port: job.port,
  // Whatever a client says, it asks what this process holds.
  onMessage: async () => note(`held ${JSON.stringify(await heldNow(shared))}`),
});
await cluster.start();
process.stdout.write("ready\n");

let number = job.firstNumber;
let calls = 0;
let ended: string[] = [];
let inFlight = 0;
let lastTurnAt = performance.now();
/** How long this process has run, its pauses left out: for those no call is to blame. */
let awakeMs = 0;
/** Within this Deno ends by itself if it does at all. */
const DENO_ENDS_MS = 5_000;
/** A turn this late was none: the process stood still. */
const PAUSED_MS = 500;

function writeDown(): void {
  if (ended.length > 0) note(`calls ${calls}\n${ended.join("\n")}`);
  ended = [];
}

const timer = setInterval(() => {
  const turnAt = performance.now();
  if (turnAt - lastTurnAt < PAUSED_MS) awakeMs += turnAt - lastTurnAt;
  lastTurnAt = turnAt;
  for (let turn = 0; turn < job.perTurn && inFlight < 2_000; turn++) {
    for (const to of job.to) {
      const own = number;
      const callAt = awakeMs;
      inFlight++;
      calls++;
      void cluster.deliver([to], `${job.nodeId} ${own}`, { signal: shared.signal }).then((outcomes) => {
        inFlight--;
        const tookMs = awakeMs - callAt;
        if (tookMs > job.deadlineMs) ended.push(`late ${to} ${own} ${tookMs.toFixed(0)}`);
        ended.push(`end ${to} ${own} ${outcomes.get(to)}`);
      });
    }
    number++;
  }
  writeDown();
}, 5);

/** Deno never lets go of a connection that was reset before its upgrade was answered, nor ends with one. */
function endAnyway(): void {
  const end = (): void => {
    note("kept by a connection that Deno does not let go of");
    process.exit(0);
  };
  timers.setTimeout(end, DENO_ENDS_MS).unref();
}

process.once("SIGTERM", () => {
  clearInterval(timer);
  void (async () => {
    while (inFlight > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    writeDown();
    await cluster.shutdown();
    await listener.close();
    // Nothing exits here: a process that still holds something does not end.
    note(`stopped ${JSON.stringify(await heldNow(shared))}`);
    if ("Deno" in globalThis) endAnyway();
  })();
});
