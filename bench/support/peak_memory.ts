/** How much a process grows while it works: pages of memory as the system counts them, looked at again and again. */
import process from "node:process";
import { liveMemory } from "./live_memory.ts";

const LOOK_MS = 5;

export class PeakMemory {
  #baseline = 0;
  #peak = 0;
  #looking: ReturnType<typeof setInterval> | undefined;

  /** Collects, takes what there is as the baseline, and begins to look. */
  async begin(): Promise<void> {
    clearInterval(this.#looking);
    this.#baseline = this.#peak = (await liveMemory()).residentBytes;
    this.#looking = setInterval(() => this.#look(), LOOK_MS);
  }

  /** The largest growth since `begin`, bytes. */
  end(): number {
    clearInterval(this.#looking);
    this.#look();
    return this.#peak - this.#baseline;
  }

  #look(): void {
    this.#peak = Math.max(this.#peak, process.memoryUsage().rss);
  }
}
