/**
 * Real nodes on three runtimes, joined through proxies that misbehave, killed, paused and restarted in all orders,
 * while messages flow. The whole history is checked. `npm run verify -- adversity` does this for 45 minutes of its hour.
 */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../src/lib/random.ts";
import { firstSeed, report } from "../support/measure.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { scale } from "../support/scale.ts";
import { Fleet } from "./fleet.ts";
import type { HeldInAll, Worker } from "./fleet_worker.ts";
import { Harm } from "./harm.ts";

const OPTIONS = { pingIntervalMs: 400, peerTimeoutMs: 2_000, deliveryTimeoutMs: 3_000 };
/**
 * After the last fault the mesh is whole within this: the rest of that fault, the peer timeout, the longest pause
 * between two dials, and what a busy machine adds.
 */
const WHOLE_MS = 15_000;
const EPISODE_MS: number = scale(10_000, 40_000);
const TOTAL_MS: number = scale(10_000, 2_700_000);
/** How far outcomes are behind the numbers that are sent, at the most. */
const UNDER_WAY_NUMBERS = 100;
/** Numbers sent in the calm, of which every one is answered as it should be. */
const CALM_NUMBERS = 400;
/** Sockets that are just closing. */
const DESCRIPTORS_SLACK = 8;
/** A link that is just shaking hands waits more often than one that is up. */
const TIMERS_SLACK = 6;
/** Code that was compiled meanwhile, and what is remembered of peers and messages for a while. */
const HEAP_BYTES_SLACK = 24 * 1_048_576;
const RESIDENT_BYTES_MAX = 512 * 1_048_576;

type Figures = Record<string, number>;

/** What one worker holds after the faults is what it, or its last run, held before them. */
async function checkHeld(fleet: Fleet, worker: Worker, before: HeldInAll): Promise<HeldInAll> {
  const name = `${worker.nodeId} on ${worker.runtime}`;
  await fleet.until(
    `${name} holds no descriptor more than ${before.descriptors} and some`,
    () => worker.descriptors() <= before.descriptors + DESCRIPTORS_SLACK,
  );
  const after = await worker.held();
  const grown = {
    timers: after.timers > before.timers + TIMERS_SLACK,
    heap: after.heapBytes > before.heapBytes + HEAP_BYTES_SLACK,
    resident: after.residentBytes > RESIDENT_BYTES_MAX,
  };
  expect({ name, before, after, ...grown })
    .toEqual({ name, before, after, timers: false, heap: false, resident: false });
  return after;
}

/** Every call of the calm was answered as it should be, and the first of them delivered. */
function checkCalm(worker: Worker, from: number): void {
  const ended = worker.log.ends().filter(({ number }) => number > from);
  // The others may stop a little earlier than this one.
  const fine = ["delivered", "not-found", "node-lost", "closed"];
  expect(ended.filter(({ outcome }) => !fine.includes(outcome))).toEqual([]);
  const calm = ended.filter(({ number }) => number < from + CALM_NUMBERS - UNDER_WAY_NUMBERS);
  expect(calm.length).toBeGreaterThan(0);
  expect(calm.filter(({ outcome }) => outcome !== "delivered")).toEqual([]);
}

async function episode(seed: number): Promise<Figures> {
  const random = seededRandom(seed);
  const runtimes = [...RUNTIMES].sort(() => random.float() - 0.5);
  await using fleet = await Fleet.start(runtimes, { proxied: true, options: OPTIONS });
  const { workers } = fleet;
  const before = await Promise.all(workers.map((worker) => worker.held()));
  const harm = new Harm(fleet, random);
  await harm.goOn(EPISODE_MS);
  const wholeMs = await fleet.until(
    "the mesh is whole after the last fault",
    () => fleet.isWhole(),
    WHOLE_MS,
  );

  const calm = workers.map((worker) => worker.log.highest() + UNDER_WAY_NUMBERS);
  await fleet.until(
    "messages flow in the calm",
    () => workers.every((worker, index) => worker.log.highest() > (calm[index] ?? 0) + CALM_NUMBERS),
  );
  const held = await Promise.all(
    workers.map((worker, index) => checkHeld(fleet, worker, before[index] as HeldInAll)),
  );

  await fleet.quiesce();
  workers.forEach((worker, index) => checkCalm(worker, calm[index] ?? 0));
  for (const { log, nodeId } of workers) {
    expect(log.lines("late ").map((line) => `${nodeId} ${line}`)).toEqual([]);
    expect(log.held("stopped")).toMatchObject({ timers: 0, listeners: 0 });
  }
  const outcomes = fleet.check(workers, workers);
  const calls = workers.reduce((sum, { log }) => sum + log.calls(), 0);
  const answered = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  const kills = (harm.counts["kill"] ?? 0) + (harm.counts["kill while paused"] ?? 0);
  // Only a caller that was killed does not hear how its calls ended.
  if (kills === 0) expect(answered).toBe(calls);
  return {
    seed,
    calls,
    "killed with their caller": calls - answered,
    ...named("outcome", outcomes),
    ...named("fault", harm.counts),
    wholeMs: Math.round(wholeMs),
    "stops that Deno held up": workers.reduce((sum, { log }) => sum + log.lines("kept ").length, 0),
    descriptorsMax: Math.max(...held.map(({ descriptors }) => descriptors)),
    timersMax: Math.max(...held.map(({ timers }) => timers)),
    heapBytesMax: Math.max(...held.map(({ heapBytes }) => heapBytes)),
    residentBytesMax: Math.max(...held.map(({ residentBytes }) => residentBytes)),
  };
}

function named(what: string, counts: Readonly<Record<string, number>>): Figures {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [`${what} ${name}`, count]));
}

/** Sums of what is counted, the highest of what is measured. */
function inAll(episodes: readonly Figures[]): Figures {
  const total: Figures = { episodes: episodes.length };
  for (const { seed: _, ...figures } of episodes) {
    for (const [name, value] of Object.entries(figures)) {
      const soFar = total[name] ?? 0;
      total[name] = /(Ms|Max)$/.test(name) ? Math.max(soFar, value) : soFar + value;
    }
  }
  return total;
}

describe("adversity", () => {
  test(
    "whatever befalls processes and sockets: once, in order, honest, answered in time, whole again, nothing left",
    async () => {
      const first = firstSeed(1);
      const episodes: Figures[] = [];
      const end = performance.now() + TOTAL_MS;
      for (let seed = first; performance.now() < end; seed++) {
        try {
          const figures = await episode(seed);
          episodes.push(figures);
          report("adversity, one episode", figures);
        } catch (thrown) {
          throw new Error(`episode with FLOTILLA_SEED=${seed}`, { cause: thrown });
        }
      }
      const total = inAll(episodes);
      expect(total["outcome delivered"] ?? 0).toBeGreaterThan(1_000);
      report("adversity, all episodes", { seed: first, ...total, wholeMsLimit: WHOLE_MS });
    },
    scale(120_000, 3_300_000),
  );
});
