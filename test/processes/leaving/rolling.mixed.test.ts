/** Deploys: real nodes leave and come back while clients, of the SDK and others, are sent messages all the time. */
import { describe, expect, test } from "bun:test";
import { report } from "../../support/measure.ts";
import { MESHES } from "../../support/meshes.ts";
import { withoutBrokers } from "../../support/redis.ts";
import { scale } from "../../support/scale.ts";
import { until } from "../../support/until.ts";
import { BACK_MS, LeavingFleet, PATIENCE_MS, PLAIN_SHARE } from "./leaving_fleet.ts";

const CLIENTS = scale(60, 600);

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
        expect(fleet.told.filter(({ isRight }) => !isRight)).toEqual([]);
        // Each node had some plain clients.
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
  });
}
