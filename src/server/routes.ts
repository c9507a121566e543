import { FlotillaError, shown } from "../lib/errors.ts";
import { Hono, type HonoApp } from "../lib/hono.ts";
import { callable, checkOptions, type OptionRules, text } from "../lib/option_rules.ts";
import { apiRoutes } from "./api.ts";
import { thrownResponse } from "./api_errors.ts";
import { clientRoute } from "./clients.ts";
import type { ServerBindings } from "./contract.ts";
import { errorResponse } from "./exchange.ts";
import { health, readiness } from "./health.ts";
import { nodeRoute } from "./nodes.ts";
import type { RouteOptions, ServedCluster } from "./serving.ts";

export const ROUTE_RULES: OptionRules<RouteOptions> = {
  authenticate: [callable, "a function"],
  origins: [
    (value) => value === "*" || (Array.isArray(value) && value.every(text)),
    '"*" or a list of origins https://host',
  ],
  onMessage: [callable, "a function"],
  // What is no such text could never stand in a header: nobody could present it.
  apiToken: [(value) => typeof value === "string" && /^[!-~]+$/.test(value), "ASCII text without spaces"],
  shutdown: [callable, "a function"],
};

/**
 * Everything a node serves, to mount in any Hono app that `listen` serves: `GET /ws` (clients), `GET
 * <channelName>` (nodes; 404 when they meet over a broker), `/healthz`, `/readyz`, `/api/*`. Middleware in
 * front of them may refuse any request, upgrades included.
 *
 * Close codes a client may see: 1001 the node leaves (the reason may be `{"redirect":"ws://..."}`), 1009 its
 * message was longer than `messageBytesMax`, 1011 a handler failed, 4001 unauthorized, 4008 it read too
 * slowly, 4409 a newer connection has its id.
 *
 * @example
 * ```ts
 * const app = new Hono().route("/", flotillaRoutes(cluster, { authenticate }));
 * const listener = await listen({ port: 8080, fetch: app.fetch });
 * ```
 * @throws FlotillaError `invalid-option` for a bad option, and a `channelName` that is one of the other paths.
 */
export function flotillaRoutes(cluster: ServedCluster, options: RouteOptions = {}): HonoApp<ServerBindings> {
  checkOptions<RouteOptions>(options, ROUTE_RULES, ["apiToken"]);
  const { acceptor, logger } = cluster.serving;
  const app = new Hono<ServerBindings>();
  app.onError((thrown) => thrownResponse(thrown, logger));
  // An app that mounts these routes answers for itself.
  app.notFound((c) => errorResponse(404, "not-found", `there is no ${c.req.method} ${c.req.path}`));
  app.get("/healthz", health);
  app.get("/readyz", () => readiness(cluster));
  app.get("/ws", clientRoute(cluster, options));
  if (acceptor !== null) {
    checkChannel(acceptor.channelName);
    app.get(acceptor.channelName, nodeRoute(cluster, acceptor));
  }
  app.route("/api", apiRoutes(cluster, options));
  return app;
}

/** Nodes that dial a path of something else would never meet. */
function checkChannel(channelName: string): void {
  if (!/^\/(ws|healthz|readyz|api(\/.*)?)$/.test(channelName)) return;
  const rule = "nodes need a path that nothing else has";
  throw new FlotillaError("invalid-option", `channelName ${shown(channelName)}: ${rule}`);
}
