/** Asks one connection's owner for what only it keeps. */
import type { ConnectionDetails } from "../connection/sink.ts";
import type { Clock } from "../lib/clock.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import type { ErrorCode } from "../lib/errors.ts";
import type { Session } from "../link/contract.ts";
import { QUESTIONS_MAX } from "./options.ts";

interface Request {
  readonly owner: Session;
  settle(details: ConnectionDetails | undefined): void;
  fail(code: ErrorCode, problem: string): void;
}

export class DetailRequests {
  readonly #clock: Clock;
  readonly #requests = new Map<number, Request>();
  #lastNumber = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Resolves with the owner's answer; undefined when it no longer has the connection. `send` puts the
   * question. Rejects `timeout`, `node-lost` when the session ends, `aborted` with `signal`, `backpressure`
   * above `QUESTIONS_MAX` requests under way.
   */
  ask(
    connectionId: string,
    owner: Session,
    send: (question: number) => void,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<ConnectionDetails | undefined> {
    return new Promise((resolve, reject) => {
      const number = ++this.#lastNumber;
      const failure = (code: ErrorCode, problem: string): FlotillaError => {
        const action = `ask node ${shown(owner.nodeId)} for connection ${shown(connectionId)}`;
        return new FlotillaError(code, `${action}: ${problem}`);
      };
      if (signal?.aborted) return reject(failure("aborted", "the caller's signal fired"));
      if (this.#requests.size >= QUESTIONS_MAX) {
        return reject(failure("backpressure", `${QUESTIONS_MAX} requests are under way`));
      }
      const aborted = (): void => this.#requests.get(number)?.fail("aborted", "the caller's signal fired");
      const timer = this.#clock.timer(timeoutMs, () => {
        this.#requests.get(number)?.fail("timeout", `no answer within ${timeoutMs} ms`);
      });
      const end = (): void => {
        timer.cancel();
        signal?.removeEventListener("abort", aborted);
        this.#requests.delete(number);
      };
      this.#requests.set(number, {
        owner,
        settle(details) {
          end();
          resolve(details);
        },
        fail(code, problem) {
          end();
          reject(failure(code, problem));
        },
      });
      signal?.addEventListener("abort", aborted);
      send(number);
    });
  }

  answered(owner: Session, number: number, details: ConnectionDetails | undefined): void {
    const request = this.#requests.get(number);
    if (request?.owner === owner) request.settle(details);
  }

  peerWent(peer: Session): void {
    for (const request of [...this.#requests.values()]) {
      if (request.owner === peer) request.fail("node-lost", "the session ended");
    }
  }

  stop(): void {
    for (const request of [...this.#requests.values()]) request.fail("not-running", "this node stops");
  }
}
