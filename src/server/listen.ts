import { systemClock } from "../lib/clock.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { MESSAGE_BYTES_MAX_DEFAULT } from "../lib/limits.ts";
import { silentLogger } from "../lib/logger.ts";
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

function resolve(options: ListenOptions): ListenSettings {
  const settings: ListenSettings = {
    hostname: options.hostname ?? HOSTNAME_DEFAULT,
    port: options.port,
    fetch: options.fetch,
    clock: options.clock ?? systemClock,
    logger: options.logger ?? silentLogger,
    messageBytesMax: options.messageBytesMax ?? MESSAGE_BYTES_MAX_DEFAULT,
    pingIntervalMs: options.pingIntervalMs ?? PING_INTERVAL_MS_DEFAULT,
  };
  requireWhole("port", settings.port, 0, 65_535);
  requireWhole("messageBytesMax", settings.messageBytesMax, 1, SOCKET_MESSAGE_BYTES_MAX);
  requireWhole("pingIntervalMs", settings.pingIntervalMs, 500, 480_000);
  return settings;
}

function requireWhole(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new FlotillaError(
    "invalid-option",
    `${name} must be a whole number from ${min} to ${max}, not ${shown(value)}`,
  );
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
