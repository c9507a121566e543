/** The driver's clock: ticks for the core as time passes, a slower beat for housekeeping, and how late they come. */
import type { Clock, Timer } from "../lib/clock.ts";

/** A beat follows the last one after so many ms. */
export const BEAT_MS = 100;
/** How much of the latest lateness goes into its average. */
const LATENESS_WEIGHT = 0.05;

export interface PulseHost {
  readonly clock: Clock;
  readonly tickMs: number;
  /** So many ticks are made up for at the most: a process that stood still gets a fresh timeout instead. */
  readonly ticksMax: number;
  tick(count: number): void;
  beat(): void;
}

export class Pulse {
  readonly #host: PulseHost;
  #timer: Timer | undefined;
  #tickedAt = 0;
  #beatAt = 0;
  #latenessMs = 0;

  constructor(host: PulseHost) {
    this.#host = host;
  }

  /** By how much this process's timers come late, smoothed, ms. */
  get latenessMs(): number {
    return this.#latenessMs;
  }

  start(): void {
    this.#tickedAt = this.#beatAt = this.#host.clock.now();
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = this.#host.clock.timer(this.#host.tickMs, () => this.#fire());
  }

  #fire(): void {
    const { clock, tickMs, ticksMax } = this.#host;
    const now = clock.now();
    const passed = now - this.#tickedAt;
    this.#latenessMs += (Math.max(0, passed - tickMs) - this.#latenessMs) * LATENESS_WEIGHT;
    const ticks = Math.max(1, Math.floor(passed / tickMs));
    // What is left of a period counts towards the next tick, unless there was a standstill.
    this.#tickedAt = ticks > ticksMax ? now : Math.min(now, this.#tickedAt + ticks * tickMs);
    // Before anything is called: what it does may stop the pulse.
    this.#arm();
    this.#host.tick(Math.min(ticks, ticksMax));
    if (now - this.#beatAt < BEAT_MS) return;
    this.#beatAt = now;
    this.#host.beat();
  }
}
