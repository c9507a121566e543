/**
 * What a good programmer would write by hand for two servers that share a broker that never fails: publish and subscribe by
 * the same client libraries, the messages of a turn in one publication, one count as the answer. As with the relay:
 * nothing is bounded, found, ordered or sent again.
 */
import { AMQPClient } from "@cloudamqp/amqp-client";
import { createClient } from "redis";
import { serveBare, type ServerEnd } from "../support/bare_servers.ts";
import type { Contender, Setup } from "./contract.ts";
import { connectPlainClient } from "./plain_client.ts";
import { decodeBatch, decodeCount, encodeBatches, encodeCount, type Outgoing } from "./relay_wire.ts";

/** Of one publication, as in the library. */
const FRAME_BYTES_MAX = 131_072;

interface Line {
  publish(channel: string, message: Uint8Array<ArrayBuffer>): void;
  subscribe(channel: string, heard: (message: Uint8Array<ArrayBuffer>) => void): Promise<void>;
  stop(): Promise<void>;
}

export const rawRedis: Contender = over("redis", async ({ redisUrl }) => {
  const publisher = createClient({ url: redisUrl ?? "" });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  return {
    publish(channel, { buffer, byteOffset, byteLength }) {
      void publisher.publish(channel, Buffer.from(buffer, byteOffset, byteLength));
    },
    subscribe: (channel, heard) =>
      subscriber.subscribe(channel, (message: Buffer) => heard(new Uint8Array(message)), true),
    async stop() {
      publisher.destroy();
      subscriber.destroy();
    },
  };
});

export const rawRabbitMq: Contender = over("rabbitmq", async ({ rabbitMqUrl = "" }) => {
  // Its type of the options for TLS stands for those of the socket.
  const client = new AMQPClient(`${rabbitMqUrl}?frameMax=${FRAME_BYTES_MAX}`, { noDelay: true } as object);
  await client.connect();
  const channel = await client.channel();
  const exchange = "raw";
  await channel.exchangeDeclare(exchange, "direct", { durable: false, autoDelete: true });
  const { name: queue } = await channel.queueDeclare("");
  return {
    publish: (key, message) => void channel.basicPublish(exchange, key, message),
    async subscribe(key, heard) {
      await channel.queueBind(queue, exchange, key);
      await channel.basicConsume(queue, { noAck: true }, ({ body }) => {
        if (body !== null) heard(new Uint8Array(body));
      });
    },
    async stop() {
      await client.close();
    },
  };
});

function over(kind: string, open: (setup: Setup) => Promise<Line>): Contender {
  const [toOwner, toSender] = [`raw ${kind} owner`, `raw ${kind} sender`];
  return {
    async own(setup) {
      const clients: (ServerEnd | undefined)[] = [];
      const server = await serveBare({
        opened(socket, id) {
          if (id !== null) clients[numberOf(id)] = socket;
        },
        message() {},
      });
      const line = await open(setup);
      await line.subscribe(toOwner, (frame) => {
        const count = decodeBatch(frame, (connection, payload) => clients[connection]?.send(payload));
        line.publish(toSender, encodeCount(count));
      });
      const url = `ws://127.0.0.1:${server.port}/`;
      return {
        peerUrl: url,
        clientUrl: url,
        async stop() {
          await line.stop();
          await server.stop();
        },
      };
    },

    async sendTo(_peerUrl, _connectionIds, setup) {
      const line = await open(setup);
      const waiting: (() => void)[] = [];
      await line.subscribe(toSender, ({ buffer, byteOffset, byteLength }) => {
        for (
          const answered of waiting.splice(0, decodeCount(buffer.slice(byteOffset, byteOffset + byteLength)))
        ) {
          answered();
        }
      });
      let batch: Outgoing[] = [];
      const flush = (): void => {
        for (const frame of encodeBatches(batch, FRAME_BYTES_MAX)) line.publish(toOwner, frame);
        batch = [];
      };
      return {
        send(connectionId, payload) {
          if (batch.length === 0) queueMicrotask(flush);
          batch.push({ connection: numberOf(connectionId), payload });
          return new Promise((resolve) => waiting.push(resolve));
        },
        stop: () => line.stop(),
      };
    },

    connect: connectPlainClient,
  };
}

function numberOf(connectionId: string): number {
  return Number(connectionId.slice(connectionId.lastIndexOf("-") + 1));
}
