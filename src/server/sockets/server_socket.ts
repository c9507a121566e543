import type { Clock, Timer } from "../../lib/clock.ts";
import { CLOSE } from "../../lib/close_codes.ts";
import { cutReason, sendableCode } from "../../lib/close_frame.ts";
import { reasonOf } from "../../lib/errors.ts";
import type { Logger } from "../../lib/logger.ts";
import type { Socket, SocketEvents } from "../../lib/socket.ts";
import { utf8 } from "../../lib/bytes.ts";
import type { WantedUpgrade } from "../exchange.ts";

/** How long the other side may take to answer a close before it is cut. */
export const CLOSE_TIMEOUT_MS = 5_000;
/** No close frame was seen (RFC 6455, 7.1.5). */
const ABNORMAL = 1006;

/**
 * What an adapter must be able to do with its runtime's socket; it is called only while the socket is open.
 */
export interface RawSocket {
  readonly bufferedBytes: number;
  /** False when the socket turns out to be no longer open. */
  send(data: string | Uint8Array<ArrayBuffer>): boolean;
  /** `code` and `reason` are such as every runtime takes. */
  close(code: number, reason: string): void;
  terminate(): void;
  /** Absent where the runtime pings by itself. */
  ping?(): void;
}

export interface Surroundings {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * What is the same on every runtime: the order of events, exactly one close, failing handlers, the message
 * limit, the deadline of a close. An adapter feeds it (`received`, `drained`, `heard`, `ended`) and may do so
 * in any order and any number of times.
 */
export class ServerSocket implements Socket {
  readonly #raw: RawSocket;
  readonly #messageBytesMax: number;
  /** Until it was called: it holds the request, which need not live as long as the socket. */
  #open: WantedUpgrade["open"] | undefined;
  readonly #surroundings: Surroundings;
  readonly #onEnd: (socket: ServerSocket) => void;
  #state: "open" | "closing" | "ended" = "open";
  #events: SocketEvents | undefined;
  #cut: Timer | undefined;
  #silent = false;
  /**
   * What was still buffered when closing began. It may yet go out, but runtimes stop counting there (Deno and
   * Bun say zero at once), and bytes must never seem to have left when they have not.
   */
  #leftBytes = 0;

  constructor(
    raw: RawSocket,
    upgrade: WantedUpgrade,
    surroundings: Surroundings,
    onEnd: (socket: ServerSocket) => void,
  ) {
    this.#raw = raw;
    this.#messageBytesMax = upgrade.messageBytesMax;
    this.#open = upgrade.open;
    this.#surroundings = surroundings;
    this.#onEnd = onEnd;
  }

  /**
   * Hands the socket to its owner. Apart from the constructor, so that the adapter can know the socket first.
   */
  start(): void {
    const open = this.#open;
    this.#open = undefined;
    try {
      this.#events = open?.(this);
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  get bufferedBytes(): number {
    return this.#state === "open" ? this.#raw.bufferedBytes : this.#leftBytes;
  }

  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    if (this.#state !== "open") return false;
    try {
      return this.#raw.send(data);
    } catch (thrown) {
      this.#surroundings.logger.warn("a socket refused to send", { reason: reasonOf(thrown) });
      this.terminate();
      return false;
    }
  }

  close(code: number, reason: string): void {
    if (this.#state !== "open") return;
    this.closing();
    try {
      this.#raw.close(sendableCode(code), cutReason(reason));
    } catch {
      this.terminate();
    }
  }

  terminate(): void {
    if (this.#state === "ended") return;
    this.#leave("closing");
    // The owner hears of the end in a later turn, as from every other end: never inside its own call.
    queueMicrotask(() => this.#end(ABNORMAL, ""));
    try {
      this.#raw.terminate();
    } catch (thrown) {
      this.#surroundings.logger.debug("a socket could not be cut", { reason: reasonOf(thrown) });
    }
  }

  /** The closing handshake has begun, here or inside the runtime: it has five seconds. */
  closing(): void {
    if (this.#state !== "open") return;
    this.#leave("closing");
    this.#cut = this.#surroundings.clock.timer(CLOSE_TIMEOUT_MS, () => this.terminate());
  }

  /** One message came in; its bytes are nobody else's. */
  received(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.#state !== "open") return;
    this.#silent = false;
    if (isLonger(data, this.#messageBytesMax)) {
      this.close(CLOSE.tooLarge, `a message is longer than ${this.#messageBytesMax} bytes`);
      return;
    }
    this.#handle((events) => events.message(data));
  }

  /** The runtime took over bytes it had kept. */
  drained(): void {
    if (this.#state === "open") this.#handle((events) => events.drain?.());
  }

  /** Any sign of life. */
  heard(): void {
    this.#silent = false;
  }

  /**
   * The socket is gone; `code` 0 or 1006 when no close frame was seen. The owner hears of it in a later turn.
   */
  ended(code: number, reason: string): void {
    queueMicrotask(() => this.#end(code === 0 ? ABNORMAL : code, reason));
  }

  /** Once a ping interval: cuts what was silent since the last ping, and pings. */
  probe(): void {
    if (this.#raw.ping === undefined || this.#state !== "open") return;
    if (this.#silent) return this.terminate();
    this.#silent = true;
    this.#raw.ping();
  }

  #leave(state: "closing" | "ended"): void {
    if (this.#state === "open") this.#leftBytes = this.#raw.bufferedBytes;
    this.#state = state;
  }

  #end(code: number, reason: string): void {
    if (this.#state === "ended") return;
    this.#leave("ended");
    this.#cut?.cancel();
    this.#onEnd(this);
    this.#handle((events) => events.close(code, reason));
    this.#events = undefined;
  }

  #handle(call: (events: SocketEvents) => void): void {
    if (this.#events === undefined) return;
    try {
      const returned: unknown = call(this.#events);
      if (returned instanceof Promise) returned.catch((thrown) => this.#failed(thrown));
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  #failed(thrown: unknown): void {
    this.#surroundings.logger.error("a socket's handler failed", { reason: reasonOf(thrown) });
    this.close(CLOSE.internal, "a handler failed");
  }
}

/** Encodes only where the length in UTF-16 units leaves it open. */
function isLonger(data: string | Uint8Array, bytesMax: number): boolean {
  if (typeof data !== "string") return data.byteLength > bytesMax;
  if (data.length > bytesMax) return true;
  return data.length * 3 > bytesMax && utf8(data).byteLength > bytesMax;
}
