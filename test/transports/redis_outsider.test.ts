/** Who runs the Redis of a cluster. */
import { afterAll, beforeAll, describe } from "bun:test";
import { withstandsOutsiders } from "../support/broker_outsider.ts";
import { spyOnRedis } from "../support/broker_spies.ts";
import { demandRedis, type Redis, withoutBrokers } from "../support/redis.ts";

const START_MS = 120_000;

describe.skipIf(withoutBrokers)("redis", () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await demandRedis();
  }, START_MS);
  afterAll(async () => {
    await redis?.[Symbol.asyncDispose]();
  }, START_MS);

  withstandsOutsiders("redis", {
    settings: () => ({ transportType: "redis", redisConnectionString: redis.url }),
    spies: () => [spyOnRedis(redis)],
  });
});
