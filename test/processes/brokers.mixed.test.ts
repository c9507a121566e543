/** Nodes on three runtimes that know nothing but their brokers: `examples/node.ts --transport ...`. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes, randomUUID } from "node:crypto";
import { fromUtf8 } from "../../src/lib/bytes.ts";
import { OPCODE, type RawClient } from "../server/raw_client.ts";
import { startBrokers, WAYS } from "../support/broker_ways.ts";
import { report } from "../support/measure.ts";
import { withoutBrokers } from "../support/redis.ts";
import { type Runtime, RUNTIMES } from "../support/runtimes.ts";
import { scale } from "../support/scale.ts";
import { until } from "../support/until.ts";
import { BrokerNode, digestOf, flagsOf, receivedDigest } from "./broker_nodes.ts";

const START_MS = 120_000;
const PATIENCE_MS = 90_000;
const STREAM_BYTES = scale(4, 64) * 1_048_576;

const clientOn = (runtime: Runtime): string => `client-on-${runtime}`;

describe.skipIf(withoutBrokers)("nodes on Deno, Bun and Node", () => {
  let brokers: Awaited<ReturnType<typeof startBrokers>>;
  beforeAll(async () => {
    brokers = await startBrokers();
  }, START_MS);
  afterAll(async () => {
    await brokers?.[Symbol.asyncDispose]();
  }, START_MS);

  test.each(WAYS.map((way) => [way.name, way] as const))(
    "find each other without a list, elect one leader and reach each other's clients with messages and streams: %s",
    async (name, way) => {
      await using held = new AsyncDisposableStack();
      const args = [...flagsOf(way.settings(brokers.urls)), "--bootstrap-expect", "3"];
      const named = [...args, "--cluster-name", randomUUID()];
      const nodes = await Promise.all(
        RUNTIMES.map(async (runtime) => held.use(await BrokerNode.start(runtime, named))),
      );
      await until("all are up for all, with one leader", async () => {
        const views = await Promise.all(nodes.map((node) => node.view()));
        const leaders = new Set(views.map(({ leaderId }) => leaderId));
        return leaders.size === 1 && !leaders.has(null) &&
          views.every(({ nodes: seen }) => seen.filter(({ status }) => status === "up").length === 3);
      }, 30_000);

      const clients = await Promise.all(nodes.map((node) => node.client(clientOn(node.runtime))));
      /** Messages that may have arrived, and were sent again. */
      let unknown = 0;
      for (const node of nodes) {
        for (const runtime of RUNTIMES) {
          const delivered = async (): Promise<boolean> => {
            const outcome = await node.route(clientOn(runtime), `from ${node.runtime}`);
            if (outcome === "timeout" || outcome === "node-lost") unknown++;
            return outcome === "delivered";
          };
          await until("the route is known", delivered);
        }
      }
      // Pings come as they like.
      const textsOf = ({ frames }: RawClient): string[] =>
        frames.filter(({ opcode }) => opcode === OPCODE.text).map(({ payload }) => fromUtf8(payload));
      await until(
        "each client has a message of each node",
        () => clients.every((client) => new Set(textsOf(client)).size === RUNTIMES.length),
      );
      expect(clients.flatMap(textsOf).length).toBeLessThanOrEqual(RUNTIMES.length ** 2 + unknown);
      for (const client of clients) client.frames.length = 0;

      for (const from of nodes) {
        for (const [index, to] of nodes.entries()) {
          const client = clients[index];
          if (to === from || client === undefined) continue;
          const bytes = new Uint8Array(randomBytes(STREAM_BYTES));
          const result = await from.stream(clientOn(to.runtime), bytes);
          expect(result).toMatchObject({ outcome: "delivered", bytes: STREAM_BYTES });
          expect(await receivedDigest(client, STREAM_BYTES)).toBe(digestOf([bytes]));
          report(`${name}, from ${from.runtime} to ${to.runtime}`, result as { ms: number });
        }
      }
      expect(nodes.map((node) => node.child.output.match(/"level":"(warn|error)".*/g) ?? [])).toEqual([
        [],
        [],
        [],
      ]);
    },
    PATIENCE_MS,
  );
});
