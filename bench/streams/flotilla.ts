/** This library, over the ws transport: as `createCluster` makes it, sealed or (the default on loopback) not. */
import { createCluster, serve } from "../../mod.ts";
import { chunksOf, type Contender, MESSAGE_BYTES, type Owner, type Source } from "./contract.ts";

const HOST = "127.0.0.1";

function securityOf(contender: Contender): { readonly secret?: string; readonly seal?: "always" } {
  return contender === "sealed" ? { secret: "a secret of this bench", seal: "always" } : {};
}

export async function ownWithFlotilla(contender: Contender): Promise<Owner> {
  const cluster = createCluster({ nodeId: "owner", ...securityOf(contender) });
  const listener = await serve(cluster, { port: 0 });
  await cluster.start();
  const origin = `ws://${HOST}:${listener.port}`;
  return {
    peerUrl: origin,
    clientUrl: `${origin}/ws`,
    async stop() {
      await cluster.shutdown();
      await listener.close();
    },
  };
}

/** Resolves when it knows all `connectionIds`. */
export async function sourceWithFlotilla(
  contender: Contender,
  peerUrl: string,
  connectionIds: readonly string[],
): Promise<Source> {
  const cluster = createCluster({ nodeId: "source", nodes: [peerUrl], ...securityOf(contender) });
  await cluster.start();
  while (connectionIds.some((id) => cluster.getConnectionNodeId(id) === undefined)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return {
    async stream(connectionId, bytes, delivery, signal) {
      const each = delivery === "message" ? MESSAGE_BYTES : bytes;
      for (let left = bytes; left > 0; left -= each) {
        const options = { delivery, totalBytes: each, signal };
        const { outcome, reason } = await cluster.deliverStream(connectionId, chunksOf(each), options);
        if (signal.aborted) return;
        if (outcome === (delivery === "framed" ? "acknowledged" : "delivered")) continue;
        throw new Error(`a stream to ${connectionId} ended ${outcome}: ${reason}`);
      }
    },
    async message(connectionId, payload) {
      if (await cluster.routeMessage(connectionId, payload)) return;
      throw new Error(`a message to ${connectionId} was not delivered`);
    },
    stop: async () => void await cluster.shutdown(),
  };
}
