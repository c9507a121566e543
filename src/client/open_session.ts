import { decodeToClient, SUBPROTOCOL } from "../client_protocol.ts";
import type { Bytes } from "../lib/bytes.ts";
import { CLOSE } from "../lib/close_codes.ts";
import { type ErrorCode, FlotillaError, reasonOf } from "../lib/errors.ts";
import type { Socket, SocketEvents } from "../lib/socket.ts";
import { type SocketEvent, wrapWebSocket } from "../lib/standard_socket.ts";
import type { ClientClose, ClientSettings, WebSocketConstructor } from "./contract.ts";
import { Session } from "./session.ts";

/**
 * A socket to `url`, open, its node's hello read; not started yet. Rejects as `connect` does, and leaves no
 * socket open then. The query of the URL is in no message: it may be a credential.
 */
export function openSession(url: URL, settings: ClientSettings, signal?: AbortSignal): Promise<Session> {
  return new Promise((resolve, reject) => {
    const attempt = new Attempt(url, settings, signal, resolve, reject);
    attempt.begin();
  });
}

class Attempt {
  readonly #url: URL;
  readonly #settings: ClientSettings;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (session: Session) => void;
  readonly #reject: (error: FlotillaError) => void;
  #webSocket: InstanceType<WebSocketConstructor> | undefined;
  /** From when the WebSocket is open. */
  #socket: Socket | undefined;
  #session: Session | undefined;
  #settled = false;
  /** What the runtime says of a failure. */
  #problem = "";
  #cancelTimer: () => void = () => {};

  constructor(
    url: URL,
    settings: ClientSettings,
    signal: AbortSignal | undefined,
    resolve: (session: Session) => void,
    reject: (error: FlotillaError) => void,
  ) {
    this.#url = url;
    this.#settings = settings;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  begin(): void {
    if (this.#signal?.aborted) return this.#fail("aborted", "the signal has fired");
    const { clock, connectTimeoutMs, WebSocket } = this.#settings;
    try {
      this.#webSocket = new WebSocket(this.#url.href, [SUBPROTOCOL]);
    } catch (cause) {
      return this.#fail("invalid-option", reasonOf(cause));
    }
    this.#webSocket.addEventListener("error", this.#onError);
    this.#webSocket.addEventListener("open", this.#onOpen);
    this.#webSocket.addEventListener("close", this.#onClose);
    this.#signal?.addEventListener("abort", this.#onAbort);
    const timer = clock.timer(connectTimeoutMs, () => {
      this.#fail("timeout", `no hello within ${connectTimeoutMs} ms`);
    });
    this.#cancelTimer = () => timer.cancel();
  }

  #onAbort = (): void => this.#fail("aborted", "the signal has fired");

  #onError = ({ message }: SocketEvent): void => {
    if (typeof message === "string") this.#problem ||= message;
  };

  #onClose = ({ code, reason }: SocketEvent): void => {
    this.#closedEarly(typeof code === "number" ? code : 0, typeof reason === "string" ? reason : "");
  };

  #onOpen = (): void => {
    const webSocket = this.#webSocket;
    if (webSocket === undefined || this.#settled) return;
    // A runtime that follows the standard refuses the socket itself, and does not say why.
    if (webSocket.protocol !== SUBPROTOCOL) {
      return this.#fail("unsupported", `the server does not speak ${SUBPROTOCOL}`);
    }
    webSocket.removeEventListener("close", this.#onClose);
    const { clock, logger } = this.#settings;
    this.#socket = wrapWebSocket(webSocket, () => this.#socketEvents(), clock, logger);
  };

  #socketEvents(): SocketEvents {
    return {
      message: (data) => {
        if (this.#session !== undefined) this.#session.received(data);
        else if (!this.#settled) this.#hello(data);
      },
      close: (code, reason) => {
        if (this.#session !== undefined) this.#session.lost(code, reason);
        else this.#closedEarly(code, reason);
      },
    };
  }

  #hello(data: string | Bytes): void {
    try {
      const hello = typeof data === "string" ? undefined : decodeToClient(data);
      if (hello?.kind !== "hello") throw new FlotillaError("malformed", "the first message is no hello");
      this.#session = new Session(this.#socket as Socket, this.#url, hello, this.#settings);
    } catch (thrown) {
      return this.#fail("malformed", reasonOf(thrown), CLOSE.protocolError);
    }
    if (this.#settle()) this.#resolve(this.#session);
  }

  #closedEarly(code: number, reason: string): void {
    const why = reason || this.#problem || "the connection was refused or broke off";
    const cause: ClientClose = { code, reason };
    if (code === CLOSE.unauthorized) this.#fail("unauthorized", why, CLOSE.normal, cause);
    else this.#fail("node-lost", code === 0 ? why : `${why} (${code})`, CLOSE.normal, cause);
  }

  #fail(code: ErrorCode, problem: string, closeCode: number = CLOSE.normal, cause?: ClientClose): void {
    if (!this.#settle()) return;
    const { protocol, host, pathname } = this.#url;
    this.#reject(
      new FlotillaError(code, `connect to ${protocol}//${host}${pathname}: ${problem}`, { cause }),
    );
    if (this.#socket !== undefined) this.#socket.close(closeCode, problem);
    else this.#webSocket?.close();
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#cancelTimer();
    this.#signal?.removeEventListener("abort", this.#onAbort);
    return true;
  }
}
