/** Virtual time and chance: events in their order, all from one seed. */
import { Heap } from "../../../src/lib/heap.ts";
import { type Random, randomBelow } from "../../../src/lib/random.ts";

interface Event {
  readonly at: number;
  readonly order: number;
  readonly act: () => void;
}

export class Timeline {
  readonly random: Random;
  readonly #queue = new Heap<Event>((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order));
  /** Milliseconds since the start. */
  now = 0;
  /** Events that have happened. */
  steps = 0;
  #order = 0;

  constructor(random: Random) {
    this.random = random;
  }

  after(delayMs: number, act: () => void): void {
    this.#queue.push({ at: this.now + delayMs, order: this.#order++, act });
  }

  /** Runs until `until`, or until `done` says so; false when there was no time left. */
  runUntil(until: number, done: () => boolean = () => false): boolean {
    for (let next = this.#queue.peek(); next !== undefined && next.at <= until; next = this.#queue.peek()) {
      this.#queue.pop();
      this.now = next.at;
      this.steps++;
      next.act();
      if (done()) return true;
    }
    this.now = until;
    return false;
  }

  /** A random time with this mean. */
  exponential(meanMs: number): number {
    return -meanMs * Math.log(1 - this.random.float());
  }

  chance(probability: number): boolean {
    return this.random.float() < probability;
  }

  pick<Item>(items: readonly Item[]): Item | undefined {
    return items[randomBelow(this.random, items.length)];
  }
}
