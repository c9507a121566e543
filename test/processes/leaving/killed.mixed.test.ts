/** Nodes that are killed while one leaves: who leads and who does not. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { MESHES } from "../../support/meshes.ts";
import { withoutBrokers } from "../../support/redis.ts";
import { scale } from "../../support/scale.ts";
import { until } from "../../support/until.ts";
import { BACK_MS, LeavingFleet, type LeavingNode, PATIENCE_MS, PLAIN_SHARE } from "./leaving_fleet.ts";

const CLIENTS = scale(30, 600);

interface Case {
  readonly name: string;
  readonly leaves: "the leader" | "a follower";
  /** Else whoever of the others leads then, to whom clients are sent. */
  readonly killsItself: boolean;
  /** When some clients have moved; else as soon as it leaves. */
  readonly midway: boolean;
}

const CASES: readonly Case[] = [
  {
    name: "the leader is killed as soon as it leaves",
    leaves: "the leader",
    killsItself: true,
    midway: false,
  },
  {
    name: "the one that leads after the leader, who leaves, is killed",
    leaves: "the leader",
    killsItself: false,
    midway: true,
  },
  {
    name: "a follower is killed while its clients move",
    leaves: "a follower",
    killsItself: true,
    midway: true,
  },
  {
    name: "the leader is killed while a follower leaves",
    leaves: "a follower",
    killsItself: false,
    midway: true,
  },
];

for (const mesh of MESHES) {
  describe.skipIf(mesh.isBroker && withoutBrokers)(`over ${mesh.name}, when`, () => {
    let fleet: LeavingFleet;
    beforeAll(async () => {
      fleet = await LeavingFleet.start(mesh, ["deno", "bun", "node"]);
    }, PATIENCE_MS);
    afterAll(() => fleet[Symbol.asyncDispose]());

    for (const { name, leaves, killsItself, midway } of CASES) {
      test(`${name}, no client is without a way back, and no node waits for ever`, async () => {
        await fleet.connect(CLIENTS, PLAIN_SHARE);
        const leader = await fleet.leader();
        const leaving = leaves === "the leader" ? leader : fleet.others(leader)[0] as LeavingNode;
        await connectDeserter(leaving);
        fleet.send();
        leaving.child.signal("SIGTERM");
        if (!midway) await until("it leaves", () => leaving.isLeaving());
        const killed = killsItself ? leaving : await fleet.leader(fleet.others(leaving));
        if (midway) await until("some have moved", () => fleet.countOn([leaving]) < CLIENTS / 3, BACK_MS);
        expect(leaving.runs).toBe(true);
        await killed.kill();
        if (killed !== leaving) await leaving.left();
        // Who was sent to a node that is gone goes home, so home must be there again.
        await Promise.all([...new Set([leaving, killed])].map((node) => node.start(fleet.others(node))));
        await fleet.whole();
        await until("all clients are connected", () => fleet.connected === CLIENTS, BACK_MS);
        await until("all clients are reached", () => fleet.reachesAll(), BACK_MS);
        expect(await fleet.account()).toMatchObject({ repeated: 0, reordered: 0, unreached: 0 });
        await fleet.disconnect();
        await fleet.leader();
        const writes = fleet.nodes.map((node) => node.write(`by ${node.nodeId}`, "still here"));
        for (const status of await Promise.all(writes)) expect([200, 201]).toContain(status);
      }, PATIENCE_MS);
    }
  });
}

/** A client that never comes back: for that reason a node is leaving for some seconds yet when the others have moved. */
async function connectDeserter({ url }: LeavingNode): Promise<void> {
  const deserter = new WebSocket(`${url}/ws?id=deserter`);
  await new Promise((resolve) => deserter.addEventListener("open", resolve));
}
