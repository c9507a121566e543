import type { Clock } from "../lib/clock.ts";
import { type Deadline, Deadlines } from "../lib/deadlines.ts";
import { type ErrorCode, FlotillaError } from "../lib/errors.ts";
import { CONTROL, type Session } from "../link/contract.ts";
import { CLOSE_REQUESTS_MAX, ROUTER_PORT } from "./contract.ts";
import { encodeClose, RUN, type Run } from "./frames.ts";

interface Request {
  readonly session: Session;
  readonly number: number;
  readonly resolve: (closing: boolean) => void;
  readonly reject: (error: FlotillaError) => void;
  deadline: Deadline<Request> | undefined;
}

/** Requests to owners to close a connection, on the CONTROL lane: they overtake messages. */
export class CloseRequests {
  readonly #clock: Pick<Clock, "now">;
  readonly #deadlines: Deadlines<Request>;
  readonly #requests = new Map<Session, Map<number, Request>>();
  /** Of all sessions together. */
  #next = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock, (request) => {
      this.#take(request.session, request.number);
      request.reject(failure("timeout", request.session, "no answer in time"));
    });
  }

  /** Requests without an answer. */
  get size(): number {
    return this.#deadlines.size;
  }

  /**
   * True: the owner closes the socket. False: it does not have the connection.
   * Rejects `timeout`, `node-lost`, or `backpressure` above CLOSE_REQUESTS_MAX.
   */
  ask(session: Session, handle: number, code: number, reason: string, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const requests = this.#requests.get(session) ?? new Map<number, Request>();
      if (requests.size >= CLOSE_REQUESTS_MAX) {
        return reject(failure("backpressure", session, `${requests.size} requests are under way`));
      }
      const number = this.#next++;
      if (session.send(CONTROL, ROUTER_PORT, encodeClose({ number, handle, code, reason })) !== "sent") {
        return reject(failure("node-lost", session, "its session has ended"));
      }
      const request: Request = { session, number, resolve, reject, deadline: undefined };
      request.deadline = this.#deadlines.add(request, this.#clock.now() + timeoutMs);
      this.#requests.set(session, requests.set(number, request));
    });
  }

  /** Numbers that no request has, or has any more, are passed over. */
  answered(session: Session, run: Run): void {
    const requests = this.#requests.get(session);
    if (requests === undefined) return;
    for (const number of [...requests.keys()]) {
      if (number >= run.first && number < run.first + run.count) {
        this.#take(session, number)?.resolve(run.code === RUN.closing);
      }
    }
  }

  /** The session has ended. */
  end(session: Session): void {
    for (const number of this.#requests.get(session)?.keys() ?? []) {
      this.#take(session, number)?.reject(failure("node-lost", session, "its session has ended"));
    }
  }

  stop(): void {
    for (const session of [...this.#requests.keys()]) this.end(session);
    this.#deadlines.stop();
  }

  #take(session: Session, number: number): Request | undefined {
    const requests = this.#requests.get(session);
    const request = requests?.get(number);
    if (requests === undefined || request === undefined) return undefined;
    requests.delete(number);
    if (requests.size === 0) this.#requests.delete(session);
    if (request.deadline !== undefined) this.#deadlines.cancel(request.deadline);
    return request;
  }
}

function failure(code: ErrorCode, session: Session, why: string): FlotillaError {
  return new FlotillaError(code, `close a connection of node ${session.nodeId}: ${why}`);
}
