/**
 * Counts what a process holds: imported before anything else, so that no timer is missed. For worker.ts; what
 * the test asks for comes from `heldNow`.
 */
import { liveMemory } from "../../bench/support/live_memory.ts";

/** What a worker holds. */
export interface Held {
  /** Timeouts and intervals that may still fire, of the library and of every package that uses the globals. */
  readonly timers: number;
  /** On the signal that all calls share. */
  readonly listeners: number;
  /** After a collection. */
  readonly heapBytes: number;
}

const timers = new Set<unknown>();

function countTimers(once: boolean): ProxyHandler<typeof setTimeout> {
  return {
    apply(target, self, [fire, ...rest]: [(...args: unknown[]) => void, ...unknown[]]) {
      const counted = (...args: unknown[]): void => {
        if (once) timers.delete(timer);
        fire(...args);
      };
      const timer: unknown = Reflect.apply(target, self, [counted, ...rest]);
      timers.add(timer);
      return timer;
    },
  };
}

const forget: ProxyHandler<typeof clearTimeout> = {
  apply(target, self, args: unknown[]) {
    timers.delete(args[0]);
    return Reflect.apply(target, self, args);
  },
};

globalThis.setTimeout = new Proxy(globalThis.setTimeout, countTimers(true));
globalThis.setInterval = new Proxy(globalThis.setInterval, countTimers(false));
globalThis.clearTimeout = new Proxy(globalThis.clearTimeout, forget);
globalThis.clearInterval = new Proxy(globalThis.clearInterval, forget);

/** A signal that is never aborted and counts who listens to it. */
export class CountedSignal {
  readonly signal: AbortSignal = new AbortController().signal;
  readonly #listeners = new Set<unknown>();

  constructor() {
    const { signal } = this;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (type: string, listener: EventListener): void => {
      this.#listeners.add(listener);
      add(type, listener);
    };
    signal.removeEventListener = (type: string, listener: EventListener): void => {
      this.#listeners.delete(listener);
      remove(type, listener);
    };
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

export async function heldNow(signal: CountedSignal): Promise<Held> {
  const { heapBytes } = await liveMemory();
  return { timers: timers.size, listeners: signal.listeners, heapBytes };
}
