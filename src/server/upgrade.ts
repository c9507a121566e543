import { FlotillaError } from "../lib/errors.ts";
import type { HonoContext } from "../lib/hono.ts";
import type { OpenSocket, RequestContext, ServerBindings, UpgradeOptions } from "./contract.ts";
import { errorResponse } from "./exchange.ts";

/** A route's view of its request under `listen`. */
export type RouteContext = HonoContext<ServerBindings>;

/**
 * Answers a Hono route with an upgrade to WebSocket.
 *
 * @example
 * ```ts
 * app.get("/echo", (c) => upgrade(c, (socket) => ({
 *   message: (data) => void socket.send(data),
 *   drain() {},
 *   close() {},
 * }), { messageBytesMax: 65_536 }));
 * ```
 * @throws FlotillaError `unsupported` when the app is not served by `listen`.
 */
export function upgrade(c: RouteContext, open: OpenSocket, options: UpgradeOptions): Response {
  if (!wantsWebSocket(c)) {
    return errorResponse(426, "bad-request", "this path answers WebSocket handshakes only", {
      upgrade: "websocket",
    });
  }
  const context = requestContext(c);
  if (context === undefined) {
    throw new FlotillaError(
      "unsupported",
      `upgrade ${c.req.path}: the app must be served by listen() or serve()`,
    );
  }
  return context.upgrade(open, options);
}

export function wantsWebSocket(c: RouteContext): boolean {
  return c.req.header("upgrade")?.toLowerCase() === "websocket";
}

/** Undefined when somebody else's server called the app. */
export function requestContext(c: RouteContext): RequestContext | undefined {
  const env: Partial<ServerBindings["Bindings"]> | undefined = c.env;
  return env?.flotilla;
}
