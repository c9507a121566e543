/** A TCP proxy that misbehaves on demand: what stands between two processes when the network is at fault. */
import net from "node:net";

/** What can befall one connection. */
export type Fault =
  /** Both ends see the end at once: FIN. */
  | "cut"
  /** Both ends see RST. */
  | "reset"
  /** Nothing passes for a while, either way; nothing is lost. */
  | "stall"
  /** Nothing passes for a while in one direction. */
  | "one-way"
  /** A few KiB a second for a while. */
  | "slow"
  /** One end is cut off, the other is never told: its bytes go nowhere. */
  | "half-open";

export const FAULTS: readonly Fault[] = ["cut", "reset", "stall", "one-way", "slow", "half-open"];

/** Bytes a second of a slow connection. */
const SLOW_BYTES_PER_SECOND = 20_000;
const SLOW_TICK_MS = 50;

class Relay {
  readonly #near: net.Socket;
  readonly #far: net.Socket;
  #closed = false;

  constructor(near: net.Socket, far: net.Socket, ended: (relay: Relay) => void) {
    this.#near = near;
    this.#far = far;
    const end = (): void => {
      if (this.#closed) return;
      this.#closed = true;
      near.destroy();
      far.destroy();
      ended(this);
    };
    for (const [from, to] of [[near, far], [far, near]] as const) {
      from.setNoDelay(true);
      from.on("error", () => undefined);
      from.on("close", end);
      from.on("data", (data) => {
        if (!to.destroyed && !to.write(data)) from.pause();
      });
      to.on("drain", () => from.resume());
    }
  }

  /** `lastingMs`: how long a stall or slowness lasts. `forwards`: which direction a one-sided fault takes. */
  apply(fault: Fault, lastingMs: number, forwards: boolean): void {
    const [one, other] = forwards ? [this.#near, this.#far] : [this.#far, this.#near];
    switch (fault) {
      case "cut":
        one.end();
        other.end();
        return;
      case "reset":
        one.resetAndDestroy();
        other.resetAndDestroy();
        return;
      case "stall":
        this.#hold([one, other], lastingMs);
        return;
      case "one-way":
        this.#hold([one], lastingMs);
        return;
      case "slow":
        this.#slow(one, other, lastingMs);
        return;
      case "half-open":
        one.removeAllListeners("close");
        one.removeAllListeners("data");
        one.on("data", () => undefined);
        one.on("close", () => other.destroy());
        other.removeAllListeners("data");
        other.resetAndDestroy();
        setTimeout(() => one.destroy(), lastingMs * 10).unref();
    }
  }

  close(): void {
    this.#near.destroy();
    this.#far.destroy();
  }

  #hold(sockets: readonly net.Socket[], lastingMs: number): void {
    for (const socket of sockets) socket.pause();
    setTimeout(() => sockets.forEach((socket) => socket.resume()), lastingMs).unref();
  }

  /** Reads so much at a time, by pausing in between. */
  #slow(from: net.Socket, to: net.Socket, lastingMs: number): void {
    const until = performance.now() + lastingMs;
    const listeners = from.listeners("data") as ((data: Uint8Array) => void)[];
    from.removeAllListeners("data");
    let waiting: Uint8Array[] = [];
    from.on("data", (data: Uint8Array) => {
      waiting.push(data);
      from.pause();
    });
    const timer = setInterval(() => {
      if (from.destroyed || to.destroyed) return clearInterval(timer);
      let room = SLOW_BYTES_PER_SECOND * SLOW_TICK_MS / 1_000;
      const over = performance.now() >= until;
      while (waiting.length > 0 && (over || room > 0)) {
        const first = waiting[0] as Uint8Array;
        const part = over ? first : first.subarray(0, room);
        room -= part.byteLength;
        to.write(part);
        if (part.byteLength === first.byteLength) waiting.shift();
        else waiting[0] = first.subarray(part.byteLength);
      }
      if (waiting.length === 0) from.resume();
      if (!over) return;
      clearInterval(timer);
      waiting = [];
      from.removeAllListeners("data");
      for (const listener of listeners) from.on("data", listener);
      from.resume();
    }, SLOW_TICK_MS);
    timer.unref();
  }
}

/** Listens on loopback and relays to one port of loopback. */
export class TcpProxy implements AsyncDisposable {
  readonly port: number;
  readonly #server: net.Server;
  readonly #relays: Set<Relay>;

  private constructor(server: net.Server, relays: Set<Relay>) {
    this.#server = server;
    this.#relays = relays;
    this.port = (server.address() as net.AddressInfo).port;
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    const relays = new Set<Relay>();
    const server = net.createServer({ noDelay: true }, (near) => {
      const far = net.connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
      relays.add(new Relay(near, far, (relay) => relays.delete(relay)));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new TcpProxy(server, relays);
  }

  /** Connections that pass through now. */
  get connections(): number {
    return this.#relays.size;
  }

  /** Applies `fault` to the connection `choice` (0 to below 1) picks; false if there is none. */
  apply(fault: Fault, choice: number, lastingMs: number): boolean {
    const relays = [...this.#relays];
    const relay = relays[Math.floor(choice * relays.length)];
    relay?.apply(fault, lastingMs, choice * relays.length % 1 < 0.5);
    return relay !== undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const relay of this.#relays) relay.close();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
