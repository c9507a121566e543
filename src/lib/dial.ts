import type { Clock } from "./clock.ts";
import { CLOSE } from "./close_codes.ts";
import { reasonOf } from "./errors.ts";
import type { Logger } from "./logger.ts";
import type { Socket, SocketEvents } from "./socket.ts";
import { type ClientWebSocket, openClientWebSocket } from "./client_websocket.ts";
import { type SocketEvent, type StandardWebSocket, wrapWebSocket } from "./standard_socket.ts";

/** Exactly one of the two is called, once, never within `dial`; none after `cancel`. */
export interface DialHandlers {
  /**
   * The socket is open; returns what is to happen with it; throwing closes it (1011). `holdsSmallWrites`: a small write waits in the kernel
   * until the other side has answered the one before it.
   */
  opened(socket: Socket, holdsSmallWrites: boolean): SocketEvents;
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
  /** Nobody stands between: see `ClientWebSocketOptions`. Default false. */
  readonly zeroMask?: boolean;
}

/** An attempt that is under way. */
export interface Dial {
  /** Gives it up; idempotent, and without effect once the socket is open. */
  cancel(): void;
}

/** How sockets are opened: `dial` unless a caller brings its own (another network, a private CA). */
export type Dialer = (url: string, handlers: DialHandlers, options: DialOptions) => Dial;

/** Opens a client WebSocket of the runtime to `url` (`ws:` or `wss:`). */
export const dial: Dialer = (url, handlers, options) => {
  const { clock, timeoutMs, headers = {}, protocols = [], zeroMask } = options;
  let ws: StandardWebSocket | undefined;
  let holdsSmallWrites = false;
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
    wrapWebSocket(ws, handedOver, clock, options.logger);
  };
  const handedOver = (socket: Socket): SocketEvents => {
    try {
      return handlers.opened(socket, holdsSmallWrites);
    } catch (thrown) {
      options.logger?.error("a dialled socket's owner failed", { url, reason: reasonOf(thrown) });
      socket.close(CLOSE.internal, "a handler failed");
      return { message() {}, close() {} };
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
  const take = (client: ClientWebSocket): void => {
    ws = client.webSocket;
    holdsSmallWrites = client.holdsSmallWrites;
    // First of all: the `ws` package throws errors that nobody listens for.
    ws.addEventListener("error", onError);
    if (settled) return ws.close();
    ws.addEventListener("open", onOpen);
    ws.addEventListener("close", onClose);
  };
  openClientWebSocket(url, { headers, protocols, zeroMask }, take).catch((thrown) => fail(reasonOf(thrown)));
  return {
    cancel() {
      if (settle()) ws?.close();
    },
  };
};
