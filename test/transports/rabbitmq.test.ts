import { afterAll, beforeAll, describe } from "bun:test";
import type { Brokers } from "../../transports/broker.ts";
import { rabbitMqBroker } from "../../transports/rabbitmq.ts";
import { redisBroker } from "../../transports/redis.ts";
import { startBrokers } from "../support/broker_ways.ts";
import { brokerWorld, onlyOn } from "../support/broker_worlds.ts";
import { transportConformance } from "../support/conformance.ts";
import { withoutBrokers } from "../support/redis.ts";

const START_MS = 120_000;

describe.skipIf(withoutBrokers)("over RabbitMQ", () => {
  let brokers: Awaited<ReturnType<typeof startBrokers>>;
  beforeAll(async () => {
    brokers = await startBrokers();
  }, START_MS);
  afterAll(async () => {
    await brokers?.[Symbol.asyncDispose]();
  }, START_MS);

  const kinds: [string, () => Brokers][] = [
    ["rabbitmq over TCP", () => onlyOn(rabbitMqBroker(brokers.urls.rabbitMq))],
    ["rabbitmq over a WebSocket", () => onlyOn(rabbitMqBroker(brokers.urls.rabbitMqWebSocket))],
    ["hybrid", () => ({
      name: "under test",
      discovers: redisBroker(brokers.urls.redis),
      carries: rabbitMqBroker(brokers.urls.rabbitMq),
    })],
  ];
  for (const [name, kind] of kinds) {
    transportConformance(name, {
      features: [],
      announcesStops: false,
      make: () => Promise.resolve(brokerWorld(kind())),
    });
  }
});
