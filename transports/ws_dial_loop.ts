/** Keeps dialling one address, for ever, while no proven way leads to the node that lives there. */
import type { Clock, Timer } from "../src/lib/clock.ts";
import type { Dial, Dialer } from "../src/lib/dial.ts";
import type { Logger } from "../src/lib/logger.ts";
import { Backoff } from "../src/lib/backoff.ts";
import { jittered, type Random } from "../src/lib/random.ts";
import type { Socket, SocketEvents } from "../src/lib/socket.ts";
import { isPrivateUrl } from "./node_list.ts";

const DIAL_TIMEOUT_MS = 5_000;
/** The pause before the second attempt; it doubles with every failure. */
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 5_000;

export interface DialLoopOptions {
  /** What is dialled, path included. */
  readonly url: string;
  /** Who lives there, if that is known. */
  readonly nodeId: string | undefined;
  /** Heard of from a peer, not configured. */
  readonly learnt: boolean;
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Whether a proven path to the node exists. */
  readonly reached: (nodeId: string) => boolean;
  readonly opened: (socket: Socket, loop: DialLoop, holdsSmallWrites: boolean) => SocketEvents;
}

export class DialLoop {
  readonly url: string;
  readonly learnt: boolean;
  nodeId: string | undefined;
  readonly #options: DialLoopOptions;
  /** `resting` until woken; `open` while the socket it dialled is. */
  #state: "resting" | "waiting" | "dialling" | "open" | "stopped" = "resting";
  #timer: Timer | undefined;
  #dial: Dial | undefined;
  #failures = 0;
  readonly #backoff: Backoff;
  #failingSaid = false;

  constructor(options: DialLoopOptions) {
    this.url = options.url;
    this.learnt = options.learnt;
    this.nodeId = options.nodeId;
    this.#options = options;
    this.#backoff = new Backoff(options.random, BACKOFF_MS_MIN, BACKOFF_MS_MAX);
  }

  /** Attempts that failed since this address last led to a proven node. */
  get failures(): number {
    return this.#failures;
  }

  /** Begins in a later turn. */
  start(): void {
    if (this.#state === "resting") this.#wait(0);
  }

  /**
   * The proven path to the node is gone: begins after a short random time, as the other side may dial too.
   */
  wake(): void {
    if (this.#state === "resting") this.#wait(jittered(this.#options.random, BACKOFF_MS_MIN));
  }

  /** A proven path leads to the node that lives here. Leaves a socket of its own to whoever has it. */
  rest(): void {
    this.#failures = 0;
    this.#backoff.reset();
    if (this.#failingSaid) this.#options.logger.info("a node's address is reached again", { url: this.url });
    this.#failingSaid = false;
    if (this.#state === "open" || this.#state === "stopped") return;
    this.#halt();
    this.#state = "resting";
  }

  /** The socket that this loop opened was given up. */
  left(reason: string): void {
    if (this.#state === "open") this.#retry(reason);
  }

  /** For good. */
  stop(): void {
    this.#halt();
    this.#state = "stopped";
  }

  #halt(): void {
    this.#timer?.cancel();
    this.#dial?.cancel();
  }

  #wait(delayMs: number): void {
    this.#state = "waiting";
    this.#timer = this.#options.clock.timer(delayMs, () => this.#attempt());
  }

  #attempt(): void {
    if (this.#restIfReached()) return;
    const { dialer, clock, logger } = this.#options;
    this.#state = "dialling";
    this.#dial = dialer(this.url, {
      opened: (socket, holdsSmallWrites) => {
        this.#state = "open";
        return this.#options.opened(socket, this, holdsSmallWrites);
      },
      failed: (reason) => this.#retry(reason),
    }, { clock, logger, timeoutMs: DIAL_TIMEOUT_MS, zeroMask: isPrivateUrl(this.url) });
  }

  #retry(reason: string): void {
    if (this.#restIfReached()) return;
    if (!this.#failingSaid) {
      this.#options.logger.warn("a node's address is not reached", { url: this.url, reason });
    }
    this.#failingSaid = true;
    this.#failures++;
    this.#wait(this.#backoff.next());
  }

  #restIfReached(): boolean {
    if (this.nodeId === undefined || !this.#options.reached(this.nodeId)) return false;
    this.#state = "resting";
    return true;
  }
}
