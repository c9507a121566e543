import type { Clock } from "../lib/clock.ts";
import { type Deadline, Deadlines } from "../lib/deadlines.ts";

/** Looks within one limit: a standstill is seen at most a quarter of the limit late. */
const LOOKS = 4;

/** Something that must go on. */
export interface Watched {
  readonly limitMs: number;
  /** A number that differs once there was progress; undefined while nothing waits. */
  mark(): number | undefined;
  /** Nothing went on for `limitMs`. Called once; it is not watched any more. */
  stalled(): void;
}

/** One watch over one thing. */
export interface Watch {
  /** Idempotent. */
  stop(): void;
}

interface Entry {
  readonly watched: Watched;
  mark: number | undefined;
  since: number;
  deadline: Deadline<Entry> | undefined;
}

/** Sees standstills without being told of progress: it looks now and then, so that data pays nothing for it. */
export class StallWatch {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines<Entry>;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock, (entry) => this.#look(entry));
  }

  get size(): number {
    return this.#deadlines.size;
  }

  watch(watched: Watched): Watch {
    const entry: Entry = { watched, mark: watched.mark(), since: this.#clock.now(), deadline: undefined };
    this.#lookLater(entry);
    return {
      stop: () => {
        if (entry.deadline !== undefined) this.#deadlines.cancel(entry.deadline);
        entry.deadline = undefined;
      },
    };
  }

  stop(): void {
    this.#deadlines.stop();
  }

  #lookLater(entry: Entry): void {
    entry.deadline = this.#deadlines.add(entry, this.#clock.now() + entry.watched.limitMs / LOOKS);
  }

  #look(entry: Entry): void {
    const mark = entry.watched.mark();
    const now = this.#clock.now();
    entry.deadline = undefined;
    if (mark === undefined || mark !== entry.mark) {
      entry.mark = mark;
      entry.since = now;
    } else if (now - entry.since >= entry.watched.limitMs) {
      return entry.watched.stalled();
    }
    this.#lookLater(entry);
  }
}
