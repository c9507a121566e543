/**
 * Virtual time. Nothing waits for real: `advance` and `runUntil` jump from one due timer to the next.
 *
 * One *turn* fires the timers due at one instant that were set before the turn began, in the order in which
 * they were set. After each turn everything asynchronous settles (see `#settle`), then the next turn begins;
 * a timer of 0 ms set in a turn fires in the next one, at the same instant.
 */
import type { Clock, Timer } from "../../src/lib/clock.ts";
import { FlotillaError } from "../../src/lib/errors.ts";
import { Heap } from "../../src/lib/heap.ts";

export interface SimClockOptions {
  /** `wallTime()` at `now() === 0`, ms since the Unix epoch. Default: 2027-01-01T00:00:00Z. */
  readonly epochMs?: number;
  /**
   * How many operations are under way outside of JavaScript (WebCrypto, say). Time stands still until it
   * is 0. Default: none.
   */
  readonly pending?: () => number;
}

interface Entry {
  fire: (() => void) | undefined;
}

/** A macrotask: every microtask, and what the runtime has finished outside, runs before it resolves. */
function hop(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

export class SimClock implements Clock {
  /** Timers by the instant they are due at. Each instant stands once in the heap. */
  readonly #due = new Map<number, Entry[]>();
  readonly #instants = new Heap<number>((a, b) => a < b);
  readonly #epochMs: number;
  readonly #pending: () => number;
  #now = 0;
  #timers = 0;
  #running = false;

  constructor(options: SimClockOptions = {}) {
    this.#epochMs = options.epochMs ?? Date.UTC(2027, 0, 1);
    this.#pending = options.pending ?? (() => 0);
  }

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return this.#epochMs + this.#now;
  }

  timer(delayMs: number, fire: () => void): Timer {
    const at = this.#now + Math.max(0, delayMs);
    const entry: Entry = { fire };
    const entries = this.#due.get(at);
    if (entries !== undefined) entries.push(entry);
    else {
      this.#due.set(at, [entry]);
      this.#instants.push(at);
    }
    this.#timers++;
    return {
      cancel: () => {
        if (entry.fire === undefined) return;
        entry.fire = undefined;
        this.#timers--;
      },
    };
  }

  /** Timers set and neither fired nor cancelled: 0 when nothing is left running. */
  get timers(): number {
    return this.#timers;
  }

  /** This clock for one node: a wall clock of its own (`skewMs` ahead), which can be paused. */
  view(options: { skewMs?: number } = {}): SimView {
    return new SimView(this, options.skewMs ?? 0);
  }

  /** A view whose wall clock is `skewMs` ahead. */
  withSkew(skewMs: number): SimView {
    return this.view({ skewMs });
  }

  /** Lets `ms` of virtual time pass. Rejects with what a timer threw, as a process would end with it. */
  async advance(ms: number): Promise<void> {
    await this.#run(this.#now + ms, () => false);
  }

  /**
   * Runs until `predicate` holds; it is asked at first and after every turn.
   * Rejects with `timeout` when it does not hold after `limitMs` of virtual time.
   */
  async runUntil(predicate: () => boolean, limitMs = 60_000): Promise<void> {
    if (await this.#run(this.#now + limitMs, predicate)) return;
    throw new FlotillaError("timeout", `run until ${predicate}: it did not hold within ${limitMs} ms`);
  }

  async #run(untilMs: number, predicate: () => boolean): Promise<boolean> {
    if (this.#running) {
      throw new FlotillaError("invalid-option", "advance: this clock is being advanced already");
    }
    this.#running = true;
    try {
      await this.#settle();
      for (;;) {
        if (predicate()) return true;
        const at = this.#instants.peek();
        if (at === undefined || at > untilMs) break;
        this.#instants.pop();
        const entries = this.#due.get(at) as Entry[];
        this.#due.delete(at);
        if (this.#fire(at, entries)) await this.#settle();
      }
      this.#now = untilMs;
      return false;
    } finally {
      this.#running = false;
    }
  }

  /** False when all of them had been cancelled, so that nothing happened. */
  #fire(at: number, entries: readonly Entry[]): boolean {
    let fired = false;
    for (const entry of entries) {
      const fire = entry.fire;
      if (fire === undefined) continue;
      entry.fire = undefined;
      this.#timers--;
      this.#now = at;
      fired = true;
      fire();
    }
    return fired;
  }

  /** A `pending` operation that ends may begin another, so only a look after a whole hop counts. */
  async #settle(): Promise<void> {
    do await hop(); while (this.#pending() > 0);
  }
}

/** One node's view of a SimClock. While paused its timers do not fire, as in a stopped process (SIGSTOP). */
export class SimView implements Clock {
  skewMs: number;
  readonly #clock: SimClock;
  #paused = false;
  #held: (() => void)[] = [];

  constructor(clock: SimClock, skewMs: number) {
    this.#clock = clock;
    this.skewMs = skewMs;
  }

  now(): number {
    return this.#clock.now();
  }

  wallTime(): number {
    return this.#clock.wallTime() + this.skewMs;
  }

  timer(delayMs: number, fire: () => void): Timer {
    let cancelled = false;
    const timer = this.#clock.timer(delayMs, () => {
      if (this.#paused) this.#held.push(() => cancelled || fire());
      else fire();
    });
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  get paused(): boolean {
    return this.#paused;
  }

  pause(): void {
    this.#paused = true;
  }

  /** In the next turn, what came due meanwhile fires in its order, late. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const held = this.#held;
    this.#held = [];
    this.#clock.timer(0, () => {
      for (const fire of held) {
        if (this.#paused) this.#held.push(fire);
        else fire();
      }
    });
  }
}
