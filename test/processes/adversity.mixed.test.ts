/**
 * Real nodes on three runtimes, joined through proxies that misbehave, killed and paused in all orders, while
 * messages flow. The whole history is checked. `npm run verify -- adversity` does this for an hour.
 */
import { readdirSync } from "node:fs";
import process from "node:process";
import { describe, expect, test } from "bun:test";
import { type Random, randomBelow, seededRandom } from "../../src/lib/random.ts";
import { report } from "../support/measure.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { full, scale } from "../support/scale.ts";
import { FAULTS } from "../support/tcp_proxy.ts";
import { Fleet, type Worker } from "./fleet.ts";

const OPTIONS = { pingIntervalMs: 400, peerTimeoutMs: 2_000, deliveryTimeoutMs: 3_000 };
/** After the last fault the mesh is whole within this: the peer timeout, the longest pause between two dials, and some. */
const WHOLE_MS = 15_000;
const EPISODE_MS: number = scale(10_000, 30_000);
const TOTAL_MS: number = scale(10_000, 3_600_000);
/** How far outcomes are behind the numbers that are sent, at the most. */
const UNDER_WAY_NUMBERS = 100;
/** Descriptors a node may hold more than before the faults: sockets that are just closing. */
const DESCRIPTORS_SLACK = 8;
const MEMORY_BYTES_MAX = 1_073_741_824;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function descriptors({ child }: Worker): number {
  return readdirSync(`/proc/${child.pid}/fd`).length;
}

async function memoryBytes({ child }: Worker): Promise<number> {
  const { readFileSync } = await import("node:fs");
  const found = readFileSync(`/proc/${child.pid}/status`, "utf8").match(/VmRSS:\s+(\d+) kB/);
  return Number(found?.[1] ?? 0) * 1_024;
}

interface Tally {
  faults: Record<string, number>;
  outcomes: Record<string, number>;
  wholeMs: number[];
}

/** One random thing that goes wrong. */
async function harm(fleet: Fleet, random: Random, tally: Tally): Promise<void> {
  const victim = fleet.workers[randomBelow(random, fleet.workers.length)] as Worker;
  const dice = random.float();
  const lastingMs = 50 + random.float() ** 3 * 4_000;
  const count = (fault: string): void => void (tally.faults[fault] = (tally.faults[fault] ?? 0) + 1);
  if (dice < 0.08) {
    count("kill");
    await victim.killWithClient(fleet.workers, async () => {
      await sleep(lastingMs);
      await victim.start();
      await victim.connect();
    });
  } else if (dice < 0.2) {
    count("pause");
    victim.child.signal("SIGSTOP");
    await sleep(lastingMs);
    victim.child.signal("SIGCONT");
  } else {
    const fault = FAULTS[randomBelow(random, FAULTS.length)] as typeof FAULTS[0];
    const proxy = fleet.proxies[randomBelow(random, fleet.proxies.length)];
    if (proxy?.apply(fault, random.float(), lastingMs) === true) count(fault);
    await sleep(random.float() * 800);
  }
}

async function episode(seed: number, tally: Tally): Promise<void> {
  const random = seededRandom(seed);
  const runtimes = [...RUNTIMES].sort(() => random.float() - 0.5);
  await using fleet = await Fleet.start(runtimes, { proxied: true, options: OPTIONS });
  const before = new Map(
    fleet.workers.map((worker) => [worker, { pid: worker.child.pid, held: descriptors(worker) }]),
  );
  const end = performance.now() + EPISODE_MS;
  while (performance.now() < end) await harm(fleet, random, tally);
  tally.wholeMs.push(
    await fleet.until("the mesh is whole after the last fault", () => fleet.isWhole(), WHOLE_MS),
  );
  await sleep(1_000);
  const calm = new Map(fleet.workers.map((worker) => [worker, worker.highest() + UNDER_WAY_NUMBERS]));
  await sleep(1_000);
  for (const worker of fleet.workers) {
    const { pid, held } = before.get(worker) as { pid: number; held: number };
    if (worker.child.pid === pid) {
      await fleet.until(
        `${worker.nodeId} on ${worker.runtime} holds no descriptor more`,
        () => descriptors(worker) <= held + DESCRIPTORS_SLACK,
      );
    }
    expect(await memoryBytes(worker)).toBeLessThan(MEMORY_BYTES_MAX);
  }
  expect(fleet.workers.flatMap((worker) => worker.lates().map((line) => `${worker.nodeId} ${line}`))).toEqual(
    [],
  );
  await fleet.quiesce();
  for (const [worker, from] of calm) {
    const ended = worker.ends().filter(({ number }) => number > from);
    expect(ended.length).toBeGreaterThan(0);
    // Others may stop a little earlier than this one.
    const missed = ended.filter(({ outcome }) =>
      !["delivered", "not-found", "node-lost", "closed"].includes(outcome)
    );
    expect(missed).toEqual([]);
    const [first] = ended;
    expect(first?.outcome).toBe("delivered");
  }
  for (const [outcome, count] of Object.entries(fleet.check(fleet.workers, fleet.workers))) {
    tally.outcomes[outcome] = (tally.outcomes[outcome] ?? 0) + count;
  }
}

describe("adversity", () => {
  test(
    "whatever befalls processes and sockets: once, in order, honest, answered in time, and whole again",
    async () => {
      const first = Number(process.env["FLOTILLA_SEED"] ?? (full ? Date.now() % 1_000_000 : 1));
      const tally: Tally = { faults: {}, outcomes: {}, wholeMs: [] };
      const end = performance.now() + TOTAL_MS;
      let seed = first;
      try {
        for (; performance.now() < end; seed++) await episode(seed, tally);
      } catch (thrown) {
        throw new Error(`episode with FLOTILLA_SEED=${seed}`, { cause: thrown });
      }
      expect(tally.outcomes["delivered"] ?? 0).toBeGreaterThan(1_000);
      report("adversity", {
        seed: first,
        episodes: seed - first,
        wholeMsMax: Math.max(...tally.wholeMs),
        ...Object.fromEntries(
          Object.entries(tally.faults).map(([fault, count]) => [`faults ${fault}`, count]),
        ),
        ...Object.fromEntries(
          Object.entries(tally.outcomes).map(([outcome, count]) => [`outcome ${outcome}`, count]),
        ),
      });
    },
    scale(120_000, 4_000_000),
  );
});
