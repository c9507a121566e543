/**
 * This library, as `createCluster` makes it: over the ws transport, sealed or (the default on loopback) not, and over
 * brokers, where it seals unless it is told not to.
 */
import { type ClusterOptions, createCluster, type ServableCluster, serve } from "../../mod.ts";
import type { Contender, Setup } from "./contract.ts";
import { connectPlainClient } from "./plain_client.ts";

type Options = Omit<ClusterOptions, "nodeId">;

const SECRET = "a secret of this bench";
const CHUNK_BYTES = 65_536;

export const flotilla: Contender = contender(() => ({}));
export const flotillaSealed: Contender = contender(() => ({ secret: SECRET, seal: "always" }));
export const overRedis: Contender = contender((setup) => redis(setup.redisUrl));
export const overRedisUnsealed: Contender = contender((setup) => ({
  ...redis(setup.redisUrl),
  seal: "never",
  allowInsecure: true,
}));
export const overRedisHttp: Contender = contender((setup) => redis(setup.redisHttpUrl));
export const overRabbitMq: Contender = contender((setup) => rabbitMq(setup.rabbitMqUrl));
export const overRabbitMqRelay: Contender = contender((setup) => rabbitMq(setup.rabbitMqRelayUrl));
export const hybrid: Contender = contender((setup) => ({
  ...redis(setup.redisUrl),
  ...rabbitMq(setup.rabbitMqUrl),
  transportType: "hybrid",
}));

function redis(url: string | null | undefined): Options {
  return { transportType: "redis", redisConnectionString: url ?? undefined, secret: SECRET };
}

function rabbitMq(url: string | undefined): Options {
  return { transportType: "rabbitmq", rabbitMQConnectionString: url, secret: SECRET };
}

function contender(optionsFor: (setup: Setup) => Options): Contender {
  /** A cluster of its own on the broker. */
  const named = (setup: Setup): Options => {
    const options = optionsFor(setup);
    return { clusterName: JSON.stringify(options), ...options };
  };
  return {
    async own(setup) {
      const cluster = createCluster({ nodeId: "owner", ...named(setup) });
      const listener = await serve(cluster, { port: 0 });
      await cluster.start();
      const origin = `ws://127.0.0.1:${listener.port}`;
      return {
        peerUrl: origin,
        clientUrl: `${origin}/ws`,
        async stop() {
          await cluster.shutdown();
          await listener.close();
        },
      };
    },
    async sendTo(peerUrl, connectionIds, setup) {
      const options = named(setup);
      const nodes = options.transportType === undefined ? [peerUrl] : ["owner"];
      const cluster = createCluster({ nodeId: "sender", nodes, ...options });
      await cluster.start();
      await known(cluster, connectionIds);
      return {
        async send(connectionId, payload) {
          if (await cluster.routeMessage(connectionId, payload)) return;
          throw new Error(`a message to ${connectionId} was not delivered`);
        },
        async stream(connectionId, bytes) {
          const { outcome } = await cluster.deliverStream(connectionId, chunksOf(bytes), {
            delivery: "chunks",
          });
          if (outcome !== "delivered") throw new Error(`a stream to ${connectionId} ended ${outcome}`);
        },
        sent() {
          const { packetsSent, bytesSent } = cluster.stats().links;
          return { packets: packetsSent, bytes: bytesSent };
        },
        stop: async () => void await cluster.shutdown(),
      };
    },
    connect: connectPlainClient,
  };
}

function chunksOf(bytes: number): ReadableStream<Uint8Array> {
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      const length = Math.min(CHUNK_BYTES, left);
      left -= length;
      if (length > 0) controller.enqueue(new Uint8Array(length));
      else controller.close();
    },
  });
}

/** Waits until this node knows all connections. */
async function known(cluster: ServableCluster, connectionIds: readonly string[]): Promise<void> {
  while (connectionIds.some((id) => cluster.getConnectionNodeId(id) === undefined)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
