/** Clusters over Redis and RabbitMQ, and over a relay to RabbitMQ, while one of them is harmed, in real time. */
import { afterAll, beforeAll, describe } from "bun:test";
import { sleep, systemClock } from "../../src/lib/clock.ts";
import { type Fault, survivesElections, survivesFaults } from "../support/broker_faults.ts";
import { demandRabbitMq, type RabbitMq } from "../support/rabbitmq.ts";
import { demandRedis, type Redis, withoutBrokers } from "../support/redis.ts";
import { type Relay, startRelay } from "../support/tcp_relay.ts";

const START_MS = 120_000;

describe.skipIf(withoutBrokers)("Redis and RabbitMQ", () => {
  let rabbitMq: RabbitMq, redis: Redis, relay: Relay;
  beforeAll(async () => {
    [rabbitMq, redis] = await Promise.all([demandRabbitMq(), demandRedis()]);
    relay = await startRelay(rabbitMq.url);
  }, START_MS);
  afterAll(async () => {
    await relay?.[Symbol.asyncDispose]();
    await redis?.[Symbol.asyncDispose]();
    await rabbitMq?.[Symbol.asyncDispose]();
  }, START_MS);

  const overRelay = () => ({ transportType: "rabbitmq", rabbitMQConnectionString: relay.url }) as const;
  const hybrid = () =>
    ({
      transportType: "hybrid",
      redisConnectionString: redis.url,
      rabbitMQConnectionString: rabbitMq.url,
    }) as const;

  const killed: Fault = { what: "that carries is killed and started again", harm: () => rabbitMq.restart() };
  survivesFaults("rabbitmq by a WebSocket", overRelay, [
    { what: "is cut off by the relay", harm: () => relay.cut() },
  ]);

  survivesFaults("hybrid", hybrid, [
    killed,
    {
      what: "for discovery stands still for five seconds",
      async harm() {
        redis.pause();
        await sleep(systemClock, 5_000);
        redis.resume();
      },
    },
  ]);
  survivesElections("hybrid", hybrid, killed);
});
