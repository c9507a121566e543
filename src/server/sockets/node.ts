/**
 * The adapter for Node: node:http, @hono/node-server for requests, ws for sockets. What differs there: `send`
 * does not copy (the contract forbids changing the bytes), received short binary messages are slices of a
 * shared pool, a rejecting handler ends the process, nothing pings, closing the server waits for sockets for ever.
 */
import { createServer, type IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket as TcpSocket } from "node:net";
import process from "node:process";
import type { Duplex } from "node:stream";
import type { WebSocket as WsSocket, WebSocketServer } from "ws";
import { ownBytes } from "../../lib/bytes.ts";
import { CLOSE } from "../../lib/close_codes.ts";
import { localUrl, remoteAddress } from "../address.ts";
import type { Listener, ListenSettings } from "../contract.ts";
import { exchange, notAHandshake, type WantedUpgrade } from "../exchange.ts";
import { LISTENER_CLOSE_MS, OpenSockets } from "./open_sockets.ts";
import type { RawSocket } from "./server_socket.ts";

/** What ws says of a message over its limit. */
const TOO_BIG = "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH";

export async function listenOnNode(settings: ListenSettings): Promise<Listener> {
  const [{ getRequestListener }, ws] = await Promise.all([import("@hono/node-server"), import("ws")]);
  const sockets = new OpenSockets(settings);
  const corks = new Corks();
  const upgraders = new Map<number, WebSocketServer>();
  const protocols = new WeakMap<IncomingMessage, string>();

  /** One per limit, which ws fixes when it is made; routes ask for few different ones. */
  const upgrader = (messageBytesMax: number): WebSocketServer => {
    const known = upgraders.get(messageBytesMax);
    if (known !== undefined) return known;
    const made = new ws.WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: messageBytesMax,
      handleProtocols: (_offered, incoming) => protocols.get(incoming) ?? false,
    });
    upgraders.set(messageBytesMax, made);
    return made;
  };

  const respond = getRequestListener(async (request, env) => {
    const { socket } = env.incoming;
    const answer = await exchange(settings, request, remoteAddress(socket.remoteAddress, socket.remotePort));
    return answer.kind === "response" ? answer.response : notAHandshake();
  }, { overrideGlobalObjects: false });

  const server = createServer({ requestTimeout: 0, shouldUpgradeCallback: wantsWebSocket }, respond);
  server.on("upgrade", (incoming: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on("error", destroyThis);
    const tcp = stream as TcpSocket;
    const remote = remoteAddress(tcp.remoteAddress, tcp.remotePort);
    const request = requestOf(incoming);
    if (request === undefined) return void answerWith(notAHandshake(), incoming, tcp);
    void exchange(settings, request, remote).then((answer) => {
      if (answer.kind === "response") return answerWith(answer.response, incoming, tcp);
      const { messageBytesMax, protocol } = answer.upgrade;
      if (protocol !== undefined) protocols.set(incoming, protocol);
      upgrader(messageBytesMax).handleUpgrade(incoming, stream, head, (webSocket) => {
        attach(webSocket, tcp, answer.upgrade, sockets, corks);
      });
    });
  });

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(settings.port, settings.hostname, resolve);
  });
  const { port } = server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
    await sockets.closeAll();
    server.closeIdleConnections();
    const force = settings.clock.timer(LISTENER_CLOSE_MS, () => server.closeAllConnections());
    await stopped;
    force.cancel();
  };
  return {
    hostname: settings.hostname,
    port,
    url: localUrl(settings.hostname, port),
    close: () => closed ??= close(),
  };
}

/** Knows nothing of the request, which would else live as long as the socket. */
function destroyThis(this: Duplex): void {
  this.destroy();
}

/** Other upgrades (h2c, say) are answered as the plain requests they also are. */
function wantsWebSocket(incoming: IncomingMessage): boolean {
  return incoming.headers.upgrade?.toLowerCase() === "websocket";
}

/** The handshake as a Request; undefined when it is not a GET or its URL or headers are no such. */
function requestOf(incoming: IncomingMessage): Request | undefined {
  const headers = new Headers();
  try {
    for (let index = 0; index + 1 < incoming.rawHeaders.length; index += 2) {
      headers.append(incoming.rawHeaders[index] ?? "", incoming.rawHeaders[index + 1] ?? "");
    }
    if (incoming.method !== "GET") return undefined;
    return new Request(new URL(incoming.url ?? "/", `http://${incoming.headers.host ?? "localhost"}`).href, {
      headers,
    });
  } catch {
    return undefined;
  }
}

/** Refuses a handshake with an ordinary response, and ends the connection. */
async function answerWith(response: Response, incoming: IncomingMessage, tcp: TcpSocket): Promise<void> {
  try {
    const body = new Uint8Array(await response.arrayBuffer());
    const outgoing = new ServerResponse(incoming);
    outgoing.shouldKeepAlive = false;
    outgoing.assignSocket(tcp);
    outgoing.on("finish", () => tcp.end());
    response.headers.forEach((value, name) => outgoing.appendHeader(name, value));
    outgoing.writeHead(response.status).end(body);
  } catch {
    tcp.destroy();
  }
}

/** A socket of ws. One object a socket, since a node may have very many. */
class NodeSocket implements RawSocket {
  /** Called when ws has handed something to the kernel; several messages of a turn are told once. */
  drained: () => void = () => {};
  readonly #webSocket: WsSocket;
  readonly #tcp: TcpSocket;
  readonly #corks: Corks;
  #corked = false;
  /** Messages that ws has not called back for. */
  #unwritten = 0;
  #draining = false;

  constructor(webSocket: WsSocket, tcp: TcpSocket, corks: Corks) {
    this.#webSocket = webSocket;
    this.#tcp = tcp;
    this.#corks = corks;
  }

  get bufferedBytes(): number {
    return this.#webSocket.bufferedAmount;
  }

  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return false;
    if (!this.#corked) {
      this.#corked = true;
      this.#tcp.cork();
      this.#corks.add(this);
    }
    this.#unwritten++;
    this.#webSocket.send(data, this.#written);
    return true;
  }

  close(code: number, reason: string): void {
    this.#webSocket.close(code, reason);
  }

  terminate(): void {
    this.#webSocket.terminate();
  }

  ping(): void {
    this.#webSocket.ping();
  }

  /** The end of the turn: what was sent in it leaves. */
  uncork(): void {
    this.#corked = false;
    this.#tcp.uncork();
  }

  /** ws calls back for every message; those that leave together are told together. */
  #written = (): void => {
    this.#unwritten--;
    if (this.#draining) return;
    if (this.#unwritten === 0) return this.drained();
    this.#draining = true;
    queueMicrotask(() => {
      this.#draining = false;
      this.drained();
    });
  };
}

/** What one turn sends on a socket leaves in one system call; one callback ends the turn of all sockets. */
class Corks {
  #corked: NodeSocket[] = [];

  add(socket: NodeSocket): void {
    if (this.#corked.push(socket) > 1) return;
    process.nextTick(() => {
      const corked = this.#corked;
      this.#corked = [];
      for (const each of corked) each.uncork();
    });
  }
}

function attach(
  webSocket: WsSocket,
  tcp: TcpSocket,
  wanted: WantedUpgrade,
  sockets: OpenSockets,
  corks: Corks,
): void {
  const raw = new NodeSocket(webSocket, tcp, corks);
  const socket = sockets.adopt(raw, wanted);
  raw.drained = () => socket.drained();
  webSocket.on("message", (data: Buffer<ArrayBuffer>, isBinary: boolean) => {
    socket.received(isBinary ? ownBytes(data) : data.toString());
  });
  const heard = (): void => socket.heard();
  webSocket.on("ping", heard);
  webSocket.on("pong", heard);
  let tooLarge = false;
  // ws has already begun to close (1009 for a message over the limit, 1002 or 1007 for a broken one).
  webSocket.on("error", (error: Error & { code?: string }) => {
    tooLarge ||= error.code === TOO_BIG;
    socket.closing();
  });
  webSocket.on("close", (code: number, reason: Buffer) => {
    socket.ended(tooLarge ? CLOSE.tooLarge : code, reason.toString());
  });
  socket.start();
}
