/** Three nodes, and what is asked of them. */
import { ROOT, type Runtime } from "../../test/support/runtimes.ts";
import type { LiveMemory } from "../support/live_memory.ts";
import { startOn } from "../support/start.ts";
import type { Worker } from "../support/worker.ts";
import type { Drop, Order, Usage } from "./process.ts";

const FILE = `${ROOT}/bench/registrations/process.ts`;
const MEET_MS_MAX = 10_000;

/** The first registers, the others hear of it. */
export type ThreeRuntimes = readonly [Runtime, Runtime, Runtime];

/** `count` connections of the first node, registered or unregistered one after the other. */
export interface Stretch {
  /** From the first call until all three directories agreed. */
  readonly perSecond: number;
  /** Processor microseconds each, at the first node and at each of the others. */
  readonly cpuUs: { readonly owner: number; readonly peer: number };
  /** Bytes each, sent by the first node to one peer. */
  readonly wireBytes: number;
}

export interface Round {
  readonly register: Stretch;
  readonly unregister: Stretch;
}

/** A third of the routes at each node. */
export interface Million {
  readonly routes: number;
  /**
   * Seconds from the first call until every node knew all; the first node's third, then both others at
   * once.
   */
  readonly seconds: number;
  /** Heap bytes a route at each node, its own third included. */
  readonly heapBytes: readonly number[];
  /** The same in resident memory. */
  readonly residentBytes: readonly number[];
  /** Heap bytes of a connection at its own node, and of a route at another. */
  readonly ownBytes: number;
  readonly remoteBytes: number;
  /** The third node leaves: until the others knew, and the longest pause that this meant for them. */
  readonly dropMs: number;
  readonly dropPauseMs: number;
}

export async function rounds(
  runtimes: ThreeRuntimes,
  count: number,
  number: number,
  heard: (round: Round) => void,
  profileIn?: string,
): Promise<Round[]> {
  await using started = new AsyncDisposableStack();
  const workers = await startNodes(runtimes, started, profileIn);
  await workers[0]?.ask("ids", count);
  const done: Round[] = [];
  while (done.length < number) {
    const register = await stretch(workers, "register", count, count);
    const unregister = await stretch(workers, "unregister", count, 0);
    done.push({ register, unregister });
    heard({ register, unregister });
  }
  return done;
}

export async function million(runtimes: ThreeRuntimes, routes: number): Promise<Million> {
  await using started = new AsyncDisposableStack();
  const [first, second, third] = await startNodes(runtimes, started) as [Worker, Worker, Worker];
  const all = [first, second, third];
  const before = await memories(all);
  const share = Math.floor(routes / 3);
  const rest = routes - 2 * share;
  const firstMs = await fill([first], all, rest, rest);
  const afterFirst = await memories(all);
  const othersMs = await fill([second, third], all, share, routes);
  const after = await memories(all);
  const heap = (later: readonly LiveMemory[], node: number): number =>
    (later[node]?.heapBytes ?? NaN) - (before[node]?.heapBytes ?? NaN);
  const hear = Promise.all([first, second].map((each) => each.ask("dropped", rest + share))) as Promise<
    Drop[]
  >;
  const left = Date.now();
  // Not awaited yet: it takes its time to end, and the others need not wait for that.
  const ended = third[Symbol.asyncDispose]();
  const drops = await hear;
  await ended;
  return {
    routes,
    seconds: (firstMs + othersMs) / 1_000,
    heapBytes: all.map((_, node) => heap(after, node) / routes),
    residentBytes: all.map((_, node) =>
      ((after[node]?.residentBytes ?? NaN) - (before[node]?.residentBytes ?? NaN)) / routes
    ),
    ownBytes: heap(afterFirst, 0) / rest,
    remoteBytes: heap(afterFirst, 1) / rest,
    dropMs: Math.max(...drops.map(({ at }) => at)) - left,
    dropPauseMs: Math.max(...drops.map(({ longestPauseMs }) => longestPauseMs)),
  };
}

async function startNodes(
  runtimes: ThreeRuntimes,
  started: AsyncDisposableStack,
  profileIn?: string,
): Promise<Worker[]> {
  const workers: Worker[] = [];
  for (const [index, runtime] of runtimes.entries()) {
    const order: Order = { nodeId: `node-${index + 1}`, nodes: workers.map(({ ready }) => ready as string) };
    const args = [JSON.stringify(order)];
    const name = `registrations-${runtimes.join("-")}-${index + 1}`;
    const profile = profileIn === undefined ? undefined : { folder: profileIn, name };
    workers.push(started.use(await startOn({ runtime, file: FILE, args, profile })));
  }
  const deadline = Date.now() + MEET_MS_MAX;
  for (const worker of workers) {
    while (await worker.ask("peersUp") !== workers.length) {
      if (Date.now() > deadline) throw new Error(`start three nodes: they did not meet in ${MEET_MS_MAX} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return workers;
}

async function stretch(
  workers: readonly Worker[],
  command: "register" | "unregister",
  count: number,
  total: number,
): Promise<Stretch> {
  const [owner, ...peers] = workers as [Worker, ...Worker[]];
  const before = await usages(workers);
  const seen = Promise.all(peers.map((peer) => peer.ask("seen", total))) as Promise<number[]>;
  const began = await owner.ask(command) as number;
  const ended = Math.max(...await seen, await owner.ask("seen", total) as number);
  const after = await usages(workers);
  const us = (node: number): number =>
    ((after[node]?.cpuMs ?? NaN) - (before[node]?.cpuMs ?? NaN)) * 1_000 / count;
  return {
    perSecond: count * 1_000 / (ended - began),
    cpuUs: { owner: us(0), peer: (us(1) + us(2)) / 2 },
    wireBytes: ((after[0]?.bytesSent ?? NaN) - (before[0]?.bytesSent ?? NaN)) / peers.length / count,
  };
}

/** Has `owners` register `each` connections at once; milliseconds until all know `total`. */
async function fill(
  owners: readonly Worker[],
  all: readonly Worker[],
  each: number,
  total: number,
): Promise<number> {
  await Promise.all(owners.map((owner) => owner.ask("ids", each)));
  const began = await Promise.all(owners.map((owner) => owner.ask("register"))) as number[];
  const seen = await Promise.all(all.map((worker) => worker.ask("seen", total))) as number[];
  await Promise.all(owners.map((owner) => owner.ask("ids", 0)));
  return Math.max(...seen) - Math.min(...began);
}

async function usages(workers: readonly Worker[]): Promise<Usage[]> {
  return await Promise.all(workers.map((worker) => worker.ask("usage"))) as Usage[];
}

async function memories(workers: readonly Worker[]): Promise<LiveMemory[]> {
  return await Promise.all(workers.map((worker) => worker.ask("memory"))) as LiveMemory[];
}
