/** This library, over the ws transport: as `createCluster` makes it, sealed or (the default on loopback) not. */
import { createCluster, type ServableCluster, serve } from "../../mod.ts";
import type { Contender } from "./contract.ts";
import { connectPlainClient } from "./plain_client.ts";

export const flotilla: Contender = contender({});
export const flotillaSealed: Contender = contender({ secret: "a secret of this bench", seal: "always" });

function contender(security: { readonly secret?: string; readonly seal?: "always" }): Contender {
  return {
    async own() {
      const cluster = createCluster({ nodeId: "owner", ...security });
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
    async sendTo(peerUrl, connectionIds) {
      const cluster = createCluster({ nodeId: "sender", nodes: [peerUrl], ...security });
      await cluster.start();
      await known(cluster, connectionIds);
      return {
        async send(connectionId, payload) {
          if (await cluster.routeMessage(connectionId, payload)) return;
          throw new Error(`a message to ${connectionId} was not delivered`);
        },
        stop: async () => void await cluster.shutdown(),
      };
    },
    connect: connectPlainClient,
  };
}

/** Waits until this node knows all connections. */
async function known(cluster: ServableCluster, connectionIds: readonly string[]): Promise<void> {
  while (connectionIds.some((id) => cluster.getConnectionNodeId(id) === undefined)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
