/**
 * Any standard WebSocket (WHATWG) as a Socket: the client of Deno, Bun and Node, a server's socket where
 * it is a standard one (Deno), and the `ws` package's.
 *
 * What the runtimes do differently, and is settled here: the default `binaryType`; abnormal ends have code
 * 0 on Deno; Deno's server fires `close` twice after an idle timeout; a client may send only the codes
 * 1000 and 3000-4999 (RFC 6455 reserves the rest for servers; Deno and Node throw); there is no `drain`
 * event.
 */
import type { Bytes } from "./bytes.ts";
import type { Clock, Timer } from "./clock.ts";
import { CLOSE } from "./close_codes.ts";
import { cutReason } from "./close_frame.ts";
import { reasonOf } from "./errors.ts";
import { type Logger, silentLogger } from "./logger.ts";
import type { Socket, SocketEvents } from "./socket.ts";

/** How long the other side may take to answer a close before the socket is cut. */
const CLOSE_TIMEOUT_MS = 5_000;
/** The longest pause between two looks at `bufferedAmount`. */
const DRAIN_POLL_MS_MAX = 8;
/** Looks in turns that follow each other, before there are pauses. */
const DRAIN_QUICK_LOOKS = 16;
/** Sent by a client in place of a code that it may not send. */
const CLIENT_CLOSE_CODE = 4000;
/** No close frame was seen (RFC 6455, 7.4.1). */
const ABNORMAL = 1006;
const OPEN = 1;

/** What `wrapWebSocket` uses of a WebSocket. `terminate` exists on Bun and in the `ws` package only. */
export interface StandardWebSocket {
  readonly readyState: number;
  readonly bufferedAmount: number;
  binaryType: string;
  send(data: string | Bytes): void;
  close(code?: number, reason?: string): void;
  addEventListener(
    type: "message" | "close" | "error" | "open",
    listener: (event: SocketEvent) => void,
  ): void;
  removeEventListener(
    type: "message" | "close" | "error" | "open",
    listener: (event: SocketEvent) => void,
  ): void;
  terminate?(): void;
}

/** The fields of MessageEvent, CloseEvent and ErrorEvent that are read; each is checked where it is. */
export interface SocketEvent {
  readonly type: string;
  readonly data?: unknown;
  readonly code?: unknown;
  readonly reason?: unknown;
  readonly message?: unknown;
}

/**
 * Takes `ws`, open already, over: sets its `binaryType`, listens to it, and tells what `open` returns, never
 * within a call of the socket. An error of a handler is logged and closes the socket with 1011. Who wants to hear
 * `drain` pays for it with a timer while bytes are buffered.
 */
export function wrapWebSocket(
  ws: StandardWebSocket,
  open: (socket: Socket) => SocketEvents,
  clock: Clock,
  logger: Logger = silentLogger,
): Socket {
  return new StandardSocket(ws, open, clock, logger);
}

class StandardSocket implements Socket {
  readonly #ws: StandardWebSocket;
  /** Undefined while `open` runs. */
  readonly #events: SocketEvents | undefined;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #state: "open" | "closing" | "closed" = "open";
  #closeTimer: Timer | undefined;
  #drainTimer: Timer | undefined;
  #lastBufferedBytes = 0;

  constructor(
    ws: StandardWebSocket,
    open: (socket: Socket) => SocketEvents,
    clock: Clock,
    logger: Logger,
  ) {
    this.#ws = ws;
    this.#clock = clock;
    this.#logger = logger;
    ws.binaryType = "arraybuffer";
    ws.addEventListener("message", this.#onMessage);
    ws.addEventListener("close", this.#onClose);
    // Without a listener the `ws` package throws. A close event always follows.
    ws.addEventListener("error", ignore);
    this.#events = open(this);
  }

  get bufferedBytes(): number {
    return this.#ws.bufferedAmount;
  }

  send(data: string | Bytes): boolean {
    if (this.#state !== "open" || this.#ws.readyState !== OPEN) return false;
    try {
      this.#ws.send(data);
    } catch (thrown) {
      this.#logger.warn("a socket refused a message and is cut", { reason: reasonOf(thrown) });
      this.terminate();
      return false;
    }
    if (this.#events?.drain === undefined) return true;
    this.#lastBufferedBytes = this.#ws.bufferedAmount;
    if (this.#lastBufferedBytes > 0 && this.#drainTimer === undefined) this.#pollDrain();
    return true;
  }

  close(code: number, reason: string): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#closeTimer = this.#clock.timer(CLOSE_TIMEOUT_MS, () => this.terminate());
    const text = cutReason(reason);
    try {
      this.#ws.close(code, text);
    } catch {
      this.#ws.close(CLIENT_CLOSE_CODE, text);
    }
  }

  /** Where the runtime cannot cut a socket it is asked to close and forgotten. */
  terminate(): void {
    if (this.#state === "closed") return;
    this.#finish(ABNORMAL, "");
    if (this.#ws.terminate !== undefined) this.#ws.terminate();
    else this.#ws.close();
  }

  #onMessage = (event: SocketEvent): void => {
    if (this.#state !== "open") return;
    const { data } = event;
    if (typeof data === "string") this.#call("message", () => this.#events?.message(data));
    else if (data instanceof ArrayBuffer) {
      this.#call("message", () => this.#events?.message(new Uint8Array(data)));
    } else if (data instanceof Uint8Array) {
      // A runtime that ignores `binaryType`: a view, of a shared pool perhaps.
      this.#call("message", () => this.#events?.message(new Uint8Array(data)));
    } else this.close(CLOSE.internal, "a message of unknown kind");
  };

  #onClose = (event: SocketEvent): void => {
    const code = typeof event.code === "number" && event.code !== 0 ? event.code : ABNORMAL;
    this.#finish(code, typeof event.reason === "string" ? event.reason : "");
  };

  /**
   * Lets go of everything and reports the end in a later microtask: Bun may call `close` listeners inside
   * `close()`.
   */
  #finish(code: number, reason: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#closeTimer?.cancel();
    this.#drainTimer?.cancel();
    this.#ws.removeEventListener("message", this.#onMessage);
    this.#ws.removeEventListener("close", this.#onClose);
    queueMicrotask(() => this.#call("close", () => this.#events?.close(code, reason)));
  }

  /** Looks often at first: a kernel with room takes the bytes within some turns. */
  #pollDrain(looks = 0): void {
    const delayMs = looks < DRAIN_QUICK_LOOKS
      ? 0
      : Math.min(DRAIN_POLL_MS_MAX, looks - DRAIN_QUICK_LOOKS + 1);
    this.#drainTimer = this.#clock.timer(delayMs, () => {
      const bufferedBytes = this.#ws.bufferedAmount;
      const fell = bufferedBytes < this.#lastBufferedBytes;
      this.#lastBufferedBytes = bufferedBytes;
      if (bufferedBytes === 0) this.#drainTimer = undefined;
      else this.#pollDrain(fell ? 0 : looks + 1);
      if (fell) this.#call("drain", () => this.#events?.drain?.());
    });
  }

  #call(handler: keyof SocketEvents, run: () => unknown): void {
    const failed = (thrown: unknown): void => {
      this.#logger.error("a socket's handler failed", { handler, reason: reasonOf(thrown) });
      this.close(CLOSE.internal, "a handler failed");
    };
    try {
      const returned = run();
      if (returned instanceof Promise) returned.catch(failed);
    } catch (thrown) {
      failed(thrown);
    }
  }
}

function ignore(): void {}
