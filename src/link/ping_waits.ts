import type { Clock, Timer } from "../lib/clock.ts";
import { FlotillaError } from "../lib/errors.ts";

/** Callers that wait for one round trip. A ping that is lost is repeated until the deadline. */
export class PingWaits {
  readonly #clock: Clock;
  readonly #options: { readonly pingIntervalMs: number; readonly peerTimeoutMs: number };
  readonly #waits = new Set<(error: FlotillaError) => void>();

  constructor(clock: Clock, options: { readonly pingIntervalMs: number; readonly peerTimeoutMs: number }) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Calls `ping` now and every ping interval; resolves with the first answer. Rejects `timeout`, or as `fail` says. */
  ask(ping: (answered: (rttMs: number) => void) => void): Promise<number> {
    const { pingIntervalMs, peerTimeoutMs } = this.#options;
    const deadline = this.#clock.now() + peerTimeoutMs;
    return new Promise((resolve, reject) => {
      let timer: Timer;
      const settle = (): void => {
        timer.cancel();
        this.#waits.delete(fail);
      };
      const fail = (error: FlotillaError): void => {
        settle();
        reject(error);
      };
      const attempt = (): void => {
        if (this.#clock.now() >= deadline) {
          return fail(new FlotillaError("timeout", `ping a node: no answer within ${peerTimeoutMs} ms`));
        }
        timer = this.#clock.timer(pingIntervalMs, attempt);
        ping((rttMs) => {
          settle();
          resolve(rttMs);
        });
      };
      this.#waits.add(fail);
      attempt();
    });
  }

  /** Ends every wait. */
  fail(error: FlotillaError): void {
    for (const fail of [...this.#waits]) fail(error);
  }
}
