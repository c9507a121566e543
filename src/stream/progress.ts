import type { Clock } from "../lib/clock.ts";
import { Rate } from "../lib/rate.ts";
import type { StreamProgress } from "./contract.ts";

/** How far a stream has come: tells one listener, and any number of readers that each get the latest. */
export class Progress {
  readonly #clock: Pick<Clock, "now">;
  readonly #totalBytes: number | null;
  readonly #listener: ((progress: StreamProgress) => void) | undefined;
  #latest: StreamProgress;
  readonly #rate: Rate;
  #telling = false;
  #over = false;
  #wake: (() => void)[] = [];

  /** `listener` must not throw. */
  constructor(
    clock: Pick<Clock, "now">,
    totalBytes: number | null,
    listener: ((progress: StreamProgress) => void) | undefined,
  ) {
    this.#clock = clock;
    this.#totalBytes = totalBytes;
    this.#listener = listener;
    this.#latest = { bytes: 0, chunks: 0, totalBytes, bytesPerSecond: 0 };
    this.#rate = new Rate(clock.now());
  }

  /** So much has arrived. What comes within one turn is told once. */
  reached(bytes: number, chunks: number): void {
    if (this.#over || (bytes <= this.#latest.bytes && chunks <= this.#latest.chunks)) return;
    const now = this.#clock.now();
    this.#rate.add(bytes - this.#latest.bytes, now);
    const bytesPerSecond = this.#rate.perSecond(now);
    this.#latest = { bytes, chunks, totalBytes: this.#totalBytes, bytesPerSecond };
    if (this.#telling) return;
    this.#telling = true;
    queueMicrotask(() => this.#tell());
  }

  /** Nothing more will come. */
  end(): void {
    this.#tell();
    this.#over = true;
    this.#wakeAll();
  }

  /** Each time the stream has come further, until it is over; what a slow reader missed is left out. */
  async *[Symbol.asyncIterator](): AsyncIterator<StreamProgress> {
    let seen = 0;
    for (;;) {
      if (this.#latest.chunks > seen) {
        seen = this.#latest.chunks;
        yield this.#latest;
      } else if (this.#over) {
        return;
      } else {
        await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
    }
  }

  #tell(): void {
    if (!this.#telling) return;
    this.#telling = false;
    this.#listener?.(this.#latest);
    this.#wakeAll();
  }

  #wakeAll(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}
