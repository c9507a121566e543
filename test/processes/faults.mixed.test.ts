import { describe, expect, test } from "bun:test";
import { report } from "../support/measure.ts";
import { type Runtime, RUNTIMES } from "../support/runtimes.ts";
import { scale } from "../support/scale.ts";
import { Fleet } from "./fleet.ts";
import type { Worker } from "./fleet_worker.ts";

/** In full the library's own defaults. */
const PEER_TIMEOUT_MS: number = scale(1_500, 5_000);
const OPTIONS = { pingIntervalMs: PEER_TIMEOUT_MS / 5, peerTimeoutMs: PEER_TIMEOUT_MS };
/** What a busy machine may add to a timeout before somebody looks. */
const SLACK_MS = 2_000;
const TRAFFIC_MS: number = scale(600, 5_000);

const PATIENCE_MS: number = scale(30_000, 180_000);

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The victim's runtime comes first, second and third in turn: it is the listener, both, and the dialler. */
function order(victim: Runtime): Runtime[] {
  const others = RUNTIMES.filter((runtime) => runtime !== victim);
  const at = RUNTIMES.indexOf(victim);
  return [...others.slice(0, at), victim, ...others.slice(at)];
}

function split(fleet: Fleet, runtime: Runtime): { victim: Worker; others: Worker[] } {
  const victim = fleet.workers.find((worker) => worker.runtime === runtime);
  if (victim === undefined) throw new Error(`no node on ${runtime}`);
  return { victim, others: fleet.workers.filter((worker) => worker !== victim) };
}

async function cleared(fleet: Fleet, victim: Worker, others: readonly Worker[]): Promise<number> {
  return await fleet.until("its routes are cleared", async () => {
    for (const other of others) {
      const { nodes, connections } = await other.view();
      const seen = nodes.find(({ nodeId }) => nodeId === victim.nodeId);
      if (seen?.status !== "down" || seen.connections !== 0 || connections.total !== others.length) {
        return false;
      }
    }
    return true;
  });
}

describe("real processes of three runtimes under traffic", () => {
  for (const runtime of RUNTIMES) {
    test(
      `a killed node on ${runtime} is cleared everywhere within the peer timeout, and comes back`,
      async () => {
        await using fleet = await Fleet.start(order(runtime), { options: OPTIONS });
        const { victim, others } = split(fleet, runtime);
        await sleep(TRAFFIC_MS);
        victim.child.signal("SIGKILL");
        const clearedMs = await cleared(fleet, victim, others);
        expect(clearedMs).toBeLessThan(PEER_TIMEOUT_MS + SLACK_MS);
        await sleep(TRAFFIC_MS);
        await victim.start();
        await victim.connect();
        await fleet.until("the mesh is whole again", () => fleet.isWhole());
        await sleep(TRAFFIC_MS);
        const before = others[0]?.log.ends().length ?? 0;
        expect(before).toBeGreaterThan(100);
        await fleet.quiesce();
        const outcomes = fleet.check(fleet.workers, others);
        for (const other of others) {
          expect(
            other.log.lines("down ").filter((line) =>
              !line.startsWith(`down ${victim.nodeId} `) && !line.endsWith(" left") &&
              !line.endsWith(" stopping")
            ),
          ).toEqual([]);
        }
        report(`kill ${runtime}`, { clearedMs, peerTimeoutMs: PEER_TIMEOUT_MS, ...outcomes });
      },
      PATIENCE_MS,
    );

    test(
      `a node on ${runtime} that is paused beyond the peer timeout is cleared, returns by itself, and blames nobody`,
      async () => {
        await using fleet = await Fleet.start(order(runtime), { options: OPTIONS });
        const { victim, others } = split(fleet, runtime);
        await sleep(TRAFFIC_MS);
        victim.child.signal("SIGSTOP");
        const clearedMs = await cleared(fleet, victim, others);
        expect(clearedMs).toBeLessThan(PEER_TIMEOUT_MS + SLACK_MS);
        await sleep(TRAFFIC_MS);
        victim.child.signal("SIGCONT");
        const backMs = await fleet.until("the mesh is whole again", () => fleet.isWhole());
        expect(victim.clientOpen).toBe(true);
        await sleep(TRAFFIC_MS);
        const reasons = victim.log.lines("down ").map((line) => line.split(" ").at(-1));
        expect(reasons.filter((reason) => reason === "timeout")).toEqual([]);
        await fleet.quiesce();
        const outcomes = fleet.check(fleet.workers, fleet.workers);
        expect(outcomes["delivered"]).toBeGreaterThan(100);
        report(`pause ${runtime}`, { clearedMs, backMs, peerTimeoutMs: PEER_TIMEOUT_MS, ...outcomes });
      },
      PATIENCE_MS,
    );
  }
});
