/** Streams between real nodes of three runtimes: all that was sent is what came. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { report } from "../../support/measure.ts";
import { type Runtime, RUNTIMES } from "../../support/runtimes.ts";
import { scale } from "../../support/scale.ts";
import { until } from "../../support/until.ts";
import { StreamFleet } from "./stream_fleet.ts";

const LONG_BYTES = scale(32, 1_024) * 1_048_576;
const PATIENCE_MS = 170_000;

/** Every pair of nodes, with the runtime of the client: the third. */
const PAIRS = RUNTIMES.flatMap((from) =>
  RUNTIMES.filter((to) => to !== from).map((to) => {
    const client = RUNTIMES.find((each) => each !== from && each !== to) as Runtime;
    return [from, to, client] as const;
  })
);

let fleet: StreamFleet;
let seed = 1;
beforeAll(async () => {
  fleet = await StreamFleet.start();
}, PATIENCE_MS);
afterAll(() => fleet[Symbol.asyncDispose]());

describe.each(PAIRS)("from a node on %s to a node on %s, with a client on %s,", (from, to, client) => {
  const pair = `${from}-${to}`;

  test.each(["chunks", "framed"] as const)(
    "a long stream of random bytes arrives whole, in %s",
    async (delivery) => {
      const key = `${pair}-${delivery}`;
      await fleet.node(client).receive(
        { key, sdk: delivery === "framed", bytes: LONG_BYTES },
        fleet.node(to),
      );
      await until("the caller knows the client", () => fleet.node(from).knows(key));
      const sent = await fleet.node(from).send({
        connectionId: key,
        bytes: LONG_BYTES,
        seed: seed++,
        delivery,
      });
      expect(sent.outcome).toBe(delivery === "framed" ? "acknowledged" : "delivered");
      const received = await fleet.node(client).received(key);
      expect(received.error).toBeUndefined();
      expect([sent.bytes, received.bytes]).toEqual([LONG_BYTES, LONG_BYTES]);
      expect(received.sha256).toBe(sent.sha256);
      report(`${from} to ${to}, ${delivery}`, {
        bytes: sent.bytes,
        ms: Math.round(sent.ms),
        grownBytes: sent.grownBytes,
      });
    },
    PATIENCE_MS,
  );

  test("eight mebibytes arrive as one message at a plain client", async () => {
    const [key, bytes] = [`${pair}-message`, 8 * 1_048_576];
    await fleet.node(client).receive({ key, sdk: false, bytes }, fleet.node(to));
    await until("the caller knows the client", () => fleet.node(from).knows(key));
    const sent = await fleet.node(from).send({ connectionId: key, bytes, seed: seed++ });
    const received = await fleet.node(client).received(key);
    expect(sent.outcome).toBe("delivered");
    expect([received.messages, received.longest]).toEqual([1, bytes]);
    expect(received.sha256).toBe(sent.sha256);
  }, PATIENCE_MS);
});
