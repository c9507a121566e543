/** Deploys: real nodes leave and come back while clients, of the SDK and others, are sent messages all the time. */
import { describe, expect, test } from "bun:test";
import { report } from "../../support/measure.ts";
import { MESHES } from "../../support/meshes.ts";
import { withoutBrokers } from "../../support/redis.ts";
import { scale } from "../../support/scale.ts";
import { until } from "../../support/until.ts";
import { LeavingFleet, type LeavingNode } from "./leaving_fleet.ts";

const CLIENTS = scale(60, 600);
const PLAIN_SHARE = 1 / 3;
const PATIENCE_MS = 150_000;
const BACK_MS = 20_000;

for (const mesh of MESHES) {
  describe.skipIf(mesh.isBroker && withoutBrokers)(`over ${mesh.name}`, () => {
    test(
      "a rolling restart of a mixed cluster loses no client and no message, and neither repeats nor reorders one",
      async () => {
        await using fleet = await LeavingFleet.start(mesh, ["bun", "deno", "node"]);
        await fleet.connect(CLIENTS, PLAIN_SHARE);
        fleet.send();
        const leftAfterMs: number[] = [];
        for (const node of fleet.nodes) {
          leftAfterMs.push(await node.leave());
          await until(
            "all clients are elsewhere",
            () => fleet.countOn(fleet.others(node)) === CLIENTS,
            BACK_MS,
          );
          await node.start(fleet.others(node));
          await fleet.whole();
        }
        await until("all clients are connected", () => fleet.connected === CLIENTS, BACK_MS);
        const account = await fleet.account();
        expect(account).toMatchObject({ falselyDelivered: 0, repeated: 0, reordered: 0, unreached: 0 });
        const { delivered = 0, ...others } = account.outcomes;
        expect(delivered).toBeGreaterThan(account.messages * CLIENTS * 0.5);
        // What did not arrive says so, and says that it certainly did not.
        expect(
          Object.keys(others).filter((outcome) => !["closed", "not-found"].includes(outcome)),
        ).toEqual([]);
        expectRedirects(fleet);
        // Each node had some of them.
        expect(new Set(fleet.told.map(({ from }) => from)).size).toBe(fleet.nodes.length);
        report(`rolling restart over ${mesh.name}`, {
          clients: CLIENTS,
          messages: account.messages,
          delivered,
          ...others,
          worstGapMs: Math.round(account.worstGapMs),
          leftAfterMs: leftAfterMs.map(Math.round).join(" "),
        });
      },
      PATIENCE_MS,
    );

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
      expectRedirects(fleet);
    }, PATIENCE_MS);
  });
}

/** Each client that is no SDK's was closed with 1001 and the URL of another node that ran. */
function expectRedirects({ told }: LeavingFleet): void {
  expect(told.length).toBeGreaterThan(0);
  expect(told.filter(({ isRight }) => !isRight)).toEqual([]);
}
