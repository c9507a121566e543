/** A server that reads a request body as a test tells it to, through Hono as the routes do. */
import { Hono } from "../../src/lib/hono.ts";
import type { Listener, ServerBindings } from "../../src/server/contract.ts";
import { listen } from "../../src/server/listen.ts";

/** One body in the eyes of its handler. */
export interface Reading {
  bytes: number;
  /** How the reading ended; `whole` only when the end of the body was seen. */
  outcome: "reading" | "whole" | "broken" | "cancelled";
}

export class BodyReader {
  /** Of the latest request. */
  reading: Reading | undefined;
  #listener: Listener | undefined;
  #go: () => void = () => {};

  /**
   * `PUT /read` reads to the end; `/wait` does after `go()`, `/stop` reads the first bytes and the rest after
   * `go()`; `/refuse` answers 404 unread, `/refuse-half` after the first bytes; `/cancel` cancels after them.
   */
  static async start(): Promise<BodyReader> {
    const self = new BodyReader();
    const app = new Hono<ServerBindings>();
    app.post("/go", (c) => {
      self.go();
      return c.text("gone");
    });
    app.put("/:how", (c) => self.#serve(c.req.param("how"), c.req.raw.body));
    self.#listener = await listen({ port: 0, fetch: app.fetch });
    return self;
  }

  get listener(): Listener {
    if (this.#listener === undefined) throw new Error("the body reader does not listen yet");
    return this.#listener;
  }

  get port(): number {
    return this.listener.port;
  }

  /** What waits goes on. */
  go(): void {
    this.#go();
  }

  async #serve(how: string, body: ReadableStream<Uint8Array> | null): Promise<Response> {
    const reading: Reading = { bytes: 0, outcome: "reading" };
    this.reading = reading;
    const gone = new Promise<void>((resolve) => this.#go = resolve);
    if (how === "refuse") return new Response("not wanted", { status: 404 });
    if (how === "wait") await gone;
    const reader = body?.getReader();
    try {
      while (reader !== undefined) {
        const { done, value } = await reader.read();
        if (done) break;
        const first = reading.bytes === 0;
        reading.bytes += value.byteLength;
        if (first && how === "stop") await gone;
        if (first && how === "refuse-half") return new Response("not wanted", { status: 404 });
        if (first && how === "cancel") {
          await reader.cancel();
          reading.outcome = "cancelled";
          return new Response("cancelled", { status: 400 });
        }
      }
      reading.outcome = "whole";
      return new Response(`read ${reading.bytes}`);
    } catch {
      reading.outcome = "broken";
      return new Response("broken", { status: 400 });
    }
  }
}
