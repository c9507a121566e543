import { FlotillaError, shown } from "../lib/errors.ts";
import { isLoopback } from "./address.ts";
import type { Listener, ListenOptions } from "./contract.ts";
import { checkOptions } from "../lib/option_rules.ts";
import { ADDRESS_RULES, HOSTNAME_DEFAULT, listen, SOCKET_MESSAGE_BYTES_MAX } from "./listen.ts";
import { flotillaRoutes, ROUTE_RULES } from "./routes.ts";
import type { RouteOptions, ServedCluster } from "./serving.ts";

/** Where to listen, and the options of the routes. */
export interface ServeOptions
  extends RouteOptions, Pick<ListenOptions, "hostname" | "port" | "pingIntervalMs"> {}

/**
 * Serves a whole node on one port, on Deno, Bun and Node. Clients' messages end at `messageBytesMax`, and at
 * 64 MiB where that is more.
 *
 * @throws FlotillaError `invalid-option` for a bad option, for an address that cannot be listened on, and for one
 * that other machines reach when the cluster has no secret (unless `allowInsecure`): any of them could become a node.
 */
export async function serve(cluster: ServedCluster, options: ServeOptions): Promise<Listener> {
  checkOptions<ServeOptions>(options, { ...ROUTE_RULES, ...ADDRESS_RULES }, ["apiToken"]);
  const { secured, allowInsecure, clock, logger } = cluster.serving;
  const messageBytesMax = Math.min(cluster.serving.messageBytesMax, SOCKET_MESSAGE_BYTES_MAX);
  const { hostname = HOSTNAME_DEFAULT, port, pingIntervalMs, ...routes } = options;
  if (!secured && !allowInsecure && !isLoopback(hostname)) {
    const rule = "without a cluster secret a node serves loopback addresses only (or set allowInsecure)";
    throw new FlotillaError("invalid-option", `serve on ${shown(hostname)}: ${rule}`);
  }
  const { fetch } = flotillaRoutes(cluster, routes);
  const listener = await listen({ hostname, port, fetch, clock, logger, messageBytesMax, pingIntervalMs });
  cluster.serving.listening(listener.port);
  return listener;
}
