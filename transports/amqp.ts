/**
 * RabbitMQ as a broker, by AMQP 0-9-1: one exchange for all; a queue for each connection, bound by the names of what it
 * listens to, which goes with the connection. All of it is declared anew each time, so nothing that the broker forgot
 * is missed.
 *
 * Nothing is confirmed: the links have what was lost sent again, and the pipe says when the bytes have gone.
 */
import type { Bytes } from "../src/lib/bytes.ts";
import { sleep, systemClock } from "../src/lib/clock.ts";
import { FlotillaError, reasonOf } from "../src/lib/errors.ts";
import { type Login, openAmqpClient } from "./amqp_client.ts";
import type { OpenPipe } from "./amqp_pipe.ts";
import type { BrokerConnection, BrokerEvents } from "./broker_contract.ts";

/** Clusters share it: their nodes bind names that only they know. */
const EXCHANGE = "flotilla";
/** What a node has not taken by then is of no use to it: the links have sent it again, or given it up. */
const MESSAGE_MS_MAX = 10_000;
/** What waits for a node that does not read; the oldest goes first. */
const QUEUE_BYTES_MAX = 67_108_864;
/** How long the broker may take to answer a goodbye. */
const GOODBYE_MS_MAX = 500;

/** Connects, and listens to `channels` by a queue of its own; see `Broker.open`. */
export async function openAmqp(
  openPipe: OpenPipe,
  login: Login,
  channels: readonly string[],
  events: BrokerEvents,
  signal: AbortSignal,
): Promise<BrokerConnection> {
  let over: string | undefined;
  const lost = (reason: string): void => events.lost(over ??= reason);
  // Only while it opens: later on there is time for a goodbye.
  const opening = new AbortController();
  const giveUp = (): void => opening.abort(signal.reason);
  signal.addEventListener("abort", giveUp, { once: true });
  if (signal.aborted) giveUp();
  const client = await openAmqpClient(openPipe, login, lost, opening.signal);
  try {
    const channel = await client.channel();
    channel.onerror = lost;
    channel.onReturn = ({ routingKey }) => events.unheard(routingKey);
    await channel.exchangeDeclare(EXCHANGE, "direct", { durable: false, autoDelete: true });
    const { name: queue } = await channel.queueDeclare(
      "",
      { exclusive: true, autoDelete: true, durable: false },
      { "x-message-ttl": MESSAGE_MS_MAX, "x-max-length-bytes": QUEUE_BYTES_MAX },
    );
    for (const name of channels) await channel.queueBind(queue, EXCHANGE, name);
    const consumer = await channel.basicConsume(
      queue,
      { noAck: true, exclusive: true },
      ({ routingKey, body }) => {
        if (body !== null) events.message(routingKey, body as Bytes);
      },
    );
    // Somebody has deleted the queue.
    consumer.wait().catch((thrown) => lost(reasonOf(thrown)));
    signal.throwIfAborted();
    signal.removeEventListener("abort", giveUp);
    return {
      async publish(name: string, message: Bytes) {
        await channel.basicPublish(EXCHANGE, name, message, {}, true);
        if (over !== undefined) throw new FlotillaError("node-lost", over);
      },
      async close() {
        await Promise.race([client.goodbye(), sleep(systemClock, GOODBYE_MS_MAX)]);
        client.cut();
      },
    };
  } catch (thrown) {
    client.cut();
    throw thrown;
  }
}
