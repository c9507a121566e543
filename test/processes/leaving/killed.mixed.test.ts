/** Nodes that are killed while one leaves: who leads and who does not. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { MESHES } from "../../support/meshes.ts";
import { withoutBrokers } from "../../support/redis.ts";
import { scale } from "../../support/scale.ts";
import { until } from "../../support/until.ts";
import { LeavingFleet, type LeavingNode } from "./leaving_fleet.ts";

const CLIENTS = scale(30, 600);
const PLAIN_SHARE = 1 / 3;
const PATIENCE_MS = 150_000;
const BACK_MS = 20_000;

type Choose = (leader: LeavingNode, followers: readonly LeavingNode[]) => LeavingNode | undefined;
const theLeader: Choose = (leader) => leader;
const aFollower: Choose = (_, followers) => followers[0];
const anotherFollower: Choose = (_, followers) => followers[1];

/** Who leaves, who is killed, and after how many clients have gone. */
const CASES: readonly [string, Choose, Choose, boolean][] = [
  ["the leader leaves and is killed before anybody has moved", theLeader, theLeader, false],
  ["a follower leaves and is killed when some have moved", aFollower, aFollower, true],
  ["a follower leaves and the leader, whom clients are sent to, is killed", aFollower, theLeader, true],
  [
    "a follower leaves and another one, whom clients are sent to, is killed",
    aFollower,
    anotherFollower,
    true,
  ],
];

for (const mesh of MESHES) {
  describe.skipIf(mesh.isBroker && withoutBrokers)(`over ${mesh.name}, when`, () => {
    let fleet: LeavingFleet;
    beforeAll(async () => {
      fleet = await LeavingFleet.start(mesh, ["deno", "bun", "node"]);
    }, PATIENCE_MS);
    afterAll(() => fleet[Symbol.asyncDispose]());

    for (const [name, chooseLeaving, chooseKilled, whenMoved] of CASES) {
      test(`${name}, no client is without a way back, and no node waits for ever`, async () => {
        await fleet.connect(CLIENTS, PLAIN_SHARE);
        const leader = await fleet.leader();
        const leaving = chooseLeaving(leader, fleet.others(leader)) as LeavingNode;
        const killed = chooseKilled(leader, fleet.others(leader)) as LeavingNode;
        fleet.send();
        leaving.child.signal("SIGTERM");
        if (whenMoved) {
          await until("some have moved", () => fleet.countOn([leaving]) < CLIENTS / 3, BACK_MS);
        } else await until("it leaves", () => leaving.isLeaving());
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
