/** `/api/state` of a node over an atomic map, in this process, with answers that a test can put in between. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { AtomicMap } from "./atomic_map.ts";
import type { Call } from "./operation.ts";

export class FakeStateApi implements AsyncDisposable {
  readonly map: AtomicMap = new AtomicMap();
  /** Every request that came: `PUT /api/state/k`. */
  readonly requests: string[] = [];
  /** Answers the next request instead. */
  instead: ((response: ServerResponse) => void) | undefined;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<FakeStateApi> {
    const api = new FakeStateApi();
    await new Promise<void>((resolve) => api.#server.listen(0, "127.0.0.1", resolve));
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = request;
    this.requests.push(`${method} ${url}`);
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    const instead = this.instead;
    this.instead = undefined;
    if (instead !== undefined) return instead(response);
    const key = decodeURIComponent(url.slice("/api/state/".length));
    const answer = this.map.apply(key, callOf(method, headers, body));
    const json = { "content-type": "application/json" };
    switch (answer.kind) {
      case "found":
        return void response.writeHead(200, { etag: `"${answer.revision}"` }).end(answer.value);
      case "done":
        return void response.writeHead(200, json).end(JSON.stringify({ revision: answer.revision }));
      case "conflict":
        response.writeHead(412, { ...json, ...answer.revision > 0 ? { etag: `"${answer.revision}"` } : {} });
        return void response.end(JSON.stringify({ error: { code: "conflict", message: "changed" } }));
      default:
        response.writeHead(404, json).end(
          JSON.stringify({ error: { code: "not-found", message: "absent" } }),
        );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function callOf(method: string, headers: IncomingMessage["headers"], body: string): Call {
  if (method === "GET") return { kind: "get" };
  if (method === "DELETE") return { kind: "delete" };
  if (headers["if-none-match"] === "*") return { kind: "compare-and-set", expected: 0, value: body };
  const expected = headers["if-match"]?.replaceAll('"', "");
  return expected === undefined
    ? { kind: "set", value: body }
    : { kind: "compare-and-set", expected: Number(expected), value: body };
}
