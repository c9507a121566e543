/** The atomic map behind a network that delays, loses and refuses, on any clock: something for clients to try. */
import { type Clock, sleep } from "../../../src/lib/clock.ts";
import { FlotillaError } from "../../../src/lib/errors.ts";
import type { Random } from "../../../src/lib/random.ts";
import { AtomicMap, type Versioned } from "./atomic_map.ts";
import type { KeyValue } from "./clients.ts";
import type { Answer, Call } from "./operation.ts";

export interface Faults {
  /** Each way takes up to this. */
  readonly delayMs: number;
  /** Shares of the calls, 0 to 1. */
  readonly lost: number;
  readonly refused: number;
  /** Reads are answered as of so long ago; 0: as they should be. */
  readonly staleMs: number;
  /** Every so many writes one is applied again later; 0: none. */
  readonly repeatsEvery: number;
}

export const NO_FAULTS: Faults = { delayMs: 10, lost: 0, refused: 0, staleMs: 0, repeatsEvery: 0 };

export class RemoteMap implements KeyValue {
  readonly #map = new AtomicMap();
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #faults: Faults;
  /** What each key was, and until when. */
  readonly #past: { readonly key: string; readonly until: number; readonly was: Versioned | undefined }[] =
    [];
  #writes = 0;

  constructor(clock: Clock, random: Random, faults: Faults) {
    this.#clock = clock;
    this.#random = random;
    this.#faults = faults;
  }

  async get(key: string): Promise<Versioned | undefined> {
    const answer = await this.#call(key, { kind: "get" });
    if (answer.kind !== "found") return undefined;
    return { value: answer.value, revision: answer.revision ?? 0 };
  }

  async set(key: string, value: string): Promise<number> {
    return revisionOf(await this.#call(key, { kind: "set", value }));
  }

  async delete(key: string): Promise<number | undefined> {
    const answer = await this.#call(key, { kind: "delete" });
    return answer.kind === "done" ? answer.revision : undefined;
  }

  async compareAndSet(
    key: string,
    expected: number,
    value: string,
  ): Promise<{ done: boolean; revision: number }> {
    const answer = await this.#call(key, { kind: "compare-and-set", expected, value });
    return { done: answer.kind === "done", revision: revisionOf(answer) };
  }

  async #call(key: string, call: Call): Promise<Answer> {
    const { delayMs, lost, refused } = this.#faults;
    const fate = this.#random.float(), delays = [this.#random.float(), this.#random.float()];
    await sleep(this.#clock, delayMs * (delays[0] ?? 0));
    if (fate < refused) throw new FlotillaError("backpressure", `${call.kind} ${key}: refused`);
    if (fate < refused + lost) {
      // On the way there, on the way back, or stuck for long.
      const how = this.#random.float();
      if (how < 0.3) this.#apply(key, call);
      else if (how < 0.6) void this.#clock.timer(delayMs * 50, () => void this.#apply(key, call));
      await sleep(this.#clock, delayMs * 5);
      throw new FlotillaError("timeout", `${call.kind} ${key}: no answer`);
    }
    const answer = this.#apply(key, call);
    await sleep(this.#clock, delayMs * (delays[1] ?? 0));
    return answer;
  }

  #apply(key: string, call: Call): Answer {
    const { staleMs, repeatsEvery, delayMs } = this.#faults;
    const now = this.#clock.now();
    const was = this.#map.get(key);
    if (call.kind === "get") {
      const past = this.#past.find((each) => each.key === key && each.until > now - staleMs);
      const seen = staleMs === 0 || past === undefined ? was : past.was;
      return seen === undefined ? { kind: "not-found" } : { kind: "found", ...seen };
    }
    const answer = this.#map.apply(key, call);
    if (answer.kind !== "done") return answer;
    this.#past.push({ key, until: now, was });
    this.#writes++;
    if (repeatsEvery > 0 && this.#writes % repeatsEvery === 0 && call.kind === "set") {
      this.#clock.timer(delayMs * 5, () => void this.#map.apply(key, call));
    }
    return answer;
  }
}

function revisionOf(answer: Answer): number {
  return "revision" in answer ? answer.revision ?? 0 : 0;
}
