/** Deploys: real nodes leave and come back while clients of the SDK are sent messages all the time. */
import { describe, expect, test } from "bun:test";
import { report } from "../../support/measure.ts";
import { scale } from "../../support/scale.ts";
import { until } from "../../support/until.ts";
import { LeavingFleet, type LeavingNode } from "./leaving_fleet.ts";

const CLIENTS = scale(60, 600);
const PATIENCE_MS = 150_000;
const BACK_MS = 20_000;

describe("a rolling restart", () => {
  test(
    "of a mixed cluster loses no client and no message, and neither repeats nor reorders one",
    async () => {
      await using fleet = await LeavingFleet.start(["bun", "deno", "node"]);
      await fleet.connect(CLIENTS);
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
      expect(account).toMatchObject({ falselyDelivered: 0, repeated: 0, reordered: 0 });
      const { delivered = 0, ...others } = account.outcomes;
      expect(delivered).toBeGreaterThan(account.messages * CLIENTS * 0.5);
      // What did not arrive says so, and says that it certainly did not.
      expect(
        Object.keys(others).filter((outcome) => !["closed", "not-found"].includes(outcome)),
      ).toEqual([]);
      report("rolling restart", {
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

describe("leaving", () => {
  test("three of five nodes at once, all clients end on the other two", async () => {
    await using fleet = await LeavingFleet.start(["bun", "deno", "node", "bun", "node"]);
    await fleet.connect(CLIENTS);
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
    expect(await fleet.account()).toMatchObject({ falselyDelivered: 0, repeated: 0, reordered: 0 });
  }, PATIENCE_MS);

  test.each(["the node that leaves", "a node that clients are sent to"])(
    "leaves no client without a way back when %s is killed meanwhile",
    async (whom) => {
      await using fleet = await LeavingFleet.start(["deno", "bun", "node"]);
      await fleet.connect(CLIENTS);
      fleet.send();
      const [leaving, target] = fleet.nodes as [LeavingNode, LeavingNode];
      const killed = whom.startsWith("the node") ? leaving : target;
      leaving.child.signal("SIGTERM");
      await until("some have moved", () => fleet.countOn([leaving]) < CLIENTS / 3, BACK_MS);
      killed.child.signal("SIGKILL");
      await killed.child.ended();
      if (killed !== leaving) expect((await leaving.child.ended(60_000)).code).toBe(0);
      // Who was sent to a node that is gone goes home, so home must be there again.
      for (const node of new Set([leaving, killed])) await node.start(fleet.others(node));
      await fleet.whole();
      await until("all clients are connected", () => fleet.connected === CLIENTS, BACK_MS);
      const { repeated, reordered } = await fleet.account();
      expect([repeated, reordered]).toEqual([0, 0]);
    },
    PATIENCE_MS,
  );
});
