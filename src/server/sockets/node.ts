/**
 * The adapter for Node: node:http, @hono/node-server for requests, ws for sockets. What differs there: `send`
 * does not copy (the contract forbids changing the bytes), received binary messages are slices of a shared
 * pool, a rejecting handler ends the process, nothing pings, closing the server waits for sockets for ever.
 */
import { createServer, type IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket as TcpSocket } from "node:net";
import process from "node:process";
import type { Duplex } from "node:stream";
import type { WebSocket as WsSocket, WebSocketServer } from "ws";
import { CLOSE } from "../../lib/close_codes.ts";
import { localUrl, remoteAddress } from "../address.ts";
import type { Listener, ListenSettings } from "../contract.ts";
import { exchange, notAHandshake, type WantedUpgrade } from "../exchange.ts";
import { LISTENER_CLOSE_MS, OpenSockets } from "./open_sockets.ts";
import type { RawSocket, ServerSocket } from "./server_socket.ts";

/** What ws says of a message over its limit. */
const TOO_BIG = "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH";

export async function listenOnNode(settings: ListenSettings): Promise<Listener> {
  const [{ getRequestListener }, ws] = await Promise.all([import("@hono/node-server"), import("ws")]);
  const sockets = new OpenSockets(settings);
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
    stream.on("error", () => stream.destroy());
    const tcp = stream as TcpSocket;
    const remote = remoteAddress(tcp.remoteAddress, tcp.remotePort);
    const request = requestOf(incoming);
    if (request === undefined) return void answerWith(notAHandshake(), incoming, tcp);
    void exchange(settings, request, remote).then((answer) => {
      if (answer.kind === "response") return answerWith(answer.response, incoming, tcp);
      const { messageBytesMax, protocol } = answer.upgrade;
      if (protocol !== undefined) protocols.set(incoming, protocol);
      upgrader(messageBytesMax).handleUpgrade(incoming, stream, head, (webSocket) => {
        attach(webSocket, tcp, answer.upgrade, sockets);
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

function attach(webSocket: WsSocket, tcp: TcpSocket, wanted: WantedUpgrade, sockets: OpenSockets): void {
  let draining = false;
  let corked = false;
  /** What one turn sends leaves in one system call. */
  const corkTurn = (): void => {
    if (corked) return;
    corked = true;
    tcp.cork();
    process.nextTick(() => {
      corked = false;
      tcp.uncork();
    });
  };
  // Once a turn: ws calls back for every message, and one turn's messages mostly leave together.
  const written = (): void => {
    if (draining) return;
    draining = true;
    queueMicrotask(() => {
      draining = false;
      socket.drained();
    });
  };
  const raw: RawSocket = {
    get bufferedBytes() {
      return webSocket.bufferedAmount;
    },
    send(data) {
      if (webSocket.readyState !== webSocket.OPEN) return false;
      corkTurn();
      webSocket.send(data, written);
      return true;
    },
    close: (code, reason) => webSocket.close(code, reason),
    terminate: () => webSocket.terminate(),
    ping: () => webSocket.ping(),
  };
  const socket: ServerSocket = sockets.adopt(raw, wanted);
  webSocket.on("message", (data: Buffer, isBinary: boolean) => {
    socket.received(isBinary ? new Uint8Array(data) : data.toString());
  });
  webSocket.on("ping", () => socket.heard());
  webSocket.on("pong", () => socket.heard());
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
