import type { Logger } from "./logger.ts";
import { reasonOf } from "./errors.ts";

/** Stops a subscription; idempotent. */
export type Unsubscribe = () => void;

/**
 * Typed events. `Events` maps an event's name to its one argument. A listener that throws is logged and
 * harms neither the emitter nor the other listeners.
 */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): Unsubscribe {
    let listeners = this.#listeners.get(name);
    if (listeners === undefined) this.#listeners.set(name, listeners = new Set());
    listeners.add(listener as (event: never) => void);
    return () => void listeners.delete(listener as (event: never) => void);
  }

  /** Whether anybody listens. */
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): boolean {
    const listeners = this.#listeners.get(name) as Set<(event: Events[Name]) => unknown> | undefined;
    if (listeners === undefined || listeners.size === 0) return false;
    for (const listener of [...listeners]) {
      try {
        const returned = listener(event);
        if (returned instanceof Promise) returned.catch((thrown) => this.#report(name, thrown));
      } catch (thrown) {
        this.#report(name, thrown);
      }
    }
    return true;
  }

  #report(name: keyof Events, thrown: unknown): void {
    this.#logger.error("an event listener threw", { event: String(name), reason: reasonOf(thrown) });
  }
}
