import { afterAll, beforeAll, describe } from "bun:test";
import type { Brokers } from "../../transports/broker.ts";
import { rabbitMqBroker } from "../../transports/rabbitmq.ts";
import { redisBroker } from "../../transports/redis.ts";
import { brokerWorld, onlyOn } from "../support/broker_worlds.ts";
import { transportConformance } from "../support/conformance.ts";
import { someRabbitMq } from "../support/rabbitmq.ts";
import { type SomeBroker, someRedis, withoutBrokers } from "../support/redis.ts";
import { type Relay, startRelay } from "../support/tcp_relay.ts";

const START_MS = 120_000;

describe.skipIf(withoutBrokers)("over RabbitMQ", () => {
  let rabbitMq: SomeBroker, redis: SomeBroker, relay: Relay;
  beforeAll(async () => {
    [rabbitMq, redis] = await Promise.all([someRabbitMq(), someRedis()]);
    relay = await startRelay(rabbitMq.url);
  }, START_MS);
  afterAll(async () => {
    await relay?.[Symbol.asyncDispose]();
    await redis?.[Symbol.asyncDispose]();
    await rabbitMq?.[Symbol.asyncDispose]();
  }, START_MS);

  const kinds: [string, () => Brokers][] = [
    ["rabbitmq over TCP", () => onlyOn(rabbitMqBroker(rabbitMq.url))],
    ["rabbitmq over a WebSocket", () => onlyOn(rabbitMqBroker(relay.url))],
    ["hybrid", () => ({
      name: "under test",
      discovers: redisBroker(redis.url),
      carries: rabbitMqBroker(rabbitMq.url),
    })],
  ];
  for (const [name, brokers] of kinds) {
    transportConformance(name, {
      features: [],
      announcesStops: false,
      make: () => Promise.resolve(brokerWorld(brokers())),
    });
  }
});
