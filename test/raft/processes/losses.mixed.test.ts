/** Real processes of three runtimes that lose their disks, or have none, and what is left of the state. */
import { describe, expect, test } from "bun:test";
import { freePort } from "../../support/free_port.ts";
import { RUNTIMES } from "../../support/runtimes.ts";
import { scale } from "../../support/scale.ts";
import { HttpKeyValue } from "../linearizability/http_client.ts";
import { StateFleet, type StateNode } from "./state_fleet.ts";

const REQUEST_TIMEOUT_MS = 12_000;
const ROUNDS: number = scale(1, 5);
const PATIENCE_MS: number = scale(150_000, 900_000);

function storeOf(node: StateNode): HttpKeyValue {
  return new HttpKeyValue(node.url, REQUEST_TIMEOUT_MS);
}

/** Every value that was acknowledged, by key. */
class Ledger {
  readonly #kept = new Map<string, string>();

  async write(node: StateNode, key: string, value: string): Promise<void> {
    await storeOf(node).set(key, value);
    this.#kept.set(key, value);
  }

  async check(nodes: readonly StateNode[]): Promise<void> {
    for (const node of nodes) {
      for (const [key, value] of this.#kept) {
        expect([node.nodeId, key, (await storeOf(node).get(key))?.value]).toEqual([node.nodeId, key, value]);
      }
    }
  }
}

/** Waits until `node` votes again, so that the next one may go. */
async function returned(fleet: StateFleet, node: StateNode): Promise<void> {
  await fleet.until(`${node.nodeId} votes`, async () => {
    const role = (await node.view())?.role;
    return role === "follower" || role === "leader";
  });
  await fleet.settled();
}

describe("three nodes of three runtimes", () => {
  test(
    "take a node back that returns with its disk at another address",
    async () => {
      await using fleet = await StateFleet.start(RUNTIMES, { storage: true });
      const ledger = new Ledger();
      await fleet.settled();
      const [first, , moving] = fleet.nodes as [StateNode, StateNode, StateNode];
      await ledger.write(first, "before", "it moved");
      await moving.kill();
      moving.moveTo(await freePort());
      await ledger.write(first, "while", "it was away");
      await moving.start();
      await returned(fleet, moving);
      await ledger.check(fleet.nodes);
    },
    PATIENCE_MS,
  );

  test(
    "with storage have their state when all were killed at once, and when their disks were wiped one at a time",
    async () => {
      await using fleet = await StateFleet.start(RUNTIMES, { storage: true });
      const ledger = new Ledger();
      await fleet.settled();
      for (const [index, node] of fleet.nodes.entries()) await ledger.write(node, `at once ${index}`, "kept");
      await Promise.all(fleet.nodes.map((node) => node.kill()));
      await Promise.all(fleet.nodes.map((node) => node.start()));
      await fleet.settled();
      await ledger.check(fleet.nodes);
      for (let round = 0; round < ROUNDS; round++) {
        for (const node of fleet.nodes) {
          await ledger.write(node, `round ${round} of ${node.nodeId}`, `written before its disk was wiped`);
          await node.kill();
          node.wipe();
          await node.start();
          await returned(fleet, node);
        }
      }
      await ledger.check(fleet.nodes);
    },
    PATIENCE_MS,
  );

  test(
    "without storage lose nothing when restarted one at a time, and re-form when two are restarted at once",
    async () => {
      await using fleet = await StateFleet.start(RUNTIMES);
      const ledger = new Ledger();
      await fleet.settled();
      for (let round = 0; round < ROUNDS; round++) {
        for (const node of fleet.nodes) {
          await ledger.write(node, `round ${round} of ${node.nodeId}`, "written before it was killed");
          await node.kill();
          await node.start();
          await returned(fleet, node);
        }
      }
      await ledger.check(fleet.nodes);
      for (const [index, survivor] of fleet.nodes.entries()) {
        await ledger.write(survivor, `survivor ${index}`, "kept");
        // What it acknowledged is in the survivor's log.
        await ledger.check([survivor]);
        const others = fleet.nodes.filter((node) => node !== survivor);
        await Promise.all(others.map((node) => node.kill()));
        await Promise.all(others.map((node) => node.start()));
        await fleet.settled();
        await ledger.check(fleet.nodes);
      }
    },
    PATIENCE_MS,
  );
});
