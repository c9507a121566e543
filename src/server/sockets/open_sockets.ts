import { every, type Timer } from "../../lib/clock.ts";
import { CLOSE, NOWHERE } from "../../lib/close_codes.ts";
import type { ListenSettings } from "../contract.ts";
import type { WantedUpgrade } from "../exchange.ts";
import { type RawSocket, ServerSocket } from "./server_socket.ts";

/** How long clients may take to answer when the listener closes. */
export const LISTENER_CLOSE_MS = 1_000;

/**
 * Sockets are pinged in so many shares: a ping to each of ten thousand at once takes a quarter of a second.
 */
const PING_SHARES = 32;

/** All open sockets of one listener: pings the silent, and ends them all. */
export class OpenSockets {
  readonly #settings: ListenSettings;
  readonly #sockets = new Set<ServerSocket>();
  /** Those same; each share has its turn once in a ping interval. */
  readonly #shares: readonly Set<ServerSocket>[] = Array.from({ length: PING_SHARES }, () => new Set());
  #nextShare = 0;
  #nextProbed = 0;
  /** Runs only while there is a socket. */
  #heartbeat: Timer | undefined;
  #onEmpty: (() => void) | undefined;
  #stopped = false;

  constructor(settings: ListenSettings) {
    this.#settings = settings;
  }

  /** Takes care of a socket that has just opened; the adapter then starts it. */
  adopt(raw: RawSocket, upgrade: WantedUpgrade): ServerSocket {
    const socket = new ServerSocket(raw, upgrade, this.#settings, this.#onEnd);
    this.#sockets.add(socket);
    this.#shares[this.#nextShare]?.add(socket);
    this.#nextShare = (this.#nextShare + 1) % PING_SHARES;
    const { clock, pingIntervalMs } = this.#settings;
    this.#heartbeat ??= every(clock, pingIntervalMs / PING_SHARES, () => this.#probeShare());
    if (this.#stopped) socket.close(CLOSE.leaving, NOWHERE);
    return socket;
  }

  /** Closes every socket with 1001; after a second, by force. Resolves when all have ended. */
  async closeAll(): Promise<void> {
    this.#stopped = true;
    for (const socket of this.#sockets) socket.close(CLOSE.leaving, NOWHERE);
    if (this.#sockets.size === 0) return;
    const empty = new Promise<void>((resolve) => this.#onEmpty = resolve);
    const force = this.#settings.clock.timer(LISTENER_CLOSE_MS, () => {
      for (const socket of this.#sockets) socket.terminate();
    });
    await empty;
    force.cancel();
  }

  #probeShare(): void {
    for (const socket of this.#shares[this.#nextProbed] ?? []) socket.probe();
    this.#nextProbed = (this.#nextProbed + 1) % PING_SHARES;
  }

  /** One for all sockets, since there may be very many. */
  readonly #onEnd = (ended: ServerSocket): void => {
    this.#sockets.delete(ended);
    for (const share of this.#shares) if (share.delete(ended)) break;
    if (this.#sockets.size === 0) this.#emptied();
  };

  #emptied(): void {
    this.#heartbeat?.cancel();
    this.#heartbeat = undefined;
    this.#onEmpty?.();
  }
}
