import type { Timer } from "../lib/clock.ts";
import { CLOSE } from "../lib/close_codes.ts";
import { type ErrorCode, FlotillaError, reasonOf } from "../lib/errors.ts";
import { Emitter, type Unsubscribe } from "../lib/events.ts";
import { afterClose } from "./after_close.ts";
import type { ClientClose, ClientEvents, ClientSettings, FlotillaClient } from "./contract.ts";
import type { Dialler } from "./dialler.ts";
import { isOnline, onNetworkChange } from "./network.ts";
import type { Session } from "./session.ts";
import { WaitingRoom } from "./waiting_room.ts";

/** What comes right behind the hello waits so long, in milliseconds, for the application to subscribe. */
const SUBSCRIBE_MS = 1;
/** A connection that has held so long is no sign of trouble when it ends. */
const STABLE_MS = 5_000;
/** Errors of an attempt after which another one would fail alike. */
const FINAL: ReadonlySet<ErrorCode> = new Set(["unauthorized", "unsupported", "malformed", "invalid-option"]);

/** What the application holds: the session that there is, those that come after it, and their events. */
export class Client implements FlotillaClient {
  readonly closed: Promise<ClientClose>;
  readonly #dialler: Dialler;
  readonly #settings: ClientSettings;
  readonly #events: Emitter<ClientEvents>;
  readonly #waiting: WaitingRoom;
  readonly #unsubscribe: Unsubscribe;
  /** The latest; undefined while there is none. */
  #session: Session | undefined;
  #connectionId: string;
  #nodeId: string;
  #openedAt = 0;
  /** Attempts since a session was stable. */
  #attempts = 0;
  /** What the pause before the next attempt waits for. */
  #pause: Timer | undefined;
  #attempt: AbortController | undefined;
  #ended = false;
  #resolve: (close: ClientClose) => void = () => {};

  constructor(session: Session, dialler: Dialler, settings: ClientSettings) {
    this.#session = session;
    this.#connectionId = session.connectionId;
    this.#nodeId = session.nodeId;
    this.#dialler = dialler;
    this.#settings = settings;
    this.#events = new Emitter(settings.logger);
    this.#waiting = new WaitingRoom(settings.queueBytesMax);
    this.#unsubscribe = onNetworkChange(() => this.#networkChanged());
    this.closed = new Promise((resolve) => void (this.#resolve = resolve));
    // A turn of its own: between the hello and the caller of `connect` there may be many microtasks, and some
    // runtimes hand over several messages in one turn.
    settings.clock.timer(SUBSCRIBE_MS, () => this.#start(session));
    this.#openedAt = settings.clock.now();
  }

  get connectionId(): string {
    return this.#connectionId;
  }

  get nodeId(): string {
    return this.#nodeId;
  }

  get connected(): boolean {
    return this.#session !== undefined;
  }

  get bufferedBytes(): number {
    return this.#waiting.bytes + (this.#session?.bufferedBytes ?? 0);
  }

  get openStreams(): number {
    return this.#session?.openStreams ?? 0;
  }

  send(data: string | Uint8Array): boolean {
    if (this.#ended) return false;
    if (this.#session?.send(data) === true) return true;
    return this.#settings.reconnect && this.#waiting.add(data);
  }

  on<Name extends keyof ClientEvents>(
    name: Name,
    listener: (event: ClientEvents[Name]) => void,
  ): Unsubscribe {
    return this.#events.on(name, listener);
  }

  close(code: number = CLOSE.normal, reason = ""): void {
    if (this.#ended) return;
    // Without a session nobody else would say that it has ended.
    if (this.#session === undefined) this.#end({ code, reason });
    else this.#session.close(code, reason);
    this.#stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed;
  }

  // --- Sessions ---

  #start(session: Session): void {
    session.start({
      message: (data) => void this.#events.emit("message", data),
      stream: (stream) => this.#events.emit("stream", stream),
      ended: (close) => this.#lost(session, close),
    });
  }

  #adopt(session: Session): void {
    this.#session = session;
    this.#connectionId = session.connectionId;
    this.#nodeId = session.nodeId;
    this.#openedAt = this.#settings.clock.now();
    // Before anything that a listener may send.
    this.#waiting.empty((data) => session.send(data));
    this.#events.emit("reconnect", { connectionId: session.connectionId, nodeId: session.nodeId });
    this.#start(session);
  }

  #lost(session: Session, close: ClientClose): void {
    this.#session = undefined;
    const next = session.left || !this.#settings.reconnect
      ? { kind: "end" as const }
      : afterClose(close, session.url);
    if (next.kind === "end" || this.#ended) return this.#end(close);
    if (this.#settings.clock.now() - this.#openedAt >= STABLE_MS) {
      this.#attempts = 0;
      this.#dialler.stable();
    }
    this.#events.emit("disconnect", close);
    const isSent = next.kind === "redirect" && this.#dialler.redirect(next.url);
    this.#tryLater(isSent ? 0 : this.#delayMs());
  }

  /** Full jitter: as many clients that lost one node at once must not come back at once. */
  #delayMs(): number {
    const { reconnectDelayMs, reconnectDelayMsMax, random } = this.#settings;
    return random.float() * Math.min(reconnectDelayMsMax, reconnectDelayMs * 2 ** this.#attempts);
  }

  #tryLater(delayMs: number): void {
    if (this.#ended) return;
    const attempt = ++this.#attempts;
    this.#events.emit("reconnecting", { attempt, delayMs });
    this.#pause = this.#settings.clock.timer(Math.ceil(delayMs), () => {
      this.#pause = undefined;
      if (isOnline()) void this.#try();
    });
  }

  async #try(): Promise<void> {
    const attempt = this.#attempt = new AbortController();
    try {
      const session = await this.#dialler.dial(attempt.signal);
      if (this.#ended) return session.close(CLOSE.normal, "");
      this.#adopt(session);
    } catch (thrown) {
      if (this.#ended) return;
      const code = thrown instanceof FlotillaError ? thrown.code : "node-lost";
      if (FINAL.has(code)) return this.#end({ code: CLOSE.unauthorized, reason: reasonOf(thrown) });
      this.#tryLater(this.#delayMs());
    } finally {
      if (this.#attempt === attempt) this.#attempt = undefined;
    }
  }

  /** Offline, a socket would only notice much later; online again, nobody need wait any longer. */
  #networkChanged(): void {
    if (this.#ended) return;
    if (!isOnline()) return this.#session?.drop("this machine is offline");
    if (this.#session !== undefined || this.#attempt !== undefined) return;
    this.#stopPause();
    void this.#try();
  }

  // --- The end ---

  #stop(): void {
    this.#ended = true;
    this.#unsubscribe();
    this.#stopPause();
    this.#attempt?.abort();
    this.#waiting.clear();
  }

  #stopPause(): void {
    this.#pause?.cancel();
    this.#pause = undefined;
  }

  #end(close: ClientClose): void {
    this.#stop();
    this.#resolve(close);
    this.#events.emit("close", close);
  }
}
