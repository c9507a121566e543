/**
 * Live memory per route: fills a routing table with `ROUTES` claims (default a million) of two owners and prints, as
 * one JSON line, bytes per route (JavaScript heap and typed arrays) and how long the whole-table operations take.
 *
 *   deno run -A --v8-flags=--expose-gc bench/route_memory.ts [routes] [uuid|short]
 *   node --expose-gc bench/route_memory.ts        bun bench/route_memory.ts
 */
import process from "node:process";
import { smallestAfter } from "../src/directory/page.ts";
import { RouteTable } from "../src/directory/table.ts";
import { decodeFrame, EntriesWriter } from "../src/directory/wire.ts";

const routes = Number(process.argv[2] ?? 1_000_000);
const kind = process.argv[3] ?? "uuid";

function liveBytes(): number {
  const { gc, Bun } = globalThis as { gc?: () => void; Bun?: { gc(force: boolean): void } };
  for (let round = 0; round < 3; round++) gc ? gc() : Bun?.gc(true);
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  // Bun counts array buffers in the heap; V8 counts them apart.
  return Bun ? heapUsed : heapUsed + Math.max(external, arrayBuffers);
}

function connectionId(index: number): string {
  return kind === "uuid" ? crypto.randomUUID() : `c-${index}`;
}

function timed(run: () => void): number {
  const began = performance.now();
  run();
  return Math.round((performance.now() - began) * 10) / 10;
}

/** Claims as they arrive: decoded from frames, so that ids are the strings a peer's frames make. */
function fill(table: RouteTable): number {
  const owners = [table.open("node-a"), table.open("node-b"), table.open("node-c")];
  const stamp = 91_000_000_000 * 4_096;
  let applyMs = 0;
  for (let at = 0; at < routes;) {
    const writer = new EntriesWriter();
    writer.beginClaims();
    for (let count = 0; count < 700 && at < routes; count++, at++) {
      writer.put(connectionId(at), at + 1, stamp + at * 400);
    }
    const owner = owners[Math.floor(at / 700) % owners.length];
    const bytes = writer.take();
    applyMs += timed(() => {
      const frame = decodeFrame(bytes);
      if (frame.kind !== "claims" || owner === undefined) return;
      for (const { id, handle, stamp } of frame.claims) table.put(owner, id, handle, stamp);
    });
  }
  return applyMs;
}

const table = new RouteTable();
const before = liveBytes();
const applyMs = fill(table);
const perRoute = (liveBytes() - before) / routes;
const recountMs = timed(() => void table.recount(routes + 1));
const pageMs = timed(() => smallestAfter(table.ids(), 1_000, undefined));
const owner = table.ownerAt(table.winner(table.ids().next().value ?? ""));
const dropMs = timed(() => table.drop(owner));
let longestSweepMs = 0;
let sweepMs = 0;
for (let done = false; !done;) {
  const ms = timed(() => void (done = table.sweep(16_384)));
  longestSweepMs = Math.max(longestSweepMs, ms);
  sweepMs += ms;
}
console.log(JSON.stringify({
  routes,
  kind,
  bytesPerRoute: Math.round(perRoute * 10) / 10,
  applyUsPerRoute: Math.round((applyMs / routes) * 1e5) / 100,
  recountMs,
  pageMs,
  dropMs,
  sweepMs: Math.round(sweepMs),
  longestSweepMs,
}));
