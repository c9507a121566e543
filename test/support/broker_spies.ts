/** Whoever runs a broker: reads everything that passes through it, and publishes what he likes. */
import { loadRedis } from "../../src/lib/redis.ts";
import { openTcpPipe } from "../../transports/amqp_tcp.ts";
import { openAmqpClient } from "../../transports/amqp_client.ts";
import type { RabbitMq } from "./rabbitmq.ts";
import type { Redis } from "./redis.ts";

export interface Recorded {
  readonly spy: Spy;
  readonly channel: string;
  readonly message: Buffer;
}

export interface Spy extends AsyncDisposable {
  /** What nodes, or the spy, have published so far. */
  readonly published: readonly Recorded[];
  /** All else that can be read there. */
  text(): Promise<string>;
  publish(channel: string, message: Buffer): Promise<void>;
}

/** Subscribes to everything, and sees every command. */
export async function spyOnRedis({ url }: Redis): Promise<Spy> {
  const { createClient } = await loadRedis();
  const [subscriber, monitor, publisher] = [
    createClient({ url }),
    createClient({ url }),
    createClient({ url }),
  ];
  for (const client of [subscriber, monitor, publisher]) await client.connect();
  const published: Recorded[] = [];
  let commands = "";
  const spy: Spy = {
    published,
    text: () => Promise.resolve(commands),
    publish: async (channel, message) => void await publisher.publish(channel, message),
    async [Symbol.asyncDispose]() {
      for (const client of [subscriber, monitor, publisher]) client.destroy();
    },
  };
  const heard = (message: Buffer, channel: Buffer): void =>
    void published.push({ spy, channel: channel.toString(), message });
  await subscriber.pSubscribe("*", heard, true);
  await monitor.monitor((line) => void (commands += `${line}\n`));
  return spy;
}

/** Has a copy of each message made, when it comes and when it goes, and looks at all that the broker keeps. */
export async function spyOnRabbitMq(rabbitMq: RabbitMq): Promise<Spy> {
  const { url, evaluate } = rabbitMq;
  await evaluate('rabbit_trace:start(<<"/">>)');
  const end = { host: "127.0.0.1", port: Number(new URL(url).port), tls: false };
  const client = await openAmqpClient(
    (events, signal) => openTcpPipe(end, events, signal),
    { user: "guest", password: "guest", virtualHost: "/" },
    () => {},
    new AbortController().signal,
  );
  const channel = await client.channel();
  // Whoever publishes waits for the broker, as with Redis: else it falls behind, and the nodes with it.
  await channel.confirmSelect();
  const { name: queue } = await channel.queueDeclare("", { exclusive: true });
  await channel.queueBind(queue, "amq.rabbitmq.trace", "#");
  const published: Recorded[] = [];
  let seen = "";
  const spy: Spy = {
    published,
    text: async () =>
      seen + await evaluate(
        'io:format("~p", [[rabbit_amqqueue:list(), rabbit_exchange:list(), rabbit_binding:list(<<"/">>), ' +
          "rabbit_networking:connection_info_all(), rabbit_channel:info_all()]])",
      ),
    publish: (routingKey, message) =>
      channel.basicPublish("flotilla", routingKey, message).then(() => undefined),
    async [Symbol.asyncDispose]() {
      await client.goodbye();
      client.cut();
    },
  };
  await channel.basicConsume(queue, { noAck: true }, ({ routingKey, properties: { headers = {} }, body }) => {
    seen += `${routingKey} ${JSON.stringify(headers)}\n`;
    const [name] = headers["routing_keys"] as unknown as [string];
    if (routingKey !== "publish.flotilla" || body === null) return;
    published.push({ spy, channel: name, message: Buffer.from(body) });
  });
  return spy;
}
