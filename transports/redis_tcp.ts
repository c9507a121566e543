/** Redis over its own protocol, by node-redis: one connection publishes, another one listens. */
import { Buffer } from "node:buffer";
import type { Bytes } from "../src/lib/bytes.ts";
import { reasonOf } from "../src/lib/errors.ts";
import { loadRedis } from "../src/lib/redis.ts";
import type { BrokerConnection, BrokerEvents } from "./broker_contract.ts";

/** DNS, TCP and TLS together. */
const CONNECT_MS_MAX = 5_000;

/**
 * Connects once to `url` (`redis://` or `rediss://`); see `Broker.open`. The client library neither connects again nor
 * queues for a connection that is not there: that is `BrokerLine`'s affair.
 */
export async function openRedisTcp(
  url: string,
  channels: readonly string[],
  events: BrokerEvents,
  signal: AbortSignal,
): Promise<BrokerConnection> {
  const { createClient } = await loadRedis();
  const client = () =>
    createClient({
      url,
      RESP: 2,
      disableOfflineQueue: true,
      disableClientInfo: true,
      socket: { reconnectStrategy: false, connectTimeout: CONNECT_MS_MAX },
    });
  const publisher = client(), subscriber = client();
  const close = (): Promise<void> => {
    for (const each of [publisher, subscriber]) {
      try {
        each.destroy();
      } catch {
        // It was closed already.
      }
    }
    return Promise.resolve();
  };
  for (const each of [publisher, subscriber]) {
    each.on("error", (error: unknown) => events.lost(reasonOf(error)));
    each.on("end", () => events.lost("the connection was closed"));
  }
  signal.addEventListener("abort", () => void close(), { once: true });
  try {
    signal.throwIfAborted();
    await Promise.all([publisher.connect(), subscriber.connect()]);
    const heard = (message: Buffer, channel: Buffer): void => events.message(channel.toString(), message);
    await subscriber.subscribe([...channels], heard, true);
    signal.throwIfAborted();
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return {
    async publish(channel: string, { buffer, byteOffset, byteLength }: Bytes) {
      const receivers = await publisher.publish(channel, Buffer.from(buffer, byteOffset, byteLength));
      if (receivers === 0) events.unheard(channel);
    },
    close,
  };
}
