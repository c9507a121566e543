/**
 * @cloudamqp/amqp-client over a `Pipe`. Its own two clients are not used: over TCP a small write of theirs waits up to 40 ms
 * (they leave Nagle's algorithm on), bytes that are no AMQP end the process, and so does a write that fails at a bad moment.
 */
import { type Bytes, concatBytes, viewOf } from "../src/lib/bytes.ts";
import { FlotillaError, reasonOf } from "../src/lib/errors.ts";
import { type AmqpChannel, loadAmqp } from "../src/lib/amqp.ts";
import type { OpenPipe, Pipe } from "./amqp_pipe.ts";

/** AMQP 0-9-1, 4.2.2. */
const GREETING: Bytes = Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1);
/** A frame is `type u8 | channel u16 | length u32 | that many bytes | end u8` (2.3.5). */
const FRAME_HEAD_BYTES = 7;
const FRAME_AROUND_BYTES = 8;
/** What RabbitMQ allows unless it is told otherwise. */
const FRAME_BYTES_MAX = 131_072;
/** So that the broker notices a node that is no more; the library answers the broker's heartbeats. */
const HEARTBEAT_S = 10;

export interface Login {
  readonly user: string;
  readonly password: string;
  readonly virtualHost: string;
}

export interface AmqpClient {
  channel(): Promise<AmqpChannel>;
  /** Says goodbye; resolves when the broker has answered, or the connection is over. */
  goodbye(): Promise<void>;
  /** At once; idempotent. */
  cut(): void;
}

/** Connects once and logs in; rejects when that fails, or when `signal` fires. `lost` is called at least once when it is over. */
export async function openAmqpClient(
  openPipe: OpenPipe,
  { user, password, virtualHost }: Login,
  lost: (reason: string) => void,
  signal: AbortSignal,
): Promise<AmqpClient> {
  const { AMQPBaseClient, AMQPView } = await loadAmqp();

  class PipedClient extends AMQPBaseClient {
    #pipe: Pipe | undefined;
    #rest: Bytes = new Uint8Array(0);
    #over = false;

    override async connect(): Promise<this> {
      this.onerror = ({ message }) => lost(message);
      const events = {
        data: (bytes: Uint8Array) => this.#data(bytes),
        closed: (reason: string) => this.#end(reason),
      };
      this.#pipe = await openPipe(events, signal);
      await new Promise<unknown>((resolve, reject) => {
        this.connectPromise = [resolve, reject];
        void this.send(GREETING);
      });
      return this;
    }

    /** Never rejects: not everywhere does the library expect it. Whoever waits for an answer hears of the end. */
    override async send(bytes: Uint8Array): Promise<void> {
      await this.#pipe?.send(bytes);
    }

    override closeSocket(): void {
      this.#pipe?.close();
    }

    cut(): void {
      this.closeSocket();
      this.#end("it was closed here");
    }

    async goodbye(): Promise<void> {
      if (!this.closed) await this.close().catch(() => undefined);
    }

    #end(reason: string): void {
      if (this.#over) return;
      this.#over = true;
      this.closed = true;
      lost(reason);
      const error = new FlotillaError("node-lost", reason);
      this.connectPromise?.[1](error);
      this.closePromise?.[1](error);
      for (const channel of this.channels) channel?.setClosed(error);
    }

    /** Hands whole frames over. What throws comes from bytes that are no AMQP. */
    #data(bytes: Uint8Array): void {
      if (this.#over) return;
      try {
        const all = this.#rest.byteLength === 0 ? bytes : concatBytes(this.#rest, bytes);
        const end = endOfFrames(all);
        if (end > 0) this.parseFrames(new AMQPView(all.buffer as ArrayBuffer, all.byteOffset, end));
        this.#rest = all.slice(end);
      } catch (thrown) {
        this.closeSocket();
        this.#end(`it does not speak AMQP 0-9-1: ${reasonOf(thrown)}`);
      }
    }
  }

  const client = new PipedClient(
    virtualHost,
    user,
    password,
    "flotilla",
    undefined,
    FRAME_BYTES_MAX,
    HEARTBEAT_S,
  );
  const cut = (): void => client.cut();
  signal.addEventListener("abort", cut, { once: true });
  return await client.connect();
}

function endOfFrames(bytes: Uint8Array): number {
  const view = viewOf(bytes);
  let end = 0;
  while (bytes.byteLength - end >= FRAME_HEAD_BYTES) {
    const length = view.getUint32(end + 3) + FRAME_AROUND_BYTES;
    if (length > FRAME_BYTES_MAX) throw new FlotillaError("malformed", `a frame of ${length} bytes`);
    if (bytes.byteLength - end < length) break;
    end += length;
  }
  return end;
}
