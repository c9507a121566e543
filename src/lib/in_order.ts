import { Deque } from "./deque.ts";

/**
 * Lets work that may be asynchronous run side by side while its results are handed on in the order it was begun.
 * Nothing is deferred that need not be: a result that is there at once, with nothing before it, is handed on at once.
 */
export class InOrder<Result> {
  readonly #handOn: (result: Result) => void;
  readonly #waiting = new Deque<{ settled: boolean; result: Result | undefined }>();

  #idle: (() => void)[] = [];

  /** A rejected promise counts as a failure of the caller's: pass work that does not reject. */
  constructor(handOn: (result: Result) => void) {
    this.#handOn = handOn;
  }

  /** Resolves when everything pushed so far has been handed on. */
  idle(): Promise<void> {
    return this.#waiting.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  push(work: Result | Promise<Result>): void {
    if (!(work instanceof Promise)) {
      if (this.#waiting.size === 0) this.#handOn(work);
      else this.#waiting.pushBack({ settled: true, result: work });
      return;
    }
    const place: { settled: boolean; result: Result | undefined } = { settled: false, result: undefined };
    this.#waiting.pushBack(place);
    void work.then((result) => {
      place.settled = true;
      place.result = result;
      while (this.#waiting.front()?.settled === true) {
        this.#handOn((this.#waiting.popFront() as { result: Result }).result);
      }
      if (this.#waiting.size === 0) { for (const resolve of this.#idle.splice(0)) resolve(); }
    });
  }
}
