/** All ways in which a broker makes several nodes a cluster, over one Redis and one RabbitMQ. */
import { startUpstashServer } from "../../examples/upstash_server.ts";
import type { ClusterOptions } from "../../src/cluster/options.ts";
import { someRabbitMq } from "./rabbitmq.ts";
import { someRedis } from "./redis.ts";
import { startRelay } from "./tcp_relay.ts";

const TOKEN = "T";

/** Where the brokers are, by every way that leads to them. */
export interface BrokerUrls {
  readonly redis: string;
  readonly redisHttp: string;
  readonly rabbitMq: string;
  readonly rabbitMqWebSocket: string;
}

export type WaySettings = Pick<
  ClusterOptions,
  "transportType" | "redisConnectionString" | "rabbitMQConnectionString"
>;

export interface Way {
  readonly name: string;
  settings(urls: BrokerUrls): WaySettings;
}

export const WAYS: readonly Way[] = [
  {
    name: "redis by TCP",
    settings: ({ redis }) => ({ transportType: "redis", redisConnectionString: redis }),
  },
  {
    name: "redis by HTTP",
    settings: ({ redisHttp }) => ({ transportType: "redis", redisConnectionString: redisHttp }),
  },
  {
    name: "rabbitmq by TCP",
    settings: ({ rabbitMq }) => ({ transportType: "rabbitmq", rabbitMQConnectionString: rabbitMq }),
  },
  {
    name: "rabbitmq by a WebSocket",
    settings: (urls) => ({ transportType: "rabbitmq", rabbitMQConnectionString: urls.rabbitMqWebSocket }),
  },
  {
    name: "hybrid",
    settings: ({ redis, rabbitMq }) => ({
      transportType: "hybrid",
      redisConnectionString: redis,
      rabbitMQConnectionString: rabbitMq,
    }),
  },
];

/** The brokers that REDIS_URL and RABBITMQ_URL name, else some of one's own, and what leads to them. */
export async function startBrokers(): Promise<{ readonly urls: BrokerUrls } & AsyncDisposable> {
  const held = new AsyncDisposableStack();
  try {
    const [redis, rabbitMq] = await Promise.all([
      someRedis().then((found) => held.use(found)),
      someRabbitMq().then((found) => held.use(found)),
    ]);
    const http = await startUpstashServer({ port: 0, redis: redis.url, token: TOKEN });
    held.defer(() => http.close());
    const relay = held.use(await startRelay(rabbitMq.url));
    return {
      urls: {
        redis: redis.url,
        redisHttp: http.url.replace("//", `//:${TOKEN}@`),
        rabbitMq: rabbitMq.url,
        rabbitMqWebSocket: relay.url,
      },
      [Symbol.asyncDispose]: () => held.disposeAsync(),
    };
  } catch (thrown) {
    await held.disposeAsync();
    throw thrown;
  }
}
