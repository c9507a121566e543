import type { Clock } from "../lib/clock.ts";
import type { RouterOptions } from "./contract.ts";
import type { Answer } from "./delivery.ts";
import { arrived, type Outcome } from "./outcome.ts";

/** Retries of one message that may wait for it at once. */
const WAITING_MAX = 64;

interface Memory {
  readonly since: number;
  outcome: Outcome | undefined;
  /** Who else asked while it was in progress. */
  readonly waiting: ((answer: Answer) => void)[];
}

/**
 * What became of messages that their callers named, so that a caller's retry is answered and not delivered
 * again. Only what arrived is remembered; anything else may be tried again.
 */
export class RememberedMessages {
  /** Oldest first. */
  readonly #memories = new Map<string, Memory>();
  readonly #clock: Pick<Clock, "now">;
  readonly #rememberMs: number;
  readonly #sizeMax: number;

  constructor(
    clock: Pick<Clock, "now">,
    options: Pick<RouterOptions, "rememberMs" | "rememberedMessagesMax">,
  ) {
    this.#clock = clock;
    this.#rememberMs = options.rememberMs;
    this.#sizeMax = options.rememberedMessagesMax;
  }

  get size(): number {
    return this.#memories.size;
  }

  /**
   * For a new message: what to call with its answer; `done` and all who ask meanwhile hear it. For a known
   * one: undefined, and `done` hears what became of it, now or when that is known.
   */
  begin(
    connectionId: string,
    messageId: string,
    done: (answer: Answer) => void,
  ): ((answer: Answer) => void) | undefined {
    const key = `${connectionId.length}:${connectionId}${messageId}`;
    this.#forgetOld();
    const known = this.#memories.get(key);
    if (known?.outcome !== undefined) {
      done(known.outcome);
      return undefined;
    }
    if (known !== undefined) {
      if (known.waiting.length < WAITING_MAX) known.waiting.push(done);
      else done("backpressure");
      return undefined;
    }
    const memory: Memory = { since: this.#clock.now(), outcome: undefined, waiting: [done] };
    this.#memories.set(key, memory);
    return (answer) => {
      if (answer !== "held" && arrived(answer)) memory.outcome = answer;
      else if (this.#memories.get(key) === memory) this.#memories.delete(key);
      for (const waiting of memory.waiting.splice(0)) waiting(answer);
    };
  }

  #forgetOld(): void {
    const oldest = this.#clock.now() - this.#rememberMs;
    for (const [key, memory] of this.#memories) {
      if (memory.since > oldest && this.#memories.size < this.#sizeMax) return;
      this.#memories.delete(key);
    }
  }
}
