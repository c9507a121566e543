/**
 * Redis over HTTP as Upstash speaks it. Publishing is by @upstash/redis, in pipelines; listening is by a reader of our own,
 * since the client's falls silent for good when its stream breaks. Binary goes as base64, both ways.
 */
import { fromBase64, toBase64 } from "../src/lib/base64.ts";
import type { Bytes } from "../src/lib/bytes.ts";
import { FlotillaError, reasonOf, shown } from "../src/lib/errors.ts";
import { loadUpstash, type UpstashModule } from "../src/lib/upstash.ts";
import type { BrokerConnection, BrokerEvents } from "./broker_contract.ts";
import { readEvents } from "./sse.ts";

/** One request's bounds: providers limit a request to a megabyte, and a pipeline to a thousand commands or so. */
const REQUEST_LENGTH_MAX = 786_432;
const REQUEST_COMMANDS_MAX = 512;
const REASON_LENGTH_MAX = 200;

/** Where Redis is reached over HTTP. */
export interface HttpEndpoint {
  /** `https://host`, or `http://host` on this machine; without a slash at the end. */
  readonly origin: string;
  readonly token: string;
}

type Client = InstanceType<UpstashModule["Redis"]>;

interface Waiting {
  readonly channel: string;
  readonly text: string;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

/** Subscribes by a stream for each channel and publishes; see `Broker.open`. */
export async function openRedisHttp(
  endpoint: HttpEndpoint,
  channels: readonly string[],
  events: BrokerEvents,
  signal: AbortSignal,
): Promise<BrokerConnection> {
  const { Redis } = await loadUpstash();
  signal.throwIfAborted();
  const cut = new AbortController();
  signal.addEventListener("abort", () => cut.abort(), { once: true });
  const client = new Redis({
    url: endpoint.origin,
    token: endpoint.token,
    automaticDeserialization: false,
    enableTelemetry: false,
    enableAutoPipelining: false,
    readYourWrites: false,
    // `retry: false` would try twice, and a request that broke off may have been done.
    retry: { retries: 0 },
    // As a function: a signal that is given as it is makes an aborted request look like one that went well.
    signal: () => cut.signal,
  });
  const publisher = new Publisher(client, events);
  const listening: Promise<void>[] = [];
  const listen = (channel: string): Promise<void> =>
    new Promise((subscribed, failed) => {
      const over = (reason: string): void => {
        failed(new FlotillaError("node-lost", reason));
        events.lost(reason);
      };
      listening.push(
        subscribe(endpoint, channel, events, subscribed, cut.signal).then(over, (thrown) => {
          over(reasonOf(thrown));
        }),
      );
    });
  const close = async (): Promise<void> => {
    cut.abort();
    publisher.close();
    await Promise.all(listening);
  };
  try {
    await Promise.all(channels.map(listen));
    signal.throwIfAborted();
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return { publish: (channel, message) => publisher.publish(channel, message), close };
}

/** Listens to one channel until the stream ends; resolves with why it did. */
async function subscribe(
  { origin, token }: HttpEndpoint,
  channel: string,
  events: BrokerEvents,
  subscribed: () => void,
  signal: AbortSignal,
): Promise<string> {
  const response = await fetch(`${origin}/subscribe/${encodeURIComponent(channel)}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, accept: "text/event-stream" },
    signal,
  });
  const type = response.headers.get("content-type") ?? "nothing";
  if (!response.ok || response.body === null || !type.startsWith("text/event-stream")) {
    const text = response.ok ? shown(type) : (await response.text()).slice(0, REASON_LENGTH_MAX);
    if (response.ok) await response.body?.cancel();
    return `subscribing was answered with ${response.status} ${text}`;
  }
  const message = `message,${channel},`;
  const whole = await readEvents(response.body, (data) => {
    if (data.startsWith("subscribe,")) return subscribed();
    const bytes = data.startsWith(message) ? fromBase64(data.slice(message.length)) : undefined;
    if (bytes !== undefined) events.message(channel, bytes);
  }, signal);
  return whole ? "the subscription's stream ended" : "the subscription's stream had too long a line";
}

/** One request at a time, so that order holds; what comes meanwhile goes with the next. */
class Publisher {
  readonly #client: Client;
  readonly #events: BrokerEvents;
  #waiting: Waiting[] = [];
  #busy = false;
  #closed = false;

  constructor(client: Client, events: BrokerEvents) {
    this.#client = client;
    this.#events = events;
  }

  publish(channel: string, message: Bytes): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ channel, text: toBase64(message), resolve, reject });
      // The rest of this turn's messages go with it.
      if (!this.#busy) queueMicrotask(() => void this.#work());
      this.#busy = true;
    });
  }

  close(): void {
    this.#closed = true;
  }

  async #work(): Promise<void> {
    for (let batch = this.#take(); batch.length > 0; batch = this.#take()) {
      if (this.#closed) fail(batch, "the connection was closed");
      else await this.#request(batch).catch((thrown) => fail(batch, reasonOf(thrown)));
    }
    this.#busy = false;
  }

  #take(): Waiting[] {
    let length = 0, count = 0;
    for (const { text } of this.#waiting) {
      length += text.length;
      if (count > 0 && (length > REQUEST_LENGTH_MAX || count === REQUEST_COMMANDS_MAX)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #request(batch: readonly Waiting[]): Promise<void> {
    const pipeline = this.#client.pipeline();
    for (const { channel, text } of batch) pipeline.publish(channel, text);
    const answers: { result?: unknown; error?: string }[] = await pipeline.exec({ keepErrors: true });
    for (const [index, { channel, resolve, reject }] of batch.entries()) {
      const { result, error } = answers[index] ?? { error: "it was not answered" };
      if (error !== undefined) reject(new FlotillaError("node-lost", short(error)));
      else resolve();
      if (result === 0) this.#events.unheard(channel);
    }
  }
}

function fail(batch: readonly Waiting[], reason: string): void {
  for (const { reject } of batch) reject(new FlotillaError("node-lost", short(reason)));
}

/** The client repeats the whole command in its errors, packets and all. */
function short(reason: string): string {
  return reason.replace(/, command was: .*/s, "").slice(0, REASON_LENGTH_MAX);
}
