/**
 * The map over a node's HTTP API, for clients of real processes. On `node:http`, where a refused connection can be
 * told from one that broke, and with a connection for each request: Deno sends a write again when one that was kept
 * breaks, and a write that is applied twice would be held against the map.
 */
import { Agent, type IncomingMessage, request } from "node:http";
import type { KeyValue } from "./clients.ts";
import { type Fate, leavesUnknown } from "./history.ts";

/** A request that was not answered, or not with what was asked for. */
export class RequestError extends Error {
  readonly fate: Fate;

  constructor(fate: Fate, message: string) {
    super(message);
    this.fate = fate;
  }
}

/** For a History: whatever else is thrown breaks the contract of the API. */
export function fateOfRequest(thrown: unknown): Fate | undefined {
  return thrown instanceof RequestError ? thrown.fate : undefined;
}

interface Response {
  readonly status: number;
  readonly etag: string | undefined;
  readonly body: string;
}

type Headers = Readonly<Record<string, string>>;

/** Statuses that say that nothing was applied: no leader, too many requests. */
const REFUSED_STATUSES: readonly number[] = [429, 503];
const TIMEOUT_STATUS = 504;

export class HttpKeyValue implements KeyValue {
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #agent = new Agent({ keepAlive: false });

  /** `url`: `http://host:port`. `timeoutMs`: for a whole request; above the node's own, which then answers first. */
  constructor(url: string, timeoutMs: number) {
    this.#url = url;
    this.#timeoutMs = timeoutMs;
  }

  async get(key: string): Promise<{ value: string; revision: number } | undefined> {
    const response = await this.#send("GET", key);
    if (response.status === 404) return undefined;
    if (response.status !== 200) throw this.#unexpected("GET", key, response);
    return { value: response.body, revision: this.#revisionOf("GET", key, response) };
  }

  async set(key: string, value: string): Promise<number> {
    const response = await this.#send("PUT", key, {}, value);
    if (response.status !== 200) throw this.#unexpected("PUT", key, response);
    return this.#writtenRevision("PUT", key, response);
  }

  async delete(key: string): Promise<number | undefined> {
    const response = await this.#send("DELETE", key);
    if (response.status === 404) return undefined;
    if (response.status !== 200) throw this.#unexpected("DELETE", key, response);
    return this.#writtenRevision("DELETE", key, response);
  }

  async compareAndSet(
    key: string,
    expectedRevision: number,
    value: string,
  ): Promise<{ done: boolean; revision: number }> {
    const condition: Headers = expectedRevision === 0
      ? { "if-none-match": "*" }
      : { "if-match": `"${expectedRevision}"` };
    const response = await this.#send("PUT", key, condition, value);
    if (response.status === 200) {
      return { done: true, revision: this.#writtenRevision("PUT", key, response) };
    }
    if (response.status !== 412) throw this.#unexpected("PUT", key, response);
    const revision = response.etag === undefined ? 0 : this.#revisionOf("PUT", key, response);
    return { done: false, revision };
  }

  async #send(method: string, key: string, headers: Headers = {}, body?: string): Promise<Response> {
    const response = await this.#exchange(method, key, headers, body);
    const { status } = response;
    if (!REFUSED_STATUSES.includes(status) && status !== TIMEOUT_STATUS) return response;
    const refused = REFUSED_STATUSES.includes(status) && !leavesUnknown(errorCode(response.body));
    throw new RequestError(
      refused ? "refused" : "unknown",
      `${method} ${key}: ${status} ${response.body}`,
    );
  }

  #exchange(method: string, key: string, headers: Headers, body: string | undefined): Promise<Response> {
    return new Promise((resolve, reject) => {
      const fail = (fate: Fate, reason: string): void => {
        clearTimeout(timer);
        reject(new RequestError(fate, `${method} ${key} of ${this.#url}: ${reason}`));
      };
      const sent = request(
        `${this.#url}/api/state/${encodeURIComponent(key)}`,
        {
          method,
          agent: this.#agent,
          headers: body === undefined
            ? headers
            : { ...headers, "content-type": "text/plain", "content-length": String(Buffer.byteLength(body)) },
        },
        (response: IncomingMessage) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => void (text += chunk));
          response.on("error", ({ message }) => fail("unknown", message));
          response.on("aborted", () => fail("unknown", "cut off"));
          response.on("end", () => {
            clearTimeout(timer);
            resolve({ status: response.statusCode ?? 0, etag: response.headers.etag, body: text });
          });
        },
      );
      sent.on("error", (error: Error & { code?: string }) => {
        // Only then has certainly nothing been sent. Bun has a name of its own for it.
        const refused = error.code === "ECONNREFUSED" || error.code === "ConnectionRefused";
        fail(refused ? "refused" : "unknown", error.message);
      });
      const timer = setTimeout(() => {
        fail("unknown", `no answer within ${this.#timeoutMs} ms`);
        sent.destroy();
      }, this.#timeoutMs);
      sent.end(body);
    });
  }

  #writtenRevision(method: string, key: string, response: Response): number {
    const { revision } = JSON.parse(response.body) as { revision?: unknown };
    if (typeof revision !== "number" || !Number.isSafeInteger(revision) || revision <= 0) {
      throw this.#unexpected(method, key, response);
    }
    return revision;
  }

  #revisionOf(method: string, key: string, response: Response): number {
    const digits = /^"([1-9]\d*)"$/.exec(response.etag ?? "")?.[1];
    if (digits === undefined) throw this.#unexpected(method, key, response);
    return Number(digits);
  }

  #unexpected(method: string, key: string, { status, etag, body }: Response): Error {
    return new Error(`${method} ${key} of ${this.#url}: ${status}, ETag ${etag}: ${body.slice(0, 200)}`);
  }
}

/** The code in `{"error":{"code":...}}`; empty when there is none. */
function errorCode(body: string): string {
  try {
    const parsed = JSON.parse(body) as { error?: { code?: unknown } };
    return typeof parsed.error?.code === "string" ? parsed.error.code : "";
  } catch {
    return "";
  }
}
