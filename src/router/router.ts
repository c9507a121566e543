import { utf8Length } from "../connection/utf8_length.ts";
import type { Bytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { CLOSE_REASON_BYTES_MAX } from "../lib/limits.ts";
import {
  CONTROL,
  type Lane,
  type Links,
  type LinkService,
  MESSAGES,
  type Session,
} from "../link/contract.ts";
import { CloseRequests } from "./close_requests.ts";
import {
  type DeliverOptions,
  MESSAGE_ID_BYTES_MAX,
  type RouteDirectory,
  ROUTER_DEFAULTS,
  ROUTER_PORT,
  type RouterOptions,
  TIMEOUT_MS_MAX,
} from "./contract.ts";
import { Delivery, type Message } from "./delivery.ts";
import { Dispatcher, type InFlight } from "./dispatcher.ts";
import {
  asText,
  type CloseRequest,
  decodeControl,
  decodeMessage,
  isCloseCode,
  RUN,
  type Run,
} from "./frames.ts";
import { arrived, type Outcome, OUTCOMES } from "./outcome.ts";
import { Owner, type Sockets } from "./owner.ts";
import type { Peer } from "./peer.ts";

export interface RouterContext {
  readonly links: Pick<Links, "register">;
  /**
   * Must be registered with the links before the router, so that look-ups are right when it hears of a
   * session.
   */
  readonly directory: RouteDirectory;
  /** The outboxes of this node's own connections. */
  readonly sockets: Sockets;
  readonly clock: Clock;
  readonly options?: Partial<RouterOptions>;
}

/** Where the codes of the outcomes on the wire come from. */
const CODES: ReadonlyMap<string, number> = new Map(
  [...OUTCOMES.entries()].map(([code, outcome]) => [outcome, code]),
);

/**
 * Brings messages to connections, on whichever node they are. Outcomes are honest: `delivered` only when the
 * owner's outbox saw the bytes leave for its kernel; `node-lost` and `timeout` mean unknown.
 *
 * Messages from this node to one connection arrive in the order of the calls. Data must not be changed before
 * the promise has resolved.
 */
export class ClusterRouter implements LinkService {
  readonly #directory: RouteDirectory;
  readonly #clock: Clock;
  readonly #options: RouterOptions;
  readonly #owner: Owner;
  readonly #dispatcher: Dispatcher;
  readonly #closes: CloseRequests;
  #stopped = false;

  /** Registers itself with the links, so only before they start. */
  constructor(context: RouterContext) {
    this.#directory = context.directory;
    this.#clock = context.clock;
    this.#options = { ...ROUTER_DEFAULTS, ...context.options };
    this.#owner = new Owner(context.directory, context.sockets, context.clock, this.#options);
    this.#dispatcher = new Dispatcher(context.directory, this.#owner, context.clock, this.#options);
    this.#closes = new CloseRequests(context.clock);
    context.links.register(ROUTER_PORT, this);
  }

  // --- Calls ---

  /**
   * Sends one message to each of the connections, once to each however often it is named, and resolves with
   * what became of them, in the order in which they were first named. Rejects `invalid-option` for an option,
   * or bytes that are to be text and are not UTF-8, and `not-running`.
   */
  deliver(
    connectionIds: readonly string[],
    data: string | Uint8Array,
    options: DeliverOptions = {},
  ): Promise<Map<string, Outcome>> {
    return new Promise((resolve) => {
      const delivery = this.#delivery(data, options);
      for (const connectionId of new Set(connectionIds)) delivery.add(connectionId);
      this.#launch(delivery, options.signal, () => resolve(delivery.outcomes()));
    });
  }

  /** True: it arrived. False: it did not, or that is unknown; `deliver` says which. */
  routeMessage(
    connectionId: string,
    data: string | Uint8Array,
    options: DeliverOptions = {},
  ): Promise<boolean> {
    return new Promise((resolve) => {
      const delivery = this.#delivery(data, options);
      const call = delivery.add(connectionId);
      this.#launch(
        delivery,
        options.signal,
        () => resolve(call.outcome !== undefined && arrived(call.outcome)),
      );
    });
  }

  async routeMessages(
    connectionIds: readonly string[],
    data: string | Uint8Array,
    options: DeliverOptions = {},
  ): Promise<Map<string, boolean>> {
    const outcomes = await this.deliver(connectionIds, data, options);
    return new Map([...outcomes].map(([connectionId, outcome]) => [connectionId, arrived(outcome)]));
  }

  routeText(connectionId: string, text: string, options: DeliverOptions = {}): Promise<boolean> {
    return this.routeMessage(connectionId, text, { ...options, messageType: "text" });
  }

  routeTexts(
    connectionIds: readonly string[],
    text: string,
    options: DeliverOptions = {},
  ): Promise<Map<string, boolean>> {
    return this.routeMessages(connectionIds, text, { ...options, messageType: "text" });
  }

  /** `value` as JSON text. Rejects `invalid-option` for what JSON cannot express. */
  async routeJson(connectionId: string, value: unknown, options: DeliverOptions = {}): Promise<boolean> {
    return await this.routeText(connectionId, jsonOf(value), options);
  }

  async routeJsons(
    connectionIds: readonly string[],
    value: unknown,
    options: DeliverOptions = {},
  ): Promise<Map<string, boolean>> {
    return await this.routeTexts(connectionIds, jsonOf(value), options);
  }

  /**
   * Closes the connection wherever it is; what its outbox holds still goes out. It overtakes messages on the
   * way. False when nobody has it. Rejects `invalid-option`, `node-lost`, `timeout`, `backpressure`,
   * `not-running`.
   */
  async closeConnection(
    connectionId: string,
    code: number,
    reason: string,
    timeoutMs?: number,
  ): Promise<boolean> {
    this.#checkRunning("close a connection");
    if (!isCloseCode(code)) {
      throw new FlotillaError("invalid-option", `close a connection: ${code} is no code for that`);
    }
    if (utf8Length(reason) > CLOSE_REASON_BYTES_MAX) {
      const limit = `above ${CLOSE_REASON_BYTES_MAX} bytes`;
      throw new FlotillaError(
        "invalid-option",
        `close a connection: the reason ${shown(reason)} is ${limit}`,
      );
    }
    const expiresAt = this.#clock.now() + this.#timeout(timeoutMs);
    let asked: { peer: Peer; handle: number } | undefined;
    for (;;) {
      const route = this.#directory.lookup(connectionId) ?? await this.#directory.resolve(connectionId);
      if (route === undefined) return false;
      if (route.local) return this.#close(route.handle, code, reason);
      const peer = this.#dispatcher.peerOf(route.nodeId);
      if (peer === undefined) {
        throw new FlotillaError(
          "node-lost",
          `close connection ${shown(connectionId)}: no session with ${route.nodeId}`,
        );
      }
      if (peer === asked?.peer && route.handle === asked.handle) return false;
      asked = { peer, handle: route.handle };
      const remainingMs = Math.max(expiresAt - this.#clock.now(), 0);
      if (await this.#closes.ask(peer.session, route.handle, code, reason, remainingMs)) return true;
    }
  }

  /** Deliveries by outcome so far, counted at the caller. */
  get routed(): Readonly<Record<Outcome, number>> {
    return this.#dispatcher.routed;
  }

  get inFlight(): InFlight {
    return this.#dispatcher.inFlight;
  }

  /** Ends all waits (`node-lost`) and timers; later calls reject `not-running`. Idempotent. */
  stop(): void {
    this.#stopped = true;
    this.#dispatcher.stop();
    this.#closes.stop();
  }

  // --- LinkService ---

  up(session: Session): void {
    this.#dispatcher.up(session);
  }

  /** Throws `malformed`, before anything of the frame took effect. */
  frame(session: Session, lane: Lane, payload: Bytes): void {
    const peer = this.#dispatcher.peer(session);
    if (peer === undefined || this.#stopped) return;
    if (lane === MESSAGES) return this.#messageFrom(peer, payload);
    if (lane !== CONTROL) {
      throw new FlotillaError("malformed", `read a frame: nothing travels on lane ${lane}`);
    }
    const control = decodeControl(payload);
    if (control.kind === "answers") this.#answersFrom(peer, control.runs);
    else this.#closeFrom(peer, control.request);
  }

  writable(session: Session, lane: Lane): void {
    if (lane === MESSAGES) this.#dispatcher.peer(session)?.writable();
  }

  down(session: Session): void {
    const peer = this.#dispatcher.peer(session);
    if (peer === undefined) return;
    this.#dispatcher.down(peer);
    this.#owner.forget(peer.answers);
    this.#closes.end(session);
  }

  // --- The owner's side ---

  #messageFrom(peer: Peer, payload: Bytes): void {
    const frame = decodeMessage(payload);
    const message: Message = {
      data: frame.text ? asText(frame.payload, "a text message") : frame.payload,
      bytes: frame.payload.byteLength,
      messageId: frame.messageId,
      // Counted from here: what the frame spent on its way is not known, so nothing is given up too early.
      remainingMs: frame.remainingMs,
    };
    const { answers } = peer;
    let number = frame.first;
    for (const { handle, starts } of frame.targets) {
      const own = number++;
      this.#owner.accept(handle, message, starts, answers, (answer) => {
        answers.push(answer === "held" ? RUN.held : CODES.get(answer) as number, own);
      });
    }
  }

  #closeFrom(peer: Peer, request: CloseRequest): void {
    const closing = this.#close(request.handle, request.code, request.reason);
    peer.answers.push(closing ? RUN.closing : RUN.notClosing, request.number);
  }

  #close(handle: number, code: number, reason: string): boolean {
    const outbox = this.#owner.outbox(handle);
    outbox?.close(code, reason);
    return outbox !== undefined;
  }

  // --- The caller's side ---

  #answersFrom(peer: Peer, runs: readonly Run[]): void {
    for (const run of runs) if (run.code <= RUN.held) peer.checkRun(run);
    for (const run of runs) {
      if (run.code === RUN.closing || run.code === RUN.notClosing) this.#closes.answered(peer.session, run);
      else this.#dispatcher.answered(peer, run);
    }
  }

  #delivery(data: string | Uint8Array, options: DeliverOptions): Delivery {
    this.#checkRunning("deliver a message");
    const { messageId, messageType, timeoutMs } = options;
    if (messageId !== undefined && (messageId === "" || utf8Length(messageId) > MESSAGE_ID_BYTES_MAX)) {
      const limit = `not 1 to ${MESSAGE_ID_BYTES_MAX} bytes long`;
      throw new FlotillaError(
        "invalid-option",
        `deliver a message: the messageId ${shown(messageId)} is ${limit}`,
      );
    }
    return new Delivery(data, messageType, messageId, this.#clock.now(), this.#timeout(timeoutMs));
  }

  #launch(delivery: Delivery, signal: AbortSignal | undefined, finished: () => void): void {
    if (delivery.open === 0) return finished();
    delivery.finished = finished;
    const tooLarge = this.#isTooLarge(delivery);
    if (tooLarge || signal?.aborted === true) {
      return this.#dispatcher.refuse(delivery, tooLarge ? "too-large" : "timeout");
    }
    if (signal !== undefined) {
      const abort = (): void => this.#dispatcher.abort(delivery);
      signal.addEventListener("abort", abort, { once: true });
      delivery.finished = () => {
        signal.removeEventListener("abort", abort);
        finished();
      };
    }
    this.#dispatcher.launch(delivery);
  }

  #isTooLarge(delivery: Delivery): boolean {
    const { messageBytesMax } = this.#options;
    // A unit of UTF-16 is at most three bytes of UTF-8: most texts need no measuring.
    return delivery.data.length * 3 > messageBytesMax && delivery.bytes > messageBytesMax;
  }

  #timeout(timeoutMs: number = this.#options.deliveryTimeoutMs): number {
    if (timeoutMs > 0 && timeoutMs <= TIMEOUT_MS_MAX) return timeoutMs;
    const range = `not above 0 and at most ${TIMEOUT_MS_MAX}`;
    throw new FlotillaError("invalid-option", `set a deadline: timeoutMs ${timeoutMs} is ${range}`);
  }

  #checkRunning(action: string): void {
    if (this.#stopped) throw new FlotillaError("not-running", `${action}: the router has stopped`);
  }
}

function jsonOf(value: unknown): string {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) {
    throw new FlotillaError("invalid-option", `send ${typeof value} as JSON: it has no JSON form`);
  }
  return text;
}
