/** WebSockets in virtual time: honest pairs of `Socket`s with latency, for what is built on sockets. */
import type { Clock } from "../../src/lib/clock.ts";
import type { Dialer } from "../../src/lib/dial.ts";
import type { Socket, SocketEvents } from "../../src/lib/socket.ts";

export type AcceptSocket = (socket: Socket) => SocketEvents;

export class SocketNetwork {
  /** Sockets opened since the beginning; each counts once, not per end. */
  opened = 0;
  /** Attempts since the beginning, by origin. */
  readonly dials: Map<string, number> = new Map<string, number>();
  readonly #clock: Clock;
  readonly #latencyMs: number;
  readonly #listeners = new Map<string, AcceptSocket>();
  readonly #silent = new Set<string>();
  readonly #ends = new Set<SocketEnd>();

  constructor(clock: Clock, latencyMs = 1) {
    this.#clock = clock;
    this.#latencyMs = latencyMs;
  }

  /** Ends of sockets that have not had their close event. */
  get openEnds(): number {
    return this.#ends.size;
  }

  /** Serves `origin`, `ws://host:port`; returns what ends that and cuts nothing. */
  listen(origin: string, accept: AcceptSocket): () => void {
    this.#listeners.set(origin, accept);
    return () => void this.#listeners.delete(origin);
  }

  /** Attempts to reach `origin` get no answer at all, as behind a firewall that drops packets. */
  silence(origin: string): void {
    this.#silent.add(origin);
  }

  /** Cuts every open socket. */
  cutAll(): void {
    for (const end of [...this.#ends]) end.cut();
  }

  readonly dialer: Dialer = (url, handlers, { timeoutMs }) => {
    const { origin } = new URL(url);
    this.dials.set(origin, (this.dials.get(origin) ?? 0) + 1);
    const silent = this.#silent.has(origin);
    const timer = this.#clock.timer(silent ? timeoutMs : 2 * this.#latencyMs, () => {
      const accept = this.#listeners.get(origin);
      if (silent || accept === undefined) handlers.failed(silent ? "no answer" : "refused");
      else this.#connect((socket) => handlers.opened(socket, false), accept);
    });
    return { cancel: () => timer.cancel() };
  };

  #connect(dialled: AcceptSocket, accepted: AcceptSocket): void {
    this.opened++;
    const make = (): SocketEnd =>
      new SocketEnd(this.#clock, this.#latencyMs, (end) => this.#ends.delete(end));
    const [near, far] = [make(), make()];
    near.peer = far;
    far.peer = near;
    this.#ends.add(near).add(far);
    near.events = dialled(near);
    far.events = accepted(far);
  }
}

class SocketEnd implements Socket {
  events: SocketEvents | undefined;
  peer: SocketEnd | undefined;
  readonly #clock: Clock;
  readonly #latencyMs: number;
  readonly #gone: (end: SocketEnd) => void;
  #state: "open" | "closing" | "closed" = "open";

  constructor(clock: Clock, latencyMs: number, gone: (end: SocketEnd) => void) {
    this.#clock = clock;
    this.#latencyMs = latencyMs;
    this.#gone = gone;
  }

  readonly bufferedBytes: number = 0;

  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    if (this.#state !== "open") return false;
    const copy = typeof data === "string" ? data : data.slice();
    this.#later((peer) => peer.#state === "open" && peer.events?.message(copy));
    return true;
  }

  close(code: number, reason: string): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#later((peer) => {
      peer.#later((self) => self.#end(code, reason));
      peer.#end(code, reason);
    });
  }

  terminate(): void {
    this.cut();
  }

  /** Both ends notice in a later turn. */
  cut(): void {
    this.#state = "closing";
    this.#clock.timer(0, () => this.#end(1006, ""));
    this.#later((peer) => peer.#end(1006, ""));
  }

  #later(act: (peer: SocketEnd) => void): void {
    this.#clock.timer(this.#latencyMs, () => this.peer !== undefined && act(this.peer));
  }

  #end(code: number, reason: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#gone(this);
    this.events?.close(code, reason);
  }
}
