import type { Clock } from "./clock.ts";
import { CLOSE } from "./close_codes.ts";
import { reasonOf } from "./errors.ts";
import type { Logger } from "./logger.ts";
import type { Socket, SocketEvents } from "./socket.ts";
import { type SocketEvent, type StandardWebSocket, wrapWebSocket } from "./standard_socket.ts";

/** Exactly one of the two is called, once, never within `dial`; none after `cancel`. */
export interface DialHandlers {
  /** The socket is open; returns what is to happen with it. Throwing closes it with 1011. */
  opened(socket: Socket): SocketEvents;
  /** No socket: refused, unreachable, too late. `reason` is for a log. */
  failed(reason: string): void;
}

export interface DialOptions {
  readonly clock: Clock;
  readonly logger?: Logger;
  /** From the call until the socket is open, DNS and TLS included. */
  readonly timeoutMs: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly protocols?: readonly string[];
}

/** An attempt that is under way. */
export interface Dial {
  /** Gives it up; idempotent, and without effect once the socket is open. */
  cancel(): void;
}

/** How sockets are opened: `dial` unless a caller brings its own (another network, a private CA). */
export type Dialer = (url: string, handlers: DialHandlers, options: DialOptions) => Dial;

/**
 * Deno's client sockets leave Nagle's algorithm on, and there is no way to turn it off: write, write, read
 * takes 40 ms there. Everyone else's, and all server sockets, send small writes at once.
 */
export const DIALED_SOCKETS_HOLD_SMALL_WRITES: boolean = navigator.userAgent.startsWith("Deno/");

/** Opens a client WebSocket of the runtime to `url` (`ws:` or `wss:`). */
export const dial: Dialer = (url, handlers, options) => {
  const { clock, timeoutMs } = options;
  let ws: StandardWebSocket | undefined;
  let reason = "";
  let settled = false;

  const settle = (): boolean => {
    if (settled) return false;
    settled = true;
    deadline.cancel();
    ws?.removeEventListener("open", onOpen);
    ws?.removeEventListener("close", onClose);
    return true;
  };
  const fail = (why: string): void => {
    if (settle()) handlers.failed(why);
  };
  const onOpen = (): void => {
    if (ws === undefined || !settle()) return;
    const forward: SocketEvents = {
      message: (data) => events.message(data),
      drain: () => events.drain(),
      close: (code, why) => events.close(code, why),
    };
    const socket = wrapWebSocket(ws, forward, clock, options.logger);
    const events = handedOver(socket);
  };
  const handedOver = (socket: Socket): SocketEvents => {
    try {
      return handlers.opened(socket);
    } catch (thrown) {
      options.logger?.error("a dialled socket's owner failed", { url, reason: reasonOf(thrown) });
      socket.close(CLOSE.internal, "a handler failed");
      return { message() {}, drain() {}, close() {} };
    }
  };
  const onError = ({ message }: SocketEvent): void => {
    if (typeof message === "string") reason ||= message;
  };
  const onClose = (): void => fail(reason || "the connection was refused or broke off");

  const deadline = clock.timer(timeoutMs, () => {
    fail(`no answer within ${timeoutMs} ms`);
    ws?.close();
  });
  try {
    const { headers = {}, protocols = [] } = options;
    ws = new WebSocket(url, { headers: { ...headers }, protocols: [...protocols] });
    ws.addEventListener("open", onOpen);
    ws.addEventListener("error", onError);
    ws.addEventListener("close", onClose);
  } catch (thrown) {
    queueMicrotask(() => fail(reasonOf(thrown)));
  }
  return {
    cancel() {
      if (settle()) ws?.close();
    },
  };
};
