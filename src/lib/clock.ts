/** Time as an argument: everything that waits or measures takes a Clock, so tests can run it in virtual time. */
export interface Clock {
  /** Milliseconds, monotonic, with a fraction; the origin is arbitrary. */
  now(): number;
  /** Milliseconds since the Unix epoch; may jump. */
  wallTime(): number;
  /** Calls `fire` once, `delayMs` from now (0: in a later turn). */
  timer(delayMs: number, fire: () => void): Timer;
}

/** A pending call of a Clock. */
export interface Timer {
  /** Idempotent; also after it has fired. */
  cancel(): void;
}

/** The runtime's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  timer(delayMs, fire) {
    // A timeout of 0 takes a millisecond or two; an immediate, which browsers have not, only lets pending I/O go first.
    if (delayMs === 0 && typeof setImmediate === "function") {
      const id = setImmediate(fire);
      return { cancel: () => clearImmediate(id) };
    }
    const id = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(id) };
  },
};

/** Calls `fire` every `periodMs` until cancelled; the next period starts when `fire` has returned. */
export function every(clock: Clock, periodMs: number, fire: () => void): Timer {
  let timer = clock.timer(periodMs, tick);
  let cancelled = false;
  function tick(): void {
    fire();
    if (!cancelled) timer = clock.timer(periodMs, tick);
  }
  return {
    cancel() {
      cancelled = true;
      timer.cancel();
    },
  };
}

/** Resolves `delayMs` from now. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => void clock.timer(delayMs, resolve));
}
