/** A cluster over Redis while Redis is harmed, in real time. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sleep, systemClock } from "../../src/lib/clock.ts";
import { loadRedis } from "../../src/lib/redis.ts";
import { BrokerCluster, type BrokerNode } from "../support/broker_cluster.ts";
import { freePort } from "../support/free_port.ts";
import { report } from "../support/measure.ts";
import { demandRedis, type Redis, withoutBrokers } from "../support/redis.ts";
import { until } from "../support/until.ts";

const START_MS = 60_000;
const FAULT_MS = 60_000;

describe.skipIf(withoutBrokers)("a cluster over Redis", () => {
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

  const faults: [string, () => Promise<void>][] = [
    ["is killed and started again", () => redis.restart()],
    ["closes every subscriber's connection", () => command("CLIENT", "KILL", "TYPE", "PUBSUB")],
    ["closes every publisher's connection", () => command("CLIENT", "KILL", "TYPE", "NORMAL")],
    ["is emptied", () => command("FLUSHALL")],
    ["stands still for five seconds", async () => {
      redis.pause();
      await sleep(systemClock, 5_000);
      redis.resume();
    }],
  ];
  test.each(faults)(
    "that %s is whole again by itself, and what it called delivered arrived once and in order",
    async (what, harm) => {
      await using cluster = new BrokerCluster();
      for (const nodeId of ["a", "b", "c"]) {
        await cluster.add(nodeId, { transportType: "redis", redisConnectionString: redis.url });
      }
      await cluster.whole();
      cluster.talk();
      await cluster.more(50);
      await harm();
      const from = systemClock.now();
      await cluster.more(50);
      await cluster.whole();
      const wholeMs = Math.round(systemClock.now() - from);
      const { wrong, delivered, other } = await cluster.verdict();
      report(`a Redis that ${what}`, { delivered, other, wholeMs });
      expect(wrong).toEqual([]);
      expect(delivered).toBeGreaterThan(500);
      for (const { said } of cluster.nodes) {
        expect(said.filter((line) => line.includes("the broker")).length).toBeLessThan(4);
      }
    },
    FAULT_MS,
  );

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
