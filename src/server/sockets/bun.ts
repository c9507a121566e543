/**
 * The adapter for Bun: `Bun.serve` and its ServerWebSocket. What differs there: a send over
 * `backpressureLimit` is dropped without a word, closing calls the close handler inside the call, silent
 * requests are cut after ten seconds, bodies end at 128 MB.
 */
import { ownBytes } from "../../lib/bytes.ts";
import { sleep } from "../../lib/clock.ts";
import { CLOSE } from "../../lib/close_codes.ts";
import { localUrl, remoteAddress } from "../address.ts";
import type { Listener, ListenSettings } from "../contract.ts";
import { closingResponse, exchange, notAHandshake, type WantedUpgrade } from "../exchange.ts";
import { LISTENER_CLOSE_MS, OpenSockets } from "./open_sockets.ts";
import type { RawSocket, ServerSocket } from "./server_socket.ts";

/** The reason Bun gives, with 1006, when it has closed a socket with 1009. */
const TOO_BIG = "Received too big message";

/** Between two looks at whether answers are still under way. */
const POLL_MS = 5;

/** What travels with a socket: the wish until it is open, then the socket it became. */
interface Attached {
  wanted: WantedUpgrade | undefined;
  socket: ServerSocket | undefined;
}

export function listenOnBun(settings: ListenSettings): Listener {
  const sockets = new OpenSockets(settings);
  const server = Bun.serve<Attached>({
    hostname: settings.hostname,
    port: settings.port,
    idleTimeout: 0,
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    async fetch(request, server) {
      if (closed !== undefined) return closingResponse();
      const remote = server.requestIP(request);
      const answer = await exchange(settings, request, remoteAddress(remote?.address, remote?.port));
      if (answer.kind === "response") return answer.response;
      const { protocol } = answer.upgrade;
      const headers = protocol === undefined ? {} : { "sec-websocket-protocol": protocol };
      return server.upgrade(request, { data: { wanted: answer.upgrade, socket: undefined }, headers })
        ? undefined
        : notAHandshake();
    },
    websocket: {
      backpressureLimit: 0,
      closeOnBackpressureLimit: false,
      maxPayloadLength: settings.messageBytesMax,
      idleTimeout: 0,
      sendPings: false,
      perMessageDeflate: false,
      open(ws) {
        const { wanted } = ws.data;
        if (wanted === undefined) return;
        // It holds the request, which need not live as long as the socket.
        ws.data.wanted = undefined;
        ws.data.socket = sockets.adopt(new BunSocket(ws), wanted);
        ws.data.socket.start();
      },
      message: (ws, data) =>
        ws.data.socket?.received(typeof data === "string" ? data : ownBytes(data as Buffer<ArrayBuffer>)),
      drain: (ws) => ws.data.socket?.drained(),
      ping: (ws) => ws.data.socket?.heard(),
      pong: (ws) => ws.data.socket?.heard(),
      close: (ws, code, reason) => {
        if (reason === TOO_BIG) ws.data.socket?.ended(CLOSE.tooLarge, reason);
        else ws.data.socket?.ended(code, reason);
      },
    },
  });
  const port = server.port ?? settings.port;
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await sockets.closeAll();
    // A stop that waits would leave behind what has asked nothing whole, and could not be forced afterwards.
    const end = settings.clock.now() + LISTENER_CLOSE_MS;
    while (server.pendingRequests > 0 && settings.clock.now() < end) await sleep(settings.clock, POLL_MS);
    await server.stop(true);
  };
  return {
    hostname: settings.hostname,
    port,
    url: localUrl(settings.hostname, port),
    close: () => closed ??= close(),
  };
}

/** One object a socket, since a node may have very many. */
class BunSocket implements RawSocket {
  readonly #ws: Bun.ServerWebSocket<Attached>;

  constructor(ws: Bun.ServerWebSocket<Attached>) {
    this.#ws = ws;
  }

  get bufferedBytes(): number {
    return this.#ws.getBufferedAmount();
  }

  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    if (this.#ws.readyState !== WebSocket.OPEN) return false;
    this.#ws.send(data);
    return true;
  }

  close(code: number, reason: string): void {
    this.#ws.close(code, reason);
  }

  terminate(): void {
    this.#ws.terminate();
  }

  ping(): void {
    this.#ws.ping();
  }
}
