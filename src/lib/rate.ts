/** Milliseconds over which the rate is taken. */
const SPAN_MS = 1_000;
/** Between two marks. */
const STEP_MS = 100;

interface Mark {
  readonly at: number;
  /** All bytes up to then. */
  readonly bytes: number;
}

/** Bytes and how many a second, over about the last second; since the start while it is younger. */
export class Rate {
  #bytes = 0;
  /** Oldest first; some eleven of the last second. */
  readonly #marks: Mark[];

  constructor(now: number) {
    this.#marks = [{ at: now, bytes: 0 }];
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(bytes: number, now: number): void {
    this.#bytes += bytes;
    const latest = this.#marks.at(-1) as Mark;
    if (now - latest.at < STEP_MS) return;
    this.#marks.push({ at: now, bytes: this.#bytes });
    this.#forget(now);
  }

  perSecond(now: number): number {
    this.#forget(now);
    const { at, bytes } = this.#marks[0] as Mark;
    return now > at ? ((this.#bytes - bytes) * 1_000) / (now - at) : 0;
  }

  /** Keeps the latest mark that is a whole span old, to measure from. */
  #forget(now: number): void {
    while (this.#marks.length > 1 && (this.#marks[1] as Mark).at <= now - SPAN_MS) this.#marks.shift();
  }
}
