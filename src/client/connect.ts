import { systemClock } from "../lib/clock.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { TIMER_MS_MAX } from "../lib/limits.ts";
import { systemRandom } from "../lib/random.ts";
import { Client } from "./client.ts";
import {
  type ClientSettings,
  CONNECT_DEFAULTS,
  type ConnectOptions,
  type FlotillaClient,
  type WebSocketConstructor,
} from "./contract.ts";
import { Dialler, requireSocketUrl } from "./dialler.ts";

/**
 * Connects to a node, and follows the redirect of one that leaves: resolves when a hello has come. From then on the
 * client reconnects by itself.
 *
 * @param url `ws:` or `wss:`; what identifies the user goes into its query. Of several, the next one is
 * tried when one cannot be reached.
 * @throws FlotillaError `unauthorized` where the node closes with 4001; `unsupported` where the server
 * answers without the subprotocol `flotilla.v1`, or the runtime has no WebSocket; `malformed` for a node that
 * breaks the protocol; `timeout`, `aborted`, `invalid-option`; `node-lost` for everything else, an HTTP
 * refusal included: no browser tells those apart.
 */
export async function connect(
  url: string | URL | readonly (string | URL)[],
  options: ConnectOptions = {},
): Promise<FlotillaClient> {
  const settings = settingsOf(options);
  const urls = (Array.isArray(url) ? url : [url]) as readonly (string | URL)[];
  if (urls.length === 0) throw new FlotillaError("invalid-option", "connect: there is no URL");
  const dialler = new Dialler(urls.map((each) => requireSocketUrl(each, shown(each))), settings);
  return new Client(await dialler.dial(options.signal), dialler, settings);
}

function settingsOf(options: ConnectOptions): ClientSettings {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const settings = {
    ...CONNECT_DEFAULTS,
    clock: systemClock,
    random: systemRandom,
    ...given,
  } as ClientSettings;
  for (
    const name of ["connectTimeoutMs", "reconnectDelayMs", "reconnectDelayMsMax", "queueBytesMax"] as const
  ) {
    const value = settings[name];
    const least = name === "queueBytesMax" ? 0 : 1;
    if (Number.isInteger(value) && value >= least && value <= TIMER_MS_MAX) continue;
    const rule = `must be a whole number from ${least} to ${TIMER_MS_MAX}`;
    throw new FlotillaError("invalid-option", `connect: ${name} ${rule}, not ${shown(value)}`);
  }
  const { WebSocket = (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket } = options;
  if (WebSocket === undefined) {
    throw new FlotillaError("unsupported", "connect: this runtime has no WebSocket, and none was given");
  }
  return { ...settings, WebSocket };
}
