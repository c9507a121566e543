/** Who runs both brokers of a cluster. */
import { afterAll, beforeAll, describe } from "bun:test";
import { withstandsOutsiders } from "../support/broker_outsider.ts";
import { spyOnRabbitMq, spyOnRedis } from "../support/broker_spies.ts";
import { demandRabbitMq, type RabbitMq } from "../support/rabbitmq.ts";
import { demandRedis, type Redis, withoutBrokers } from "../support/redis.ts";

const START_MS = 120_000;

describe.skipIf(withoutBrokers)("hybrid", () => {
  let redis: Redis, rabbitMq: RabbitMq;
  beforeAll(async () => {
    [redis, rabbitMq] = await Promise.all([demandRedis(), demandRabbitMq()]);
  }, START_MS);
  afterAll(async () => {
    await redis?.[Symbol.asyncDispose]();
    await rabbitMq?.[Symbol.asyncDispose]();
  }, START_MS);

  withstandsOutsiders("hybrid", {
    settings: () => ({
      transportType: "hybrid",
      redisConnectionString: redis.url,
      rabbitMQConnectionString: rabbitMq.url,
    }),
    spies: () => [spyOnRedis(redis), spyOnRabbitMq(rabbitMq)],
  });
});
