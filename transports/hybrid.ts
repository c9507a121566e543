/**
 * Redis and RabbitMQ together: nodes introduce themselves on Redis, again and again, and RabbitMQ carries their packets. While
 * one of them is away, what the other one does goes on.
 */
import type { TransportContext } from "../src/transport.ts";
import { type BrokerOptions, BrokerTransport } from "./broker.ts";
import { rabbitMqBroker } from "./rabbitmq.ts";
import { redisBroker } from "./redis.ts";

export interface HybridTransportOptions extends BrokerOptions {
  /** See `RedisTransportOptions.url`. */
  readonly redisUrl: string;
  /** See `RabbitMqTransportOptions.url`. */
  readonly rabbitMqUrl: string;
}

/** @throws FlotillaError `invalid-option` for a URL that names no such broker, or without a secret (see `BrokerOptions`). */
export function hybridTransport(
  { redisUrl, rabbitMqUrl, ...options }: HybridTransportOptions,
  context: TransportContext,
): BrokerTransport {
  const brokers = { name: "hybrid", discovers: redisBroker(redisUrl), carries: rabbitMqBroker(rabbitMqUrl) };
  return new BrokerTransport(brokers, options, context);
}
