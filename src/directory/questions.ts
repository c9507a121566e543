/**
 * Asks all peers for a connection that the table does not name: the announcement may be on its way. Each
 * miss is asked once, concurrent ones share the question, and "nobody has it" is remembered for a while.
 *
 * Only the owner says yes, and its answer is taken as an early announcement: on the same ordered lane the
 * real one came before or comes later, so the entry ends up as if it had never been asked for.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import type { Session } from "../link/contract.ts";
import { NOBODY_IDS_MAX, QUESTIONS_MAX } from "./options.ts";
import type { DirectoryOptions } from "./options.ts";

interface Question {
  readonly number: number;
  readonly id: string;
  /** Peers that have not answered. */
  readonly asked: Set<Session>;
  readonly waiters: Set<() => void>;
  readonly timer: Timer;
}

export interface QuestionCounters {
  questionsAsked: number;
  /** Misses answered without asking because `QUESTIONS_MAX` were under way. */
  questionsRefused: number;
}

export class Questions {
  readonly #clock: Clock;
  readonly #options: Pick<DirectoryOptions, "askTimeoutMs" | "nobodyTtlMs">;
  readonly #counters: QuestionCounters;
  readonly #byId = new Map<string, Question>();
  readonly #byNumber = new Map<number, Question>();
  /** Ids that nobody had, and until when that is believed; the oldest first. */
  readonly #nobody = new Map<string, number>();
  #lastNumber = 0;

  constructor(
    clock: Clock,
    options: Pick<DirectoryOptions, "askTimeoutMs" | "nobodyTtlMs">,
    counters: QuestionCounters,
  ) {
    this.#clock = clock;
    this.#options = options;
    this.#counters = counters;
  }

  /**
   * Resolves when the connection is known, or when all peers have said no, are gone, or have had their
   * time, or when `signal` fires. `send` puts the question to one peer.
   */
  ask(
    id: string,
    peers: Iterable<Session>,
    send: (peer: Session, question: number) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    if (signal?.aborted || this.#knownAsNobodys(id)) return Promise.resolve();
    const question = this.#byId.get(id) ?? this.#begin(id, peers, send);
    if (question === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const waiter = (): void => {
        question.waiters.delete(waiter);
        signal?.removeEventListener("abort", waiter);
        resolve();
      };
      question.waiters.add(waiter);
      signal?.addEventListener("abort", waiter);
    });
  }

  /** Whether `peer` was asked this and has not answered. */
  expects(peer: Session, number: number): string | undefined {
    const question = this.#byNumber.get(number);
    return question?.asked.has(peer) ? question.id : undefined;
  }

  /** `peer` does not have it. */
  denied(peer: Session, number: number): void {
    const question = this.#byNumber.get(number);
    if (question !== undefined) this.#without(question, peer);
  }

  /** Nothing is asked, and nothing remembered as nobody's. */
  get idle(): boolean {
    return this.#byId.size === 0 && this.#nobody.size === 0;
  }

  /** Somebody has `id`. */
  known(id: string): void {
    this.#nobody.delete(id);
    const question = this.#byId.get(id);
    if (question !== undefined) this.#end(question);
  }

  /** A new peer may have what nobody had. */
  peerCame(): void {
    this.#nobody.clear();
  }

  peerWent(peer: Session): void {
    for (const question of [...this.#byNumber.values()]) this.#without(question, peer);
  }

  /** Ends every wait. */
  stop(): void {
    for (const question of [...this.#byNumber.values()]) this.#end(question);
    this.#nobody.clear();
  }

  #begin(
    id: string,
    peers: Iterable<Session>,
    send: (peer: Session, question: number) => void,
  ): Question | undefined {
    const asked = new Set(peers);
    if (asked.size === 0) return undefined;
    if (this.#byId.size >= QUESTIONS_MAX) {
      this.#counters.questionsRefused++;
      return undefined;
    }
    const question: Question = {
      number: ++this.#lastNumber,
      id,
      asked,
      waiters: new Set(),
      timer: this.#clock.timer(this.#options.askTimeoutMs, () => this.#concludeNobody(question)),
    };
    this.#byId.set(id, question);
    this.#byNumber.set(question.number, question);
    this.#counters.questionsAsked++;
    for (const peer of asked) send(peer, question.number);
    return question;
  }

  #without(question: Question, peer: Session): void {
    if (question.asked.delete(peer) && question.asked.size === 0) this.#concludeNobody(question);
  }

  #concludeNobody(question: Question): void {
    this.#nobody.delete(question.id);
    this.#nobody.set(question.id, this.#clock.now() + this.#options.nobodyTtlMs);
    if (this.#nobody.size > NOBODY_IDS_MAX) {
      for (const oldest of this.#nobody.keys()) {
        this.#nobody.delete(oldest);
        break;
      }
    }
    this.#end(question);
  }

  #end(question: Question): void {
    question.timer.cancel();
    this.#byId.delete(question.id);
    this.#byNumber.delete(question.number);
    for (const waiter of [...question.waiters]) waiter();
  }

  #knownAsNobodys(id: string): boolean {
    const until = this.#nobody.get(id);
    if (until === undefined) return false;
    if (this.#clock.now() < until) return true;
    this.#nobody.delete(id);
    return false;
  }
}
