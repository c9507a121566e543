import { systemClock } from "../lib/clock.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { TIMER_MS_MAX } from "../lib/limits.ts";
import { silentLogger } from "../lib/logger.ts";
import { Client } from "./client.ts";
import {
  type ClientSettings,
  CONNECT_TIMEOUT_MS_DEFAULT,
  type ConnectOptions,
  type FlotillaClient,
  type WebSocketConstructor,
} from "./contract.ts";
import { openSession } from "./open_session.ts";

/**
 * Connects to a node: resolves when its hello has come.
 *
 * @param url `ws:` or `wss:`; what identifies the user goes into its query.
 * @throws FlotillaError `unauthorized` where the node closes with 4001; `unsupported` where the server
 * answers without the subprotocol `flotilla.v1`, or the runtime has no WebSocket; `malformed` for a node that
 * breaks the protocol; `timeout`, `aborted`, `invalid-option`; `node-lost` for everything else, an HTTP
 * refusal included: no browser tells those apart.
 */
export async function connect(url: string | URL, options: ConnectOptions = {}): Promise<FlotillaClient> {
  const settings = settingsOf(options);
  return new Client(await openSession(urlOf(url), settings, options.signal), settings);
}

function settingsOf(options: ConnectOptions): ClientSettings {
  const { connectTimeoutMs = CONNECT_TIMEOUT_MS_DEFAULT, logger = silentLogger, clock = systemClock } =
    options;
  if (!Number.isInteger(connectTimeoutMs) || connectTimeoutMs < 1 || connectTimeoutMs > TIMER_MS_MAX) {
    throw new FlotillaError(
      "invalid-option",
      `connectTimeoutMs must be a whole number from 1 to ${TIMER_MS_MAX}, not ${shown(connectTimeoutMs)}`,
    );
  }
  const { WebSocket = (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket } = options;
  if (WebSocket === undefined) {
    throw new FlotillaError("unsupported", "connect: this runtime has no WebSocket, and none was given");
  }
  return { connectTimeoutMs, logger, clock, WebSocket };
}

function urlOf(given: string | URL): URL {
  const url = URL.canParse(String(given)) ? new URL(given) : undefined;
  if (url?.protocol === "ws:" || url?.protocol === "wss:") return url;
  throw new FlotillaError("invalid-option", `connect: ${shown(given)} is no URL with ws: or wss:`);
}
