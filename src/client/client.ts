import { CLOSE } from "../lib/close_codes.ts";
import { Emitter, type Unsubscribe } from "../lib/events.ts";
import type { ClientClose, ClientEvents, ClientSettings, FlotillaClient } from "./contract.ts";
import type { Session } from "./session.ts";

/** What comes right behind the hello waits so long, in milliseconds, for the application to subscribe. */
const SUBSCRIBE_MS = 1;

/** What the application holds: the session that there is, and its events. */
export class Client implements FlotillaClient {
  readonly closed: Promise<ClientClose>;
  readonly #session: Session;
  readonly #events: Emitter<ClientEvents>;

  constructor(session: Session, { clock, logger }: ClientSettings) {
    this.#session = session;
    this.#events = new Emitter(logger);
    // A turn of its own: between the hello and the caller of `connect` there may be many microtasks, and some
    // runtimes hand over several messages in one turn.
    this.closed = new Promise((resolve) => void clock.timer(SUBSCRIBE_MS, () => this.#start(resolve)));
  }

  get connectionId(): string {
    return this.#session.connectionId;
  }

  get nodeId(): string {
    return this.#session.nodeId;
  }

  get bufferedBytes(): number {
    return this.#session.bufferedBytes;
  }

  get openStreams(): number {
    return this.#session.openStreams;
  }

  send(data: string | Uint8Array): boolean {
    return this.#session.send(data);
  }

  on<Name extends keyof ClientEvents>(
    name: Name,
    listener: (event: ClientEvents[Name]) => void,
  ): Unsubscribe {
    return this.#events.on(name, listener);
  }

  close(code: number = CLOSE.normal, reason = ""): void {
    this.#session.close(code, reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed;
  }

  #start(closed: (close: ClientClose) => void): void {
    this.#session.start({
      message: (data) => void this.#events.emit("message", data),
      stream: (stream) => this.#events.emit("stream", stream),
      ended: (close) => {
        closed(close);
        this.#events.emit("close", close);
      },
    });
  }
}
