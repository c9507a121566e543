/** What a witness's record needs of Redis, in virtual time, with its faults: lost words, flushes, restarts. */
import { FlotillaError } from "../../src/lib/errors.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { type Random, randomBelow } from "../../src/lib/random.ts";
import type { RaftId } from "../../src/raft/core/types.ts";
import type { Records } from "../../src/raft/records.ts";

const LATENCY_MS_MAX = 4;
const GIVE_UP_MS = 300;

export class SimRedis {
  readonly #clock: Clock;
  readonly #random: Random;
  #values = new Map<string, { readonly run: number; readonly content: string }>();
  #run = 1;
  /** Part of the requests, and of the replies, that are lost. */
  lossProbability = 0;
  /** Nodes that do not reach it. */
  readonly cut: Set<string> = new Set();
  /** Records made, and changes of records, since the start. */
  created = 0;
  changed = 0;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  get size(): number {
    return this.#values.size;
  }

  flush(): void {
    this.#values.clear();
  }

  /** Its last writes are lost with the process, or all of them. */
  restart(before?: ReadonlyMap<string, { readonly run: number; readonly content: string }>): void {
    this.#run++;
    this.#values = new Map(before ?? []);
  }

  /** What a dump would keep. */
  dump(): ReadonlyMap<string, { readonly run: number; readonly content: string }> {
    return new Map(this.#values);
  }

  /** As `nodeId` reaches it. */
  records(nodeId: string): Records {
    let closed = false;
    const call = <Value>(change: () => Value): Promise<Value> =>
      new Promise((resolve, reject) => {
        const lose = (): void =>
          void this.#clock.timer(GIVE_UP_MS, () =>
            reject(new FlotillaError("timeout", "Redis did not answer")));
        const delay = (): number =>
          randomBelow(this.#random, LATENCY_MS_MAX);
        const isLost = (): boolean =>
          closed || this.cut.has(nodeId) || this.#random.float() < this.lossProbability;
        this.#clock.timer(delay(), () => {
          if (isLost()) return lose();
          const value = change();
          this.#clock.timer(delay(), () => isLost() ? lose() : resolve(value));
        });
      });
    const nameOf = (clusterId: string, raftId: RaftId): string => `${clusterId} ${raftId}`;
    const swap = (name: string, expected: string, next: string): string | undefined => {
      const value = this.#values.get(name);
      if (value === undefined || value.run !== this.#run) return undefined;
      if (value.content !== expected) return value.content;
      if (next !== expected) this.changed++;
      this.#values.set(name, { run: this.#run, content: next });
      return next;
    };
    return {
      create: (clusterId, raftId, content) =>
        call(() => {
          const name = nameOf(clusterId, raftId);
          if (this.#values.has(name)) return false;
          this.#values.set(name, { run: this.#run, content });
          this.created++;
          return true;
        }),
      swap: (clusterId, raftId, expected, next) =>
        call(() => swap(nameOf(clusterId, raftId), expected, next)),
      read: (clusterId, raftId) => call(() => swap(nameOf(clusterId, raftId), "", "")),
      remove: (clusterId, raftId) => call(() => void this.#values.delete(nameOf(clusterId, raftId))),
      close: () => void (closed = true),
    };
  }
}
