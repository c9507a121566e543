import type { ConnectionSink } from "../../src/connection/sink.ts";
import { flotillaRoutes } from "../../src/server/routes.ts";
import type { RouteOptions } from "../../src/server/serving.ts";
import type { Outcome } from "../../src/router/outcome.ts";
import type { FakeCluster } from "../support/fake_cluster.ts";

/** What the API answers for each outcome of one delivery. */
export const OUTCOME_STATUSES: readonly (readonly [Outcome, number])[] = [
  ["delivered", 200],
  ["acknowledged", 200],
  ["not-found", 404],
  ["closed", 410],
  ["backpressure", 503],
  ["too-large", 413],
  ["unauthorized", 403],
  ["node-lost", 503],
  ["timeout", 504],
];

export interface Asked {
  readonly from?: string;
  readonly options?: RouteOptions;
  readonly init?: RequestInit;
  readonly headers?: Record<string, string>;
}

/** An answer of the API, its body read as JSON. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

/** Sends `METHOD /path`, from loopback unless said otherwise. */
export async function ask(
  cluster: FakeCluster,
  line: string,
  { from = "127.0.0.1", options = {}, init = {}, headers = {} }: Asked = {},
): Promise<Answer> {
  const [method = "GET", path = "/"] = line.split(" ");
  const request = new Request(`http://127.0.0.1:80${path}`, {
    method,
    ...init,
    headers: { host: "127.0.0.1:80", ...headers },
  });
  const remote = { address: from, port: 1, loopback: from === "127.0.0.1" };
  const flotilla = { remote, loopbackOnly: false, upgrade: () => new Response() };
  const response = await flotillaRoutes(cluster, options).fetch(request, { flotilla });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

export class Sink implements ConnectionSink {
  onDrain: (() => void) | undefined = undefined;
  readonly bufferedBytes: number = 0;
  readonly sent: (string | Uint8Array<ArrayBuffer>)[] = [];
  readonly closes: unknown[] = [];

  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    this.sent.push(data);
    return true;
  }

  close(code: number, reason: string): void {
    this.closes.push([code, reason]);
  }
}

export function connected(cluster: FakeCluster, connectionId: string): Sink {
  const sink = new Sink();
  const details = { endpoint: "/ws", remoteAddress: "10.0.0.1:5", connectedAt: 7, tags: { secret: "tag" } };
  cluster.registerConnection(connectionId, details, sink);
  return sink;
}

/** The error's code in a body. */
export function errorOf(body: unknown): unknown {
  return (body as { error: { code: string } }).error.code;
}
