import { systemClock } from "../lib/clock.ts";
import { FlotillaError } from "../lib/errors.ts";
import { MESSAGE_BYTES_MAX_DEFAULT } from "../lib/limits.ts";
import { silentLogger } from "../lib/logger.ts";
import {
  callable,
  checkOptions,
  CLOCK_RULE,
  LOGGER_RULE,
  type OptionRules,
  text,
  whole,
} from "../lib/option_rules.ts";
import type { Listener, ListenOptions, ListenSettings } from "./contract.ts";

/** Deno takes no longer message on a server socket, whatever is asked; so no runtime does. */
export const SOCKET_MESSAGE_BYTES_MAX: number = 64 * 1024 * 1024;

/** Where a server listens when nothing else is said: on this machine only. */
export const HOSTNAME_DEFAULT = "127.0.0.1";
const PING_INTERVAL_MS_DEFAULT = 30_000;

interface RuntimeGlobals {
  readonly Deno?: object;
  readonly Bun?: object;
}

/**
 * Serves `fetch` over HTTP on one port, with upgrades to WebSocket from inside the handler (`env.flotilla`).
 * Request bodies have no limit here: the routes set theirs. A body that is read slowly slows its sender down, and
 * one that breaks off errors. What a handler has not read when it answers is lost: on Node a read that goes on
 * after that never ends.
 *
 * @throws FlotillaError `invalid-option` for a bad option or an address that cannot be listened on.
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const settings = resolve(options);
  try {
    const { Deno, Bun } = globalThis as RuntimeGlobals;
    if (Deno !== undefined) return (await import("./sockets/deno.ts")).listenOnDeno(settings);
    if (Bun !== undefined) return (await import("./sockets/bun.ts")).listenOnBun(settings);
    return await (await import("./sockets/node.ts")).listenOnNode(settings);
  } catch (cause) {
    throw listenError(settings, cause);
  }
}

/** Where a server listens, whatever it serves. */
export const ADDRESS_RULES: OptionRules<Pick<ListenOptions, "hostname" | "port" | "pingIntervalMs">> = {
  hostname: [text, "a host name or address"],
  port: [whole(0, 65_535), "a whole number from 0 to 65535"],
  pingIntervalMs: [whole(500, 480_000), "a whole number from 500 to 480000"],
};

const RULES: OptionRules<ListenOptions> = {
  ...ADDRESS_RULES,
  fetch: [callable, "a function"],
  clock: CLOCK_RULE,
  logger: LOGGER_RULE,
  messageBytesMax: [
    whole(1, SOCKET_MESSAGE_BYTES_MAX),
    `a whole number from 1 to ${SOCKET_MESSAGE_BYTES_MAX}`,
  ],
};

function resolve(options: ListenOptions): ListenSettings {
  checkOptions<ListenOptions>(options, RULES);
  // For JavaScript: the types want it.
  if (options.port === undefined) throw new FlotillaError("invalid-option", `port must be ${RULES.port[1]}`);
  const settings: ListenSettings = {
    hostname: options.hostname ?? HOSTNAME_DEFAULT,
    port: options.port,
    fetch: options.fetch,
    clock: options.clock ?? systemClock,
    logger: options.logger ?? silentLogger,
    messageBytesMax: options.messageBytesMax ?? MESSAGE_BYTES_MAX_DEFAULT,
    pingIntervalMs: options.pingIntervalMs ?? PING_INTERVAL_MS_DEFAULT,
  };
  return settings;
}

function listenError(settings: ListenSettings, cause: unknown): unknown {
  const { hostname, port } = settings;
  const { code, name } = cause instanceof Error
    ? cause as Error & { code?: unknown }
    : { code: "", name: "" };
  const why = code === "EADDRINUSE" || name === "AddrInUse"
    ? "the port is in use"
    : code === "EADDRNOTAVAIL" || name === "AddrNotAvailable" || code === "ENOTFOUND"
    ? "this machine has no such address"
    : code === "EACCES" || name === "PermissionDenied"
    ? "the system forbids it"
    : undefined;
  if (why === undefined) return cause;
  return new FlotillaError("invalid-option", `cannot listen on ${hostname}:${port}: ${why}`, { cause });
}
