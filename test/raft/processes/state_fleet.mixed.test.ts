/** What the fleet does to its processes; what they say of Raft has its tests elsewhere. */
import { describe, expect, test } from "bun:test";
import { RUNTIMES } from "../../support/runtimes.ts";
import { StateFleet } from "./state_fleet.ts";

/** Whether all of `ids` answer, and each is up for every other. */
async function areWhole(fleet: StateFleet, ids: readonly string[]): Promise<boolean> {
  const views = (await fleet.views()).filter((view) => view !== undefined);
  return views.map(({ nodeId }) => nodeId).join() === ids.join() && views.every(({ nodes }) => {
    const up = nodes.filter(({ status }) => status === "up").map(({ nodeId }) => nodeId);
    return up.sort().join() === ids.join();
  });
}

describe("a fleet of nodes of three runtimes", () => {
  test("loses a node that is killed, gets it back, and ends with nothing running", async () => {
    const fleet = await StateFleet.start(RUNTIMES);
    try {
      await fleet.until("all see all", () => areWhole(fleet, ["a", "b", "c"]));
      for (const node of fleet.nodes) {
        await node.kill();
        const answering = (await fleet.views()).flatMap((view) => view === undefined ? [] : [view.nodeId]);
        expect(answering).toEqual(["a", "b", "c"].filter((nodeId) => nodeId !== node.nodeId));
        await node.start();
        await fleet.until("all see all again", () => areWhole(fleet, ["a", "b", "c"]));
      }
    } finally {
      await fleet[Symbol.asyncDispose]();
    }
    expect(fleet.nodes.filter(({ running }) => running)).toEqual([]);
    await expect(fetch(`${fleet.nodes[0]?.url}/healthz`)).rejects.toThrow();
  }, 90_000);

  test("has no answer from a node while it is paused", async () => {
    await using fleet = await StateFleet.start(["node", "bun"]);
    const [first] = fleet.nodes;
    first?.pause();
    expect(await first?.view()).toBeUndefined();
    await expect(fetch(`${first?.url}/healthz`, { signal: AbortSignal.timeout(200) })).rejects.toThrow();
    first?.resume();
    await fleet.until("both see each other", () => areWhole(fleet, ["a", "b"]));
  }, 60_000);

  test("says what each node said when a wait is in vain", async () => {
    await using fleet = await StateFleet.start(["node", "node"]);
    await fleet.node("b").kill();
    await expect(fleet.until("pigs fly", () => false, 10)).rejects.toThrow(
      /not within 10 ms: pigs fly\na: .*, raft .*\nb: no answer; /,
    );
  }, 60_000);

  test("wipes the disk of a node that does not run, and of no other", async () => {
    await using fleet = await StateFleet.start(["node"]);
    const node = fleet.node("a");
    expect(() => node.wipe()).toThrow("a runs");
    await node.kill();
    expect(() => node.wipe()).toThrow("keeps nothing on disk");
  }, 60_000);
});
