import type { Bytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { checkObject } from "../lib/option_rules.ts";
import type { Lane, Links, LinkService, Session } from "../link/contract.ts";
import { CONTROL, MESSAGES } from "../link/contract.ts";
import {
  checkClose,
  checkData,
  checkIds,
  checkMessageId,
  checkMessageType,
  checkTimeout,
  jsonOf,
} from "./checks.ts";
import { CloseRequests } from "./close_requests.ts";
import type { DeliverOptions, RouteDirectory, RouterOptions, Sockets } from "./contract.ts";
import { ROUTER_DEFAULTS, ROUTER_PORT } from "./contract.ts";
import { Delivery } from "./delivery.ts";
import { Dispatcher, type InFlight } from "./dispatcher.ts";
import { decodeControl, decodeMessage, RUN, type Run } from "./frames.ts";
import { arrived, type Outcome } from "./outcome.ts";
import { Owner } from "./owner.ts";
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
   * what is neither text nor bytes, or bytes that are to be text and are not UTF-8, and `not-running`.
   */
  deliver(
    connectionIds: readonly string[],
    data: string | Uint8Array,
    options: DeliverOptions = {},
  ): Promise<Map<string, Outcome>> {
    return new Promise((resolve) => {
      checkIds(connectionIds);
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
    timeoutMs: number = this.#options.deliveryTimeoutMs,
  ): Promise<boolean> {
    this.#checkRunning("close a connection");
    checkClose(code, reason);
    checkTimeout(timeoutMs);
    const expiresAt = this.#clock.now() + timeoutMs;
    let asked: { peer: Peer; handle: number } | undefined;
    for (;;) {
      const route = this.#directory.lookup(connectionId) ?? await this.#directory.resolve(connectionId);
      if (route === undefined) return false;
      if (route.local) return this.#owner.close(route.handle, code, reason);
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
    if (lane === MESSAGES) return this.#owner.receive(peer.answers, decodeMessage(payload));
    if (lane !== CONTROL) {
      throw new FlotillaError("malformed", `read a frame: nothing travels on lane ${lane}`);
    }
    const control = decodeControl(payload);
    if (control.kind === "answers") this.#answersFrom(peer, control.runs);
    else this.#owner.receiveClose(peer.answers, control.request);
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
    checkObject(options);
    const { messageId, messageType, timeoutMs = this.#options.deliveryTimeoutMs } = options;
    checkData(data);
    checkMessageType(messageType);
    checkTimeout(timeoutMs);
    if (messageId !== undefined) checkMessageId(messageId);
    return new Delivery(data, messageType, messageId, this.#clock.now(), timeoutMs);
  }

  #launch(delivery: Delivery, signal: AbortSignal | undefined, finished: () => void): void {
    if (delivery.open === 0) return finished();
    delivery.finished = finished;
    const tooLarge = this.#isTooLarge(delivery);
    if (tooLarge || signal?.aborted === true) {
      return this.#dispatcher.end(delivery, tooLarge ? "too-large" : "timeout");
    }
    if (signal !== undefined) {
      const abort = (): void => this.#dispatcher.end(delivery, "timeout");
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

  #checkRunning(action: string): void {
    if (this.#stopped) throw new FlotillaError("not-running", `${action}: the router has stopped`);
  }
}
