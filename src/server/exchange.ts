import { reasonOf } from "../lib/errors.ts";
import type {
  ListenSettings,
  OpenSocket,
  RemoteAddress,
  RequestContext,
  UpgradeOptions,
} from "./contract.ts";
import { isLoopback } from "./address.ts";

/** An upgrade the handler asked for and answered with. */
export interface WantedUpgrade extends UpgradeOptions {
  readonly open: OpenSocket;
}

export type Answer =
  | { readonly kind: "response"; readonly response: Response }
  | { readonly kind: "upgrade"; readonly upgrade: WantedUpgrade };

const MARK = "x-flotilla-upgrade";
const VERSION = "13";
/** 16 bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/**
 * Runs the handler for one request. A handler that throws answers 500. The upgrade itself is left to the
 * adapter and happens afterwards: a middleware that runs after the route can still refuse it, and none needs
 * to know that a 101 response is special (it cannot even be constructed on most runtimes).
 */
export async function exchange(
  settings: ListenSettings,
  request: Request,
  remote: RemoteAddress,
): Promise<Answer> {
  let wanted: WantedUpgrade | undefined;
  const context: RequestContext = {
    remote,
    loopbackOnly: isLoopback(settings.hostname),
    upgrade(open, options) {
      const messageBytesMax = Math.min(options.messageBytesMax, settings.messageBytesMax);
      wanted = { open, messageBytesMax, protocol: options.protocol };
      return new Response(null, { status: 200, headers: { [MARK]: "1" } });
    },
  };
  try {
    const response = await settings.fetch(request, { flotilla: context });
    if (wanted === undefined || response.status !== 200 || !response.headers.has(MARK)) {
      return { kind: "response", response };
    }
    return isHandshake(request)
      ? { kind: "upgrade", upgrade: wanted }
      : { kind: "response", response: notAHandshake() };
  } catch (thrown) {
    settings.logger.error("a request handler threw", { method: request.method, reason: reasonOf(thrown) });
    return { kind: "response", response: errorResponse(500, "internal", "the request handler failed") };
  }
}

/** The answer to a request that wants to be a WebSocket but is not a valid handshake. */
export function notAHandshake(): Response {
  return errorResponse(400, "bad-request", "the request is not a WebSocket handshake (RFC 6455, 4.1)", {
    "sec-websocket-version": VERSION,
  });
}

/** Here, since Deno takes any key and version, and Bun and Node refuse them without our error. */
function isHandshake({ headers }: Request): boolean {
  return headers.get("sec-websocket-version") === VERSION &&
    KEY.test(headers.get("sec-websocket-key") ?? "");
}

/** The answer to a request that comes, or still waits, while the listener closes. */
export function closingResponse(): Response {
  return errorResponse(503, "not-running", "the server is closing");
}

/** Every error body the server sends: `{"error":{"code","message"}}`. */
export function errorResponse(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ error: { code, message } }, { status, headers });
}
