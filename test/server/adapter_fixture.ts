import type { Listener, OpenSocket, RemoteAddress } from "../../src/server/contract.ts";
import { listen } from "../../src/server/listen.ts";
import type { Socket, SocketEvents } from "../../src/lib/socket.ts";
import { RawClient } from "./raw_client.ts";
import { until } from "../support/until.ts";

export const MESSAGE_BYTES_MAX: number = 2 * 1024 * 1024;

/** The server side of one connection, as a test sees it. */
export class Served implements SocketEvents {
  readonly socket: Socket;
  readonly messages: (string | Uint8Array<ArrayBuffer>)[] = [];
  readonly closes: { code: number; reason: string }[] = [];
  drains = 0;
  onMessage: (data: string | Uint8Array<ArrayBuffer>) => unknown = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  message(data: string | Uint8Array<ArrayBuffer>): void {
    this.messages.push(data);
    return this.onMessage(data) as void;
  }

  drain(): void {
    this.drains += 1;
  }

  close(code: number, reason: string): void {
    this.closes.push({ code, reason });
  }
}

/** A listener whose paths are the cases of the adapter suite, with what its server side saw last. */
export class AdapterFixture {
  readonly listener: Listener;
  latest: Served | undefined;
  remote: RemoteAddress | undefined;
  /** How many closes the owner had heard of when its own call of `close` returned. */
  heardInsideClose = -1;

  constructor(listener: Listener) {
    this.listener = listener;
  }

  static async start(pingIntervalMs = 30_000): Promise<AdapterFixture> {
    const listener = await listen({
      port: 0,
      messageBytesMax: MESSAGE_BYTES_MAX,
      pingIntervalMs,
      fetch(request, env) {
        const { pathname } = new URL(request.url);
        fixture.remote = env.flotilla.remote;
        if (pathname === "/http") return new Response("plain answer");
        if (pathname === "/length") return request.text().then((text) => new Response(String(text.length)));
        if (pathname === "/refused") {
          return new Response("not you", { status: 403, headers: { "x-why": "because" } });
        }
        if (pathname === "/fails") throw new Error("the handler failed on purpose");
        const answer = env.flotilla.upgrade(fixture.#opener(pathname), {
          messageBytesMax: MESSAGE_BYTES_MAX,
          protocol: request.headers.get("sec-websocket-protocol") === null ? undefined : "b",
        });
        if (pathname === "/decorated") return new Response(answer.body, answer);
        if (pathname === "/refused-late") return new Response("changed my mind", { status: 401 });
        return answer;
      },
    });
    const fixture: AdapterFixture = new AdapterFixture(listener);
    return fixture;
  }

  /** A client of bare TCP, its socket open on both sides. */
  async raw(
    path: string,
    headers: Record<string, string> = {},
  ): Promise<{ client: RawClient; served: Served }> {
    this.latest = undefined;
    const client = await RawClient.connect(this.listener.port, path, headers);
    await until("the socket is open on both sides", () => this.latest !== undefined && client.status === 101);
    return { client, served: this.#served() };
  }

  /** The runtime's own client, its socket open on both sides. */
  async standard(
    path: string,
  ): Promise<{ client: WebSocket; served: Served; received: (string | ArrayBuffer)[] }> {
    this.latest = undefined;
    const client = new WebSocket(`ws://127.0.0.1:${this.listener.port}${path}`);
    client.binaryType = "arraybuffer";
    const received: (string | ArrayBuffer)[] = [];
    client.onmessage = (event) => void received.push(event.data);
    await new Promise<void>((resolve, reject) => {
      client.onopen = () => resolve();
      client.onerror = () => reject(new Error(`the client could not connect to ${path}`));
    });
    await until("the server side is open", () => this.latest !== undefined);
    return { client, served: this.#served(), received };
  }

  #served(): Served {
    if (this.latest === undefined) throw new Error("no socket was opened");
    return this.latest;
  }

  #opener(pathname: string): OpenSocket {
    return (socket) => {
      if (pathname === "/open-throws") throw new Error("open failed on purpose");
      const served = new Served(socket);
      this.latest = served;
      if (pathname === "/echo") served.onMessage = (data) => socket.send(data);
      if (pathname === "/rejects") served.onMessage = () => Promise.reject(new Error("rejected on purpose"));
      if (pathname === "/throws") {
        served.onMessage = () => {
          throw new Error("thrown on purpose");
        };
      }
      if (pathname === "/closes") {
        socket.close(4001, "go away");
        this.heardInsideClose = served.closes.length;
      }
      return served;
    };
  }
}

export function closeOf(client: WebSocket): Promise<{ code: number; reason: string }> {
  return new Promise((resolve) => client.onclose = ({ code, reason }) => resolve({ code, reason }));
}
