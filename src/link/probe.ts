import type { Clock, Timer } from "../lib/clock.ts";

/** A lossy way may lose a question or its answer, so a probe asks this often. */
const QUESTIONS = 4;

/**
 * Whether a peer lives, by its answer to a question of this moment: packets it sent before it died may still be
 * on their way, and do not count. One probe at a time; whoever asks meanwhile shares its result.
 */
export class Probe {
  readonly #clock: Clock;
  readonly #waitMs: number;
  #running: Promise<boolean> | undefined;
  #settle: ((answered: boolean) => void) | undefined;

  constructor(clock: Clock, waitMs: number) {
    this.#clock = clock;
    this.#waitMs = waitMs;
  }

  /** `ping` asks, and calls `answered` when the answer comes. False when none comes within the wait. */
  ask(ping: (answered: () => void) => void): Promise<boolean> {
    return this.#running ??= new Promise((resolve) => {
      let timer: Timer;
      let left = QUESTIONS;
      const settle = (answered: boolean): void => {
        // An answer may come after the probe is over, even during the next one.
        if (this.#settle !== settle) return;
        timer.cancel();
        this.#running = this.#settle = undefined;
        resolve(answered);
      };
      const question = (): void => {
        if (left-- === 0) return settle(false);
        timer = this.#clock.timer(this.#waitMs / QUESTIONS, question);
        ping(() => settle(true));
      };
      this.#settle = settle;
      question();
    });
  }

  /** Whoever waits is told that nothing answered. */
  stop(): void {
    this.#settle?.(false);
  }
}
