/** What all simulations of several nodes share: virtual time, a hub for their packets, and seeds. */
import { seededRandom } from "../../src/lib/random.ts";
import { MemoryHub, type MemoryHubOptions } from "../../transports/memory.ts";
import { pendingCrypto } from "./pending_crypto.ts";
import { SimClock } from "./sim_clock.ts";

export class SimBase {
  readonly clock: SimClock = new SimClock({ pending: pendingCrypto });
  readonly hub: MemoryHub;
  #seed: number;

  constructor(seed: number, hubOptions: Omit<MemoryHubOptions, "clock" | "random"> = {}) {
    this.#seed = seed;
    this.hub = new MemoryHub({ clock: this.clock, random: seededRandom(seed), ...hubOptions });
  }

  nextSeed(): number {
    return ++this.#seed;
  }

  /** Lets time pass until `promise` has settled, at most `limitMs`. */
  async settle<Value>(promise: Promise<Value>, limitMs = 60_000): Promise<Value> {
    let settled = false;
    const watched = promise.finally(() => void (settled = true));
    watched.catch(() => {});
    await this.clock.runUntil(() => settled, limitMs);
    return await watched;
  }
}
