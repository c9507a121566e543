/** Writes down what clients call and what they are told. */
import type { Clock } from "../../../src/lib/clock.ts";
import { FlotillaError } from "../../../src/lib/errors.ts";
import type { Answer, Call, Operation } from "./operation.ts";

/** What a failed call means for its write. */
export type Fate = "unknown" | "refused";
/** Undefined: no such error should ever come; whoever gets it must fail. */
export type FateOf = (thrown: unknown) => Fate | undefined;

/** After these a write may have been applied, or may be yet. */
const UNKNOWN_CODES: readonly string[] = ["timeout", "node-lost", "aborted"];

export function leavesUnknown(code: string): boolean {
  return UNKNOWN_CODES.includes(code);
}

/** `isRefused`: the codes after which a write has not been applied and never will be. */
export function fateByCode(isRefused: (code: string) => boolean): FateOf {
  return (thrown) => {
    if (!(thrown instanceof FlotillaError)) return undefined;
    if (leavesUnknown(thrown.code)) return "unknown";
    return isRefused(thrown.code) ? "refused" : undefined;
  };
}

/** Above the resolution of a clock in ms that has run for days, below what any operation takes. */
const TICK_MS = 1e-5;

export class History {
  readonly #clock: Pick<Clock, "now">;
  readonly #fateOf: FateOf;
  readonly #ended: Operation[] = [];
  readonly #open = new Set<Operation>();
  #last = -Infinity;
  #writes = 0;

  constructor(clock: Pick<Clock, "now">, fateOf: FateOf) {
    this.#clock = clock;
    this.#fateOf = fateOf;
  }

  /** How many writes have been acknowledged. */
  get writes(): number {
    return this.#writes;
  }

  /** Everything so far; the outcome of what has not ended is unknown. */
  operations(): Operation[] {
    return [...this.#ended, ...this.#open];
  }

  /**
   * Does `act` and writes down how it ends. Undefined: unknown. Rejects with an error that is none of the expected
   * ones; that operation is unknown, too.
   */
  async record(
    client: number,
    key: string,
    call: Call,
    act: () => Promise<Answer>,
  ): Promise<Answer | undefined> {
    const unknown = { returnedAt: undefined, answer: undefined };
    const operation: Operation = { client, key, call, calledAt: this.#tick(), ...unknown };
    this.#open.add(operation);
    const end = (answer: Answer | undefined): Answer | undefined => {
      this.#open.delete(operation);
      const returnedAt = answer === undefined ? undefined : this.#tick();
      this.#ended.push({ ...operation, returnedAt, answer });
      return answer;
    };
    try {
      const answer = end(await act());
      if (answer?.kind === "done") this.#writes++;
      return answer;
    } catch (thrown) {
      const fate = this.#fateOf(thrown);
      end(fate === "refused" ? { kind: "refused" } : undefined);
      if (fate === undefined) throw thrown;
      return fate === "refused" ? { kind: "refused" } : undefined;
    }
  }

  /** Now, but never the same instant twice: calls and returns of one process have an order, whatever its clock shows. */
  #tick(): number {
    this.#last = Math.max(this.#clock.now(), this.#last + TICK_MS);
    return this.#last;
  }
}
