/** A stream does not notice that the way between its nodes is cut, and cut again. */
import { expect, test } from "bun:test";
import { report } from "../../support/measure.ts";
import { RUNTIMES } from "../../support/runtimes.ts";
import { scale } from "../../support/scale.ts";
import { until } from "../../support/until.ts";
import { StreamFleet } from "./stream_fleet.ts";

const BYTES = scale(64, 1_024) * 1_048_576;
const CUTS = 5;
const PATIENCE_MS = 170_000;

test.each(["chunks", "framed"] as const)(
  "a stream in %s arrives whole though all links are cut five times",
  async (delivery) => {
    await using fleet = await StreamFleet.start({ proxied: true });
    const [first, second, third] = RUNTIMES.map((runtime) => fleet.node(runtime));
    if (first === undefined || second === undefined || third === undefined) {
      throw new Error(
        "three nodes are needed",
      );
    }
    let seed = 1;
    for (
      const [from, to, client] of [[first, second, third], [second, third, first], [
        third,
        first,
        second,
      ]] as const
    ) {
      const key = `${from.runtime}-${to.runtime}`;
      await client.receive({ key, sdk: delivery === "framed", bytes: BYTES }, to);
      await until("the caller knows the client", () => from.knows(key));
      const sending = from.send({ connectionId: key, bytes: BYTES, seed: seed++, delivery });
      let cuts = 0;
      for (let cut = 1; cut <= CUTS; cut++) {
        await until(
          `it is ${cut}/6 on its way`,
          async () => (await from.sentBytes(key)) > (BYTES * cut) / (CUTS + 1),
          60_000,
        );
        // Every link, so also the one that carries the stream.
        for (const proxy of fleet.proxies) {
          const { connections } = proxy;
          for (let index = 0; index < connections; index++) {
            if (proxy.apply("reset", (index + 0.5) / connections, 0)) {
              cuts++;
            }
          }
        }
        await until("the links are back", () => fleet.isWhole(), 20_000);
      }
      const sent = await sending;
      const received = await client.received(key);
      expect([sent.outcome, received.error]).toEqual([
        delivery === "framed" ? "acknowledged" : "delivered",
        undefined,
      ]);
      expect([received.bytes, received.sha256]).toEqual([BYTES, sent.sha256]);
      expect(cuts).toBeGreaterThanOrEqual(CUTS);
      report(`${key}, ${delivery}`, { bytes: BYTES, cuts, ms: Math.round(sent.ms) });
    }
  },
  PATIENCE_MS,
);
