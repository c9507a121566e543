/** Calls that wait for an answer: each ends once, by it, by its deadline or by its caller's signal. */
import type { Clock } from "../lib/clock.ts";
import { type Deadline, Deadlines } from "../lib/deadlines.ts";
import { type ErrorCode, FlotillaError, shown } from "../lib/errors.ts";
import { TIMER_MS_MAX } from "../lib/limits.ts";

export interface WaitOptions {
  /** Milliseconds until the call gives up. Default `proposalTimeoutMs`. */
  readonly timeoutMs?: number | undefined;
  /** False: rejects `no-leader` at once when there is none now. Default true: waits for one until the deadline. */
  readonly waitForLeader?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class Wait<Value> {
  readonly promise: Promise<Value>;
  readonly #resolve: (value: Value) => void;
  readonly #reject: (error: FlotillaError) => void;
  /** Called once, when it ends. */
  onEnd: () => void = () => {};
  /** The error at the deadline. */
  late: () => FlotillaError = () => new FlotillaError("timeout", "no answer in time");
  #open = true;

  constructor() {
    const { promise, resolve, reject } = Promise.withResolvers<Value>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get open(): boolean {
    return this.#open;
  }

  resolve(value: Value): void {
    if (this.#end()) this.#resolve(value);
  }

  reject(error: FlotillaError): void {
    if (this.#end()) this.#reject(error);
  }

  #end(): boolean {
    if (!this.#open) return false;
    this.#open = false;
    this.onEnd();
    return true;
  }
}

/** A wait, whatever it waits for. */
type OpenWait = Pick<Wait<unknown>, "late"> & { reject(error: FlotillaError): void };

export interface WaitsHost {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Why there is no leader to turn to, for people; undefined when there is one. */
  obstacle(): string | undefined;
}

/** The open waits of one kind. */
export class Waits {
  readonly #what: string;
  readonly #sizeMax: number;
  readonly #host: WaitsHost;
  readonly #deadlines: Deadlines<OpenWait>;
  readonly #open = new Set<OpenWait>();
  #stopped: string | undefined;

  /** `what` begins every error's message. */
  constructor(what: string, sizeMax: number, host: WaitsHost) {
    this.#what = what;
    this.#sizeMax = sizeMax;
    this.#host = host;
    this.#deadlines = new Deadlines(host.clock, (wait) => wait.reject(wait.late()));
  }

  error(code: ErrorCode, why: string): FlotillaError {
    return new FlotillaError(code, `${this.#what}: ${why}`);
  }

  /** Throws `invalid-option`, `not-running`, `aborted`, `backpressure` or `no-leader`. */
  begin<Value>(options: WaitOptions): Wait<Value> {
    const { timeoutMs = this.#host.timeoutMs, waitForLeader = true, signal } = options;
    if (!(timeoutMs > 0 && timeoutMs <= TIMER_MS_MAX)) {
      throw this.error(
        "invalid-option",
        `timeoutMs must be above 0 and at most ${TIMER_MS_MAX}, not ${shown(timeoutMs)}`,
      );
    }
    if (this.#stopped !== undefined) throw this.error("not-running", this.#stopped);
    if (signal?.aborted === true) throw this.error("aborted", "the caller's signal has fired");
    if (this.#open.size >= this.#sizeMax) {
      throw this.error("backpressure", `${this.#sizeMax} of this node wait already`);
    }
    const obstacle = waitForLeader ? undefined : this.#host.obstacle();
    if (obstacle !== undefined) throw this.error("no-leader", obstacle);
    const wait = new Wait<Value>();
    const abort = (): void => wait.reject(this.error("aborted", "the caller's signal fired"));
    const deadline: Deadline<OpenWait> = this.#deadlines.add(wait, this.#host.clock.now() + timeoutMs);
    signal?.addEventListener("abort", abort, { once: true });
    this.#open.add(wait);
    wait.onEnd = () => {
      this.#open.delete(wait);
      this.#deadlines.cancel(deadline);
      signal?.removeEventListener("abort", abort);
    };
    return wait;
  }

  /** Ends every wait, and refuses later ones, with `not-running`. */
  stop(reason: string): void {
    this.#stopped = reason;
    this.endAll(this.error("not-running", reason));
    this.#deadlines.stop();
  }

  endAll(error: FlotillaError): void {
    for (const wait of [...this.#open]) wait.reject(error);
  }
}
