import { CONTROL, type Session } from "../link/contract.ts";
import { ROUTER_PORT } from "./contract.ts";
import { encodeAnswers, type Run } from "./frames.ts";

/** Runs in one frame: 11 bytes each. */
const RUNS_MAX = 4_096;

/** The owner's side of a session: answers of one turn leave in one frame, consecutive numbers as one run. */
export class Answers {
  readonly #session: Session;
  #runs: Run[] = [];

  constructor(session: Session) {
    this.#session = session;
  }

  /** `code` is an index of OUTCOMES or one of RUN; `number` what it is about. */
  push(code: number, number: number): void {
    const last = this.#runs.at(-1);
    if (last !== undefined && last.code === code && last.first + last.count === number) {
      last.count++;
      return;
    }
    if (this.#runs.length === 0) queueMicrotask(() => this.#flush());
    else if (this.#runs.length === RUNS_MAX) this.#flush();
    this.#runs.push({ code, first: number, count: 1 });
  }

  #flush(): void {
    if (this.#runs.length === 0) return;
    const runs = this.#runs;
    this.#runs = [];
    this.#session.send(CONTROL, ROUTER_PORT, encodeAnswers(runs));
  }
}
