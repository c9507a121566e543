import type { Clock } from "../lib/clock.ts";
import { Deadlines } from "../lib/deadlines.ts";
import type { Call, Delivery } from "./delivery.ts";
import { type Outcome, OUTCOMES } from "./outcome.ts";

/** Every delivery that is under way: its deadline, the outcomes of its calls, and its end. */
export class Deliveries {
  /** Outcomes given so far. */
  readonly routed: Record<Outcome, number>;
  readonly #deadlines: Deadlines<Delivery>;

  /** `expire` must settle every call of the delivery that is still open. */
  constructor(clock: Clock, expire: (delivery: Delivery) => void) {
    this.#deadlines = new Deadlines(clock, expire);
    this.routed = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0])) as Record<Outcome, number>;
  }

  /** From now on its deadline counts. */
  track(delivery: Delivery): void {
    if (delivery.open > 0) delivery.deadline = this.#deadlines.add(delivery, delivery.expiresAt);
  }

  /** The call's only outcome; the last one ends its delivery. */
  settle(call: Call, outcome: Outcome): void {
    const { delivery } = call;
    call.outcome = outcome;
    call.discharge();
    this.routed[outcome]++;
    delivery.open--;
    if (delivery.open > 0) return;
    if (delivery.deadline !== undefined) this.#deadlines.cancel(delivery.deadline);
    delivery.finished?.();
  }

  /** Forgets all deadlines; returns the deliveries that were waiting. */
  stop(): Delivery[] {
    return this.#deadlines.stop();
  }
}
