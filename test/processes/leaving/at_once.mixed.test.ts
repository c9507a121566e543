/** Several nodes that leave at once, and their clients, of the SDK and others, who are sent messages meanwhile. */
import { describe, expect, test } from "bun:test";
import { MESHES } from "../../support/meshes.ts";
import { withoutBrokers } from "../../support/redis.ts";
import { scale } from "../../support/scale.ts";
import { until } from "../../support/until.ts";
import { BACK_MS, LeavingFleet, type LeavingNode, PATIENCE_MS, PLAIN_SHARE } from "./leaving_fleet.ts";

const CLIENTS = scale(60, 600);

for (const mesh of MESHES) {
  describe.skipIf(mesh.isBroker && withoutBrokers)(`over ${mesh.name}`, () => {
    test("three of five nodes leave at once, and all clients end on the other two", async () => {
      await using fleet = await LeavingFleet.start(mesh, ["bun", "deno", "node", "bun", "node"]);
      await fleet.connect(CLIENTS, PLAIN_SHARE);
      fleet.send();
      const [first, second, third, ...stay] = fleet.nodes as [
        LeavingNode,
        LeavingNode,
        LeavingNode,
        ...LeavingNode[],
      ];
      await Promise.all([first, second, third].map((node) => node.leave()));
      await until("all clients are on the others", () => fleet.countOn(stay) === CLIENTS, BACK_MS);
      await until("all clients are connected", () => fleet.connected === CLIENTS, BACK_MS);
      expect(await fleet.account()).toMatchObject({
        falselyDelivered: 0,
        repeated: 0,
        reordered: 0,
        unreached: 0,
      });
      expect(fleet.told.length).toBeGreaterThan(0);
      expect(fleet.told.filter(({ isRight }) => !isRight)).toEqual([]);
    }, PATIENCE_MS);
  });
}
