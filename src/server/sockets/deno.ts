/**
 * The adapter for Deno: `Deno.serve` and its standard server-side WebSocket. What differs there: no ping and
 * no drain event, abnormal ends carry code 0, a lost client's close is reported twice, 64 MiB a message
 * whatever is asked, an exception in a handler ends the process.
 */
import { utf8Length } from "../../lib/utf8_length.ts";
import type { Socket, SocketEvents } from "../../lib/socket.ts";
import { wrapWebSocket } from "../../lib/standard_socket.ts";
import { localUrl, remoteAddress } from "../address.ts";
import type { Listener, ListenSettings } from "../contract.ts";
import { errorResponse, exchange, notAHandshake, type WantedUpgrade } from "../exchange.ts";
import { type Draining, DrainWatch, Watched } from "./drain_watch.ts";
import { LISTENER_CLOSE_MS, OpenSockets } from "./open_sockets.ts";
import type { RawSocket, ServerSocket } from "./server_socket.ts";

/** The reason Deno gives in the close event when a client did not answer its ping. */
const NO_PONG = "No response from ping frame.";

export function listenOnDeno(settings: ListenSettings): Listener {
  const sockets = new OpenSockets(settings);
  const watch = new DrainWatch(settings.clock);
  const waiting = new Set<(response: Response) => void>();
  const { hostname, port } = settings;
  const server = Deno.serve({ hostname, port, onListen() {} }, (request, info) => {
    const address = info.remoteAddr as Deno.NetAddr;
    return new Promise<Response>((resolve) => {
      waiting.add(resolve);
      void exchange(settings, request, remoteAddress(address.hostname, address.port)).then((answer) => {
        if (!waiting.delete(resolve)) return;
        if (answer.kind === "response") resolve(answer.response);
        else resolve(upgrade(request, answer.upgrade, sockets, settings, watch));
      });
    });
  });
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const stopped = server.shutdown();
    await sockets.closeAll();
    // The shutdown waits for every answer, and once begun it cannot be forced: so hanging requests get one.
    // What even then goes on (a response that streams for ever) is left behind.
    const answers = settings.clock.timer(LISTENER_CLOSE_MS, () => {
      for (const resolve of waiting) resolve(errorResponse(503, "not-running", "the server is closing"));
      waiting.clear();
    });
    await new Promise<void>((resolve) => {
      const giveUp = settings.clock.timer(2 * LISTENER_CLOSE_MS, resolve);
      void stopped.then(() => giveUp.cancel()).finally(resolve);
    });
    answers.cancel();
  };
  return {
    hostname,
    port: server.addr.port,
    url: localUrl(hostname, server.addr.port),
    close: () => closed ??= close(),
  };
}

function upgrade(
  request: Request,
  wanted: WantedUpgrade,
  sockets: OpenSockets,
  settings: ListenSettings,
  watch: DrainWatch,
): Response {
  // Half of idleTimeout after the last sign of life Deno pings, and cuts after the other half.
  const idleTimeout = Math.max(1, Math.round((2 * settings.pingIntervalMs) / 1_000));
  let socket: WebSocket;
  let response: Response;
  try {
    ({ socket, response } = Deno.upgradeWebSocket(request, { idleTimeout }));
  } catch {
    return notAHandshake();
  }
  // Given as an option, the protocol would be looked for in the header by exact ", " and fail on "a,b".
  if (wanted.protocol !== undefined) response.headers.set("sec-websocket-protocol", wanted.protocol);
  attach(socket, wanted, sockets, settings, watch);
  return response;
}

function attach(
  webSocket: WebSocket,
  wanted: WantedUpgrade,
  sockets: OpenSockets,
  settings: ListenSettings,
  watch: DrainWatch,
): void {
  webSocket.onopen = () => {
    // It holds the request, which need not live as long as the socket.
    webSocket.onopen = null;
    opened(webSocket, wanted, sockets, settings, watch);
  };
  webSocket.onerror = preventDefault;
}

function opened(
  webSocket: WebSocket,
  wanted: WantedUpgrade,
  sockets: OpenSockets,
  settings: ListenSettings,
  watch: DrainWatch,
): void {
  const cuttable = Object.assign(webSocket, { terminate: cutThis });
  // No drain is asked for: the watch sees to all sockets together.
  const events: SocketEvents = {
    message: (data) => socket.received(data),
    close: (code, reason) => {
      raw.closed();
      if (reason === NO_PONG) socket.ended(0, "");
      else socket.ended(code, reason);
    },
  };
  const raw = new DenoSocket(wrapWebSocket(cuttable, () => events, settings.clock), watch);
  const socket: ServerSocket = sockets.adopt(raw, wanted);
  raw.drained = () => socket.drained();
  socket.start();
}

class DenoSocket implements RawSocket, Draining {
  drained: () => void = () => {};
  readonly #socket: Socket;
  readonly #watch: DrainWatch;
  readonly #watched: Watched;

  constructor(socket: Socket, watch: DrainWatch) {
    this.#socket = socket;
    this.#watch = watch;
    this.#watched = new Watched(this);
  }

  /** As of the last look, and what was sent since: what left meanwhile seems to leave a little later. */
  get bufferedBytes(): number {
    return this.#watched.bytes;
  }

  look(): number {
    return this.#socket.bufferedBytes;
  }

  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    if (!this.#socket.send(data)) return false;
    this.#watch.given(this.#watched, typeof data === "string" ? utf8Length(data) : data.byteLength);
    return true;
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  closed(): void {
    this.#watch.forget(this.#watched);
  }
}

function preventDefault(event: Event): void {
  event.preventDefault();
}

function cutThis(this: WebSocket): void {
  cut(this);
}

interface DenoCore {
  tryClose(resourceId: number): void;
}

/**
 * Cuts the TCP connection. Deno has no public way to do that with a server-side WebSocket, so this closes the
 * resource under it, as Deno's own idle timeout does. Should Deno move it, a close frame is what remains.
 */
function cut(webSocket: WebSocket): void {
  const internal = Reflect.get(Deno, Reflect.get(Deno, "internal")) as { core?: DenoCore } | undefined;
  const key = Object.getOwnPropertySymbols(webSocket).find((symbol) => symbol.description === "[[rid]]");
  const resourceId: unknown = key === undefined ? undefined : Reflect.get(webSocket, key);
  if (typeof resourceId === "number" && internal?.core !== undefined) internal.core.tryClose(resourceId);
  else webSocket.close();
}
