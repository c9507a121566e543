/** Who runs the RabbitMQ of a cluster. */
import { afterAll, beforeAll, describe } from "bun:test";
import { withstandsOutsiders } from "../support/broker_outsider.ts";
import { spyOnRabbitMq } from "../support/broker_spies.ts";
import { demandRabbitMq, type RabbitMq } from "../support/rabbitmq.ts";
import { withoutBrokers } from "../support/redis.ts";

const START_MS = 120_000;

describe.skipIf(withoutBrokers)("rabbitmq", () => {
  let rabbitMq: RabbitMq;
  beforeAll(async () => {
    rabbitMq = await demandRabbitMq();
  }, START_MS);
  afterAll(async () => {
    await rabbitMq?.[Symbol.asyncDispose]();
  }, START_MS);

  withstandsOutsiders("rabbitmq", {
    settings: () => ({ transportType: "rabbitmq", rabbitMQConnectionString: rabbitMq.url }),
    spies: () => [spyOnRabbitMq(rabbitMq)],
  });
});
