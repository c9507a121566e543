/** Leaders of real processes are killed under load, one after another, and come back with their disks. */
import { describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/lib/clock.ts";
import { report } from "../../support/measure.ts";
import { RUNTIMES } from "../../support/runtimes.ts";
import { scale } from "../../support/scale.ts";
import { expectLinearizable } from "../linearizability/checker.ts";
import { Clients, perform } from "../linearizability/clients.ts";
import { History } from "../linearizability/history.ts";
import { fateOfRequest, HttpKeyValue } from "../linearizability/http_client.ts";
import { lostWrites } from "./lost_writes.ts";
import { StateFleet } from "./state_fleet.ts";

const KILLS: number = scale(3, 50);
const KEYS: readonly string[] = Array.from({ length: 8 }, (_, index) => `key-${index}`);
const CLIENTS_PER_NODE = 3;
const THINK_MS = 20;
/** Above every deadline of a node, so that what it knows of a write is heard. */
const REQUEST_TIMEOUT_MS = 12_000;
/** Acknowledged between a kill and the restart, and after that before the next kill. */
const WRITES_BETWEEN = 30;
const SEED = 1;

const PATIENCE_MS: number = scale(150_000, 3_600_000);

async function moreWrites(fleet: StateFleet, history: History, clients: Clients): Promise<void> {
  const wanted = history.writes + WRITES_BETWEEN;
  await fleet.until(`${WRITES_BETWEEN} more writes`, () => {
    if (clients.failure !== undefined) throw clients.failure;
    return history.writes >= wanted;
  });
}

/** Reads every key through every node; the reads are part of the history. */
async function readEverywhere(stores: readonly HttpKeyValue[], history: History): Promise<string[][]> {
  const shown: string[][] = [];
  for (const [index, store] of stores.entries()) {
    const values: string[] = [];
    for (const key of KEYS) {
      const call = { kind: "get" } as const;
      const answer = await history.record(1_000 + index, key, call, () => perform(store, key, call));
      values.push(`${key}: ${JSON.stringify(answer ?? "no answer")}`);
    }
    shown.push(values);
  }
  return shown;
}

describe("three nodes of three runtimes with storage", () => {
  test(
    `lose no acknowledged write and stay linearizable when the leader is killed ${KILLS} times in a row`,
    async () => {
      await using fleet = await StateFleet.start(RUNTIMES, { storage: true });
      await fleet.leadership();
      const history = new History(systemClock, fateOfRequest);
      const stores = fleet.nodes.map(({ url }) => new HttpKeyValue(url, REQUEST_TIMEOUT_MS));
      await using clients = new Clients({
        clock: systemClock,
        seed: SEED,
        history,
        stores: stores.flatMap((store) => Array.from({ length: CLIENTS_PER_NODE }, () => store)),
        keys: KEYS,
        thinkMs: THINK_MS,
      });
      const electionsMs: number[] = [];
      const killed: Record<string, number> = {};
      for (let kill = 0; kill < KILLS; kill++) {
        await moreWrites(fleet, history, clients);
        const leader = await fleet.leader();
        const from = performance.now();
        await leader.kill();
        killed[`killed ${leader.runtime}`] = (killed[`killed ${leader.runtime}`] ?? 0) + 1;
        await fleet.leadership();
        electionsMs.push(performance.now() - from);
        await moreWrites(fleet, history, clients);
        await leader.start();
        await fleet.until("all agree on a leader", async () => {
          const { agreeing } = await fleet.leadership();
          return agreeing.length === fleet.nodes.length;
        });
      }
      await moreWrites(fleet, history, clients);
      await clients.stop();
      await fleet.settled();

      const [first = [], ...others] = await readEverywhere(stores, history);
      for (const other of others) expect(other).toEqual(first);
      const operations = history.operations();
      expect(lostWrites(operations)).toEqual([]);
      expectLinearizable(operations);
      electionsMs.sort((a, b) => a - b);
      report("leader kills", {
        seed: SEED,
        kills: KILLS,
        ...killed,
        operations: operations.length,
        acknowledgedWrites: history.writes,
        unknown: operations.filter(({ answer }) => answer === undefined).length,
        refused: operations.filter(({ answer }) => answer?.kind === "refused").length,
        newLeaderMedianMs: electionsMs[electionsMs.length >> 1] ?? 0,
        newLeaderMaxMs: electionsMs.at(-1) ?? 0,
      });
    },
    PATIENCE_MS,
  );
});
