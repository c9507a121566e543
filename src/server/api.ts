import { FlotillaError, reasonOf, shown } from "../lib/errors.ts";
import { Hono, type HonoApp } from "../lib/hono.ts";
import { deleteConnection, getConnection, listConnections } from "./api_connections.ts";
import { thrownResponse } from "./api_errors.ts";
import { apiGuard } from "./api_guard.ts";
import { parseJson, postMessage, postMessages } from "./api_messages.ts";
import { deleteState, getState, putState } from "./api_state.ts";
import { putStream, putStreams } from "./api_streams.ts";
import { readBody } from "./body.ts";
import type { ServerBindings } from "./contract.ts";
import { errorResponse } from "./exchange.ts";
import type { RouteOptions, ServedCluster } from "./serving.ts";
import type { RouteContext } from "./upgrade.ts";

const SHUTDOWN_BODY_BYTES_MAX = 1_024;

/** `/api/*`: the HTTP API for backends in any language. Errors are `{"error":{"code","message"}}`. */
export function apiRoutes(cluster: ServedCluster, options: RouteOptions): HonoApp<ServerBindings> {
  const app = new Hono<ServerBindings>();
  const guard = apiGuard(cluster, options.apiToken);
  app.use(async (c, next) => {
    const refusal = await guard(c);
    if (refusal !== undefined) return refusal;
    checkPath(c);
    await next();
  });
  app.get("/cluster", (c) => c.json(cluster.view()));
  app.get("/stats", (c) => c.json(cluster.stats()));
  app.get("/connections", (c) => listConnections(c, cluster));
  app.get("/connections/:id", (c) => getConnection(c, cluster));
  app.delete("/connections/:id", (c) => deleteConnection(c, cluster));
  app.post("/messages", (c) => postMessages(c, cluster));
  app.post("/messages/:id", (c) => postMessage(c, cluster));
  app.put("/streams", (c) => putStreams(c, cluster));
  app.put("/streams/:id", (c) => putStream(c, cluster));
  app.get("/state/:key", (c) => getState(c, cluster));
  app.put("/state/:key", (c) => putState(c, cluster));
  app.delete("/state/:key", (c) => deleteState(c, cluster));
  app.post("/shutdown", (c) => postShutdown(c, cluster, options));
  app.all("*", (c) => errorResponse(404, "not-found", `the API has no ${c.req.method} ${c.req.path}`));
  app.onError((thrown) => {
    const response = thrownResponse(thrown, cluster.serving.logger);
    if (response.status === 400) cluster.countRejection("bad-request");
    return response;
  });
  return app;
}

/** Names in a path are percent-encoded; Hono would take what cannot be decoded as it stands, for another name. */
function checkPath(c: RouteContext): void {
  const { pathname } = new URL(c.req.url);
  try {
    decodeURIComponent(pathname);
  } catch (cause) {
    throw new FlotillaError("malformed", `the path ${shown(pathname)} is not percent-encoded UTF-8`, {
      cause,
    });
  }
}

/** `POST /api/shutdown` answers 202 at once; the leaving itself is watched in `/readyz` and the log. */
async function postShutdown(
  c: RouteContext,
  cluster: ServedCluster,
  options: RouteOptions,
): Promise<Response> {
  const { clock, logger } = cluster.serving;
  const body = await readBody(c.req.raw, SHUTDOWN_BODY_BYTES_MAX, clock);
  if (body instanceof Response) return body;
  const { force = false } = body.byteLength === 0 ? {} : parseJson(body);
  if (typeof force !== "boolean") {
    throw new FlotillaError("malformed", `force must be true or false, not ${shown(force)}`);
  }
  const shutdown = options.shutdown ?? ((how) => cluster.shutdown(how));
  // In a later turn, so that the answer is on its way when the server itself is part of what stops.
  clock.timer(0, () => {
    shutdown({ force }).catch((thrown) => logger.error("the shutdown failed", { reason: reasonOf(thrown) }));
  });
  return c.json({ status: "leaving" }, 202);
}
