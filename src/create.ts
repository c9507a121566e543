/** The composition root: every part of a node, wired. The same by hand stands in `examples/by_hand.ts`. */
import { createTransport } from "../transports/create.ts";
import { ClusterManager } from "./cluster/manager.ts";
import { type ClusterOptions, linkOptionsOf, resolveOptions, routerOptionsOf } from "./cluster/options.ts";
import { Outboxes } from "./connection/outboxes.ts";
import { Directory } from "./directory/directory.ts";
import { ClusterLinks } from "./link/links.ts";
import { ClusterRouter } from "./router/router.ts";
import type { Serving } from "./server/serving.ts";
import type { ClusterTransport, SocketAcceptor } from "./transport.ts";

/** A node that `serve` can front. */
export type ServableCluster = ClusterManager & { readonly serving: Serving };

/**
 * A whole node, not yet started: `await cluster.start()`, and `serve(cluster, …)` for its port.
 *
 * @throws FlotillaError `invalid-option` naming the option and its value.
 */
export function createCluster(options: ClusterOptions): ServableCluster {
  const resolved = resolveOptions(options);
  const { nodeId, clock, random, logger, nodeAddress, nodePort } = resolved;
  const context = { nodeId, clock, random, logger };
  let port = nodePort;
  const origin = (): string | undefined => port === 0 ? undefined : `ws://${nodeAddress}:${port}`;
  const transport = createTransport({ ...resolved, advertise: origin }, context);
  const links = new ClusterLinks(transport, linkOptionsOf(resolved), context);
  const directory = new Directory({ links, ...context, options: resolved });
  const outboxes = new Outboxes(clock, resolved);
  const router = new ClusterRouter({ links, directory, sockets: outboxes, clock, options: routerOptionsOf(resolved) });
  const cluster = new ClusterManager({ links, directory, router, outboxes, options: resolved });
  const serving: Serving = {
    secured: resolved.secret !== undefined,
    allowInsecure: resolved.allowInsecure,
    acceptor: "accept" in transport ? transport as ClusterTransport & SocketAcceptor : null,
    messageBytesMax: resolved.messageBytesMax,
    clock,
    random,
    logger,
    turnAway: () => null,
    listening: (listeningPort) => {
      port = listeningPort;
      cluster.publicUrl ??= `ws://${nodeAddress}:${port}`;
    },
  };
  return Object.assign(cluster, { serving });
}
