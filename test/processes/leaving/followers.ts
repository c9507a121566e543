/** Clients that are sent numbered messages and follow where leaving nodes send them. */
import { connect, type FlotillaClient } from "../../../mod.ts";

/** How long a plain client waits before it tries its home again. */
const RETRY_MS = 100;

/** What a plain client was told when its socket closed. */
export interface Told {
  /** The origin of its node, `ws://127.0.0.1:port`. */
  readonly from: string;
  readonly code: number;
  /** The same of where it was sent; undefined when the reason names nothing. */
  readonly to: string | undefined;
}

/** One client, and what it has got. */
export abstract class Follower {
  readonly id: string;
  readonly received: number[] = [];
  /** The longest it was without a connection, in ms. */
  worstGapMs = 0;
  #lostAt = 0;

  constructor(id: string) {
    this.id = id;
  }

  abstract readonly connected: boolean;
  abstract connect(origin: string): Promise<void>;
  abstract close(): void;

  protected lost(): void {
    this.#lostAt = performance.now();
  }

  protected back(): void {
    this.worstGapMs = Math.max(this.worstGapMs, performance.now() - this.#lostAt);
  }
}

export class SdkFollower extends Follower {
  #client: FlotillaClient | undefined;

  get connected(): boolean {
    return this.#client?.connected === true;
  }

  async connect(origin: string): Promise<void> {
    const client = await connect(`${origin}/ws?id=${this.id}`, {
      reconnectDelayMs: 100,
      reconnectDelayMsMax: 1_000,
    });
    this.#client = client;
    client.on("message", (data) => void this.received.push(Number(data)));
    client.on("disconnect", () => this.lost());
    client.on("reconnect", () => this.back());
  }

  close(): void {
    this.#client?.close();
  }
}

/** What a few lines of anybody's code do: open what the close reason says, word for word; else go home. */
export class PlainFollower extends Follower {
  readonly #told: (told: Told) => void;
  #socket: WebSocket | undefined;
  #home = "";
  #closed = false;

  constructor(id: string, told: (told: Told) => void) {
    super(id);
    this.#told = told;
  }

  get connected(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  async connect(origin: string): Promise<void> {
    this.#home = `${origin}/ws?id=${this.id}`;
    await this.#open(this.#home);
  }

  close(): void {
    this.#closed = true;
    this.#socket?.close();
  }

  /** Resolves when it is open or has failed. */
  #open(url: string): Promise<void> {
    const socket = this.#socket = new WebSocket(url);
    socket.addEventListener("message", ({ data }) => void this.received.push(Number(data)));
    return new Promise((resolve) => {
      socket.addEventListener("open", () => {
        this.back();
        resolve();
      });
      socket.addEventListener("error", () => resolve());
      socket.addEventListener("close", ({ code, reason }) => {
        if (this.#closed) return;
        this.lost();
        const next = redirectIn(reason);
        this.#told({ from: new URL(url).origin, code, to: next && new URL(next).origin });
        if (next !== undefined) void this.#open(next);
        else setTimeout(() => void this.#open(this.#home), RETRY_MS);
      });
    });
  }
}

function redirectIn(reason: string): string | undefined {
  return reason === "" ? undefined : (JSON.parse(reason) as { redirect?: string }).redirect;
}
