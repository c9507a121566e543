/** A cluster over Redis while Redis is harmed, in real time. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sleep, systemClock } from "../../src/lib/clock.ts";
import { loadRedis } from "../../src/lib/redis.ts";
import { BrokerCluster, type BrokerNode } from "../support/broker_cluster.ts";
import { type Fault, survivesElections, survivesFaults } from "../support/broker_faults.ts";
import { freePort } from "../support/free_port.ts";
import { demandRedis, type Redis, withoutBrokers } from "../support/redis.ts";
import { until } from "../support/until.ts";

const START_MS = 60_000;
const FAULT_MS = 60_000;

describe.skipIf(withoutBrokers)("Redis", () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await demandRedis();
  }, START_MS);
  afterAll(async () => {
    await redis?.[Symbol.asyncDispose]();
  });

  const command = async (...words: string[]): Promise<void> => {
    const { createClient } = await loadRedis();
    const client = createClient({ url: redis.url });
    await client.connect();
    await client.sendCommand(words);
    client.destroy();
  };

  const settings = () => ({ transportType: "redis", redisConnectionString: redis.url }) as const;
  const killed: Fault = { what: "is killed and started again", harm: () => redis.restart() };
  survivesFaults("redis", settings, [
    killed,
    {
      what: "closes every subscriber's connection",
      harm: () => command("CLIENT", "KILL", "TYPE", "PUBSUB"),
    },
    {
      what: "closes every publisher's connection",
      harm: () => command("CLIENT", "KILL", "TYPE", "NORMAL"),
    },
    { what: "is emptied", harm: () => command("FLUSHALL") },
    {
      what: "stands still for five seconds",
      async harm() {
        redis.pause();
        await sleep(systemClock, 5_000);
        redis.resume();
      },
    },
    {
      what: "closes who reads too slowly, and calls everybody so",
      async harm() {
        await command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 4096 2048 1");
        await sleep(systemClock, 3_000);
        await command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60");
      },
    },
  ]);
  survivesElections("redis", settings, killed);

  test("that is not there yet is waited for", async () => {
    const port = await freePort();
    await using cluster = new BrokerCluster();
    for (const nodeId of ["a", "b"]) {
      await cluster.add(nodeId, {
        transportType: "redis",
        redisConnectionString: `redis://127.0.0.1:${port}`,
      });
    }
    const [{ said }] = cluster.nodes as [BrokerNode, BrokerNode];
    await until("it was said", () => said.length > 0);
    await sleep(systemClock, 2_000);
    expect(said).toHaveLength(1);
    expect(said[0]).toContain(`"broker":"redis://127.0.0.1:${port}"`);
    await using _late = await demandRedis(port);
    await cluster.whole();
  }, FAULT_MS);

  test("is named in the log without its password", async () => {
    await using cluster = new BrokerCluster();
    const redisConnectionString = `redis://user:hidden@127.0.0.1:${await freePort()}`;
    const { said } = await cluster.add("a", { transportType: "redis", redisConnectionString });
    await until("it was said", () => said.length > 0);
    expect(said[0]).not.toContain("hidden");
  });
});
