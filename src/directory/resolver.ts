/**
 * Finds what the table does not say: where an unknown connection is, and what only an owner keeps about its
 * own. Both are asked on the control lane, by numbered questions that a peer answers from its own
 * connections.
 */
import type { Clock } from "../lib/clock.ts";
import { isConnectionId } from "../lib/ids.ts";
import type { Session } from "../link/contract.ts";
import type { Description, Route } from "./contract.ts";
import { DetailRequests } from "./detail_requests.ts";
import type { LocalConnection } from "./local.ts";
import type { DirectoryOptions } from "./options.ts";
import { Questions } from "./questions.ts";
import type { QuestionCounters } from "./questions.ts";
import type { Claim, DirectoryFrame } from "./wire.ts";

export interface ResolverContext {
  readonly clock: Clock;
  readonly options: Pick<DirectoryOptions, "unknownConnection" | "askTimeoutMs" | "nobodyTtlMs">;
  lookup(connectionId: string): Route | undefined;
  localConnection(connectionId: string): LocalConnection | undefined;
  sessions(): Iterable<Session>;
  /** The session with the peer whose claim on `connectionId` counts. */
  sessionOf(connectionId: string): Session | undefined;
  /** Sends the peers what they lack of this node's entries, so that an answer follows what it rests on. */
  announce(): void;
  putRemote(session: Session, claim: Claim): void;
  send(session: Session, frame: DirectoryFrame): void;
}

export class Resolver {
  readonly #context: ResolverContext;
  readonly #questions: Questions;
  readonly #requests: DetailRequests;

  constructor(context: ResolverContext, counters: QuestionCounters) {
    this.#context = context;
    this.#questions = new Questions(context.clock, context.options, counters);
    this.#requests = new DetailRequests(context.clock);
  }

  async resolve(connectionId: string, signal?: AbortSignal): Promise<Route | undefined> {
    const route = this.#context.lookup(connectionId);
    if (route !== undefined || this.#context.options.unknownConnection === "fail") return route;
    if (!isConnectionId(connectionId)) return undefined;
    await this.#questions.ask(connectionId, this.#context.sessions(), (session, question) => {
      this.#context.send(session, { kind: "ask", question, id: connectionId });
    }, signal);
    return this.#context.lookup(connectionId);
  }

  async describe(
    connectionId: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Description | undefined> {
    let denied = 0;
    for (;;) {
      const route = await this.resolve(connectionId, signal);
      // An owner that said no is asked again only about a later registration, so this ends.
      if (route === undefined || route.stamp <= denied) return undefined;
      const { nodeId } = route;
      const own = route.local ? this.#context.localConnection(connectionId) : undefined;
      if (own !== undefined) return { nodeId, details: own.details };
      const session = this.#context.sessionOf(connectionId);
      if (session === undefined) return undefined;
      const details = await this.#requests.ask(
        connectionId,
        session,
        (question) => {
          this.#context.send(session, { kind: "describe", question, id: connectionId });
        },
        timeoutMs,
        signal,
      );
      if (details !== undefined) return { nodeId, details };
      denied = route.stamp;
    }
  }

  /** Answers a peer's question, or takes a peer's answer. */
  apply(session: Session, frame: DirectoryFrame): void {
    if (frame.kind === "ask") {
      this.#context.announce();
      const own = this.#context.localConnection(frame.id) && this.#context.lookup(frame.id);
      const claim = own?.local ? { handle: own.handle, stamp: own.stamp } : undefined;
      this.#context.send(session, { kind: "answer", question: frame.question, claim });
    } else if (frame.kind === "answer") {
      const id = this.#questions.expects(session, frame.question);
      if (id === undefined) return;
      if (frame.claim === undefined) return this.#questions.denied(session, frame.question);
      this.#context.putRemote(session, { id, ...frame.claim });
      this.#questions.known(id);
    } else if (frame.kind === "describe") {
      const details = this.#context.localConnection(frame.id)?.details;
      this.#context.send(session, { kind: "description", question: frame.question, details });
    } else if (frame.kind === "description") {
      this.#requests.answered(session, frame.question, frame.details);
    }
  }

  /** Whether `known` would make any difference, whatever the id. */
  get curious(): boolean {
    return !this.#questions.idle;
  }

  /** Somebody has `id`. */
  known(id: string): void {
    this.#questions.known(id);
  }

  up(): void {
    this.#questions.peerCame();
  }

  down(session: Session): void {
    this.#questions.peerWent(session);
    this.#requests.peerWent(session);
  }

  stop(): void {
    this.#questions.stop();
    this.#requests.stop();
  }
}
