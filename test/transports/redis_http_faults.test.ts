/** A cluster over Redis's HTTP while the endpoint misbehaves, in real time. */
import { afterAll, beforeAll, describe } from "bun:test";
import { startUpstashServer } from "../../examples/upstash_server.ts";
import { listen, type Listener } from "../../mod.ts";
import { sleep, systemClock } from "../../src/lib/clock.ts";
import { survivesFaults } from "../support/broker_faults.ts";
import { demandRedis, type Redis, withoutBrokers } from "../support/redis.ts";

const START_MS = 60_000;

type Mode = "passes" | "nothing" | 429 | 500;

/** Stands before the endpoint, and answers in its place. */
class Front {
  readonly #target: string;
  #mode: Mode = "passes";
  #changed = new AbortController();
  listener: Listener | undefined;

  constructor(target: string) {
    this.#target = target;
  }

  /** What is under way is cut. */
  set mode(mode: Mode) {
    this.#mode = mode;
    this.#changed.abort();
    this.#changed = new AbortController();
  }

  async start(): Promise<string> {
    const { port } = this.listener = await listen({ port: 0, fetch: (request) => this.#answer(request) });
    return `http://:T@127.0.0.1:${port}`;
  }

  async #answer(request: Request): Promise<Response> {
    const { signal } = this.#changed;
    if (this.#mode === "nothing") {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return new Response("too late", { status: 503 });
    }
    if (this.#mode !== "passes") return Response.json({ error: "ERR not now" }, { status: this.#mode });
    const { pathname } = new URL(request.url);
    const headers = new Headers();
    for (const name of ["authorization", "accept", "content-type", "upstash-encoding"]) {
      const value = request.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    const body = await request.text();
    try {
      const answer = await fetch(this.#target + pathname, { method: "POST", headers, body });
      const type = answer.headers.get("content-type") ?? "";
      return new Response(answer.body === null ? null : endedBy(signal, answer.body), {
        status: answer.status,
        headers: { "content-type": type },
      });
    } catch {
      return new Response("cut", { status: 502 });
    }
  }
}

/** What comes of `body` until `signal` fires: an answer that ends too early. */
function endedBy(signal: AbortSignal, body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const cut = (): void => void reader.cancel().catch(() => undefined);
  signal.addEventListener("abort", cut);
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await reader.read().catch(() => ({ value: undefined, done: true }));
      if (done || value === undefined) controller.close();
      else controller.enqueue(value);
    },
    cancel: cut,
  });
}

describe.skipIf(withoutBrokers)("a cluster over Redis by HTTP", () => {
  let redis: Redis;
  let server: Listener;
  let front: Front;
  let url: string;
  beforeAll(async () => {
    redis = await demandRedis();
    server = await startUpstashServer({ port: 0, redis: redis.url, token: "T" });
    front = new Front(server.url);
    url = await front.start();
  }, START_MS);
  afterAll(async () => {
    if (front !== undefined) front.mode = "passes";
    await front?.listener?.close();
    await server?.close();
    await redis?.[Symbol.asyncDispose]();
  });

  const then = (mode: Mode, forMs: number) => async () => {
    front.mode = mode;
    await sleep(systemClock, forMs);
    front.mode = "passes";
  };
  survivesFaults("redis by HTTP", () => ({ transportType: "redis", redisConnectionString: url }), [
    { what: "cuts every stream", harm: then("passes", 0) },
    { what: "answers 429 for three seconds", harm: then(429, 3_000) },
    { what: "answers 500 for three seconds", harm: then(500, 3_000) },
    { what: "answers nothing for seven seconds", harm: then("nothing", 7_000) },
  ]);
});
