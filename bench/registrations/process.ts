/**
 * One node of the bench: `process.ts ORDER`, where ORDER is JSON. Registers connections whose sockets take
 * nothing, and says when it knows of all there should be. Started by `trial.ts`.
 */
import process from "node:process";
import { createCluster, serve } from "../../mod.ts";
import type { ConnectionSink } from "../../src/connection/sink.ts";
import { liveMemory } from "../support/live_memory.ts";
import { calibratedClock } from "../support/wall_clock.ts";
import { cpuMs, serveCommands } from "../support/worker.ts";

export interface Order {
  readonly nodeId: string;
  /** The nodes started before. */
  readonly nodes: readonly string[];
}

/** What a node has spent since it started. */
export interface Usage {
  readonly cpuMs: number;
  /** On the wire, to and from all peers. */
  readonly bytesSent: number;
}

export interface Drop {
  /** Milliseconds since the epoch: when the routes of the node that left were gone. */
  readonly at: number;
  /** The longest time for which this node did nothing else, up to two seconds later. */
  readonly longestPauseMs: number;
}

/** Between two chunks the node sees to its sockets, as a server does between two events. */
const CHUNK = 500;
const SEEN_MS_MAX = 50_000;
const LOOK_MS = 5;
/** Memory of dropped routes is swept in pieces. */
const AFTER_DROP_MS = 2_000;
const ID_CHARS = 36;

const { nodeId, nodes } = JSON.parse(process.argv[2] ?? "{}") as Order;
const now = calibratedClock();
const cluster = createCluster({ nodeId, nodes });
const listener = await serve(cluster, { port: 0 });
await cluster.start();
const sink: ConnectionSink = { bufferedBytes: 0, send: () => true, close() {}, onDrain: undefined };
let ids: string[] = [];

await serveCommands(`ws://127.0.0.1:${listener.port}`, {
  /** Makes the ids of the next commands: 36 characters, as many as a UUID has. */
  ids(count: number) {
    ids = Array.from({ length: count }, (_, index) => idOf(`${nodeId}-${index}-`));
  },
  /** Returns when it began. */
  register: () => inChunks((id) => cluster.registerConnection(id, {}, sink)),
  unregister: () => inChunks((id) => cluster.unregisterConnection(id)),
  /** Returns when this node first knew `total` connections. */
  seen: (total: number) => seen(total),
  dropped: (total: number) => dropped(total),
  usage: (): Usage => ({ cpuMs: cpuMs(), bytesSent: cluster.stats().links.bytesSent }),
  peersUp: () => cluster.view().nodes.filter(({ status }) => status === "up").length,
  memory: () => liveMemory(),
}, async () => {
  await cluster.shutdown();
  await listener.close();
});

/** A string of its own, not one put together from others. */
function idOf(beginning: string): string {
  const codes: number[] = [];
  for (let at = 0; at < ID_CHARS; at++) {
    codes.push(at < beginning.length ? beginning.charCodeAt(at) : 97 + at % 26);
  }
  return String.fromCharCode(...codes);
}

async function inChunks(each: (id: string) => void): Promise<number> {
  const began = now();
  for (let first = 0; first < ids.length; first += CHUNK) {
    const end = Math.min(first + CHUNK, ids.length);
    for (let index = first; index < end; index++) each(ids[index] ?? "");
    await new Promise((resolve) => setImmediate(resolve));
  }
  return began;
}

async function seen(total: number): Promise<number> {
  const deadline = now() + SEEN_MS_MAX;
  while (cluster.view().connections.total !== total) {
    if (now() > deadline) {
      throw new Error(`${cluster.view().connections.total} connections are known here, not ${total}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return now();
}

async function dropped(total: number): Promise<Drop> {
  let longestPauseMs = 0;
  let last = now();
  const ticks = setInterval(() => {
    const tick = now();
    longestPauseMs = Math.max(longestPauseMs, tick - last - 1);
    last = tick;
  }, 1);
  const at = await seen(total);
  await new Promise((resolve) => setTimeout(resolve, AFTER_DROP_MS));
  clearInterval(ticks);
  return { at, longestPauseMs };
}
