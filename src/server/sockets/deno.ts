/**
 * The adapter for Deno: `Deno.serve` and its standard server-side WebSocket. What differs there: no ping and
 * no drain event, abnormal ends carry code 0, a lost client's close is reported twice, 64 MiB a message
 * whatever is asked, an exception in a handler ends the process.
 */
import { utf8Length } from "../../lib/utf8_length.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { Socket, SocketEvents } from "../../lib/socket.ts";
import { wrapWebSocket } from "../../lib/standard_socket.ts";
import { localUrl, remoteAddress } from "../address.ts";
import type { Listener, ListenSettings } from "../contract.ts";
import { closingResponse, exchange, notAHandshake, type WantedUpgrade } from "../exchange.ts";
import { type Draining, DrainWatch, Watched } from "./drain_watch.ts";
import { LISTENER_CLOSE_MS, OpenSockets } from "./open_sockets.ts";
import type { RawSocket, ServerSocket } from "./server_socket.ts";

/** The reason Deno gives in the close event when a client did not answer its ping. */
const NO_PONG = "No response from ping frame.";

export function listenOnDeno(settings: ListenSettings): Listener {
  const sockets = new OpenSockets(settings);
  const watch = new DrainWatch(settings.clock);
  const waiting = new Set<(response: Response) => void>();
  const answering = new Set<Promise<void>>();
  const stop = new AbortController();
  const { hostname, port } = settings;
  const server = Deno.serve({ hostname, port, signal: stop.signal, onListen() {} }, (request, info) => {
    if (closed !== undefined) return closingResponse();
    const completed = info.completed.catch(() => undefined).finally(() => answering.delete(completed));
    answering.add(completed);
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
    await sockets.closeAll();
    const underWay = answering.size > 0;
    // Requests that hang get an answer; one that even then goes on (it streams for ever) is cut off. Deno's own
    // shutdown would wait for all of them, and for requests that never come whole, and could not be forced.
    const answers = settings.clock.timer(LISTENER_CLOSE_MS, () => {
      for (const resolve of waiting) resolve(closingResponse());
      waiting.clear();
    });
    await new Promise<void>((resolve) => {
      const giveUp = settings.clock.timer(2 * LISTENER_CLOSE_MS, resolve);
      void Promise.all(answering).finally(() => giveUp.cancel()).finally(resolve);
    });
    answers.cancel();
    // An answer is complete when Deno has taken it, which may be before the client has.
    if (underWay) await sleep(settings.clock, LISTENER_CLOSE_MS);
    stop.abort();
    await server.finished;
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
      cancelIdleTimer(webSocket);
      if (reason === NO_PONG) socket.ended(0, "");
      else socket.ended(code, reason);
    },
  };
  const raw = new DenoSocket(wrapWebSocket(cuttable, () => events, settings.clock), watch, settings.clock);
  const socket: ServerSocket = sockets.adopt(raw, wanted);
  raw.drained = () => socket.drained();
  socket.start();
}

class DenoSocket implements RawSocket, Draining {
  drained: () => void = () => {};
  readonly #socket: Socket;
  readonly #watch: DrainWatch;
  readonly #clock: Clock;
  readonly #watched: Watched;

  constructor(socket: Socket, watch: DrainWatch, clock: Clock) {
    this.#socket = socket;
    this.#watch = watch;
    this.#clock = clock;
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

  /**
   * A turn later: when it closes with messages of the client read already and not handed over, Deno ends the
   * connection without a close frame. A client that floods may still get none.
   */
  close(code: number, reason: string): void {
    this.#clock.timer(0, () => this.#socket.close(code, reason));
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
  cancelTimer(timer: object): void;
}

/** What Deno keeps behind a WebSocket under a symbol of this description. */
function internalOf(webSocket: WebSocket, description: string): unknown {
  const key = Object.getOwnPropertySymbols(webSocket).find((symbol) => symbol.description === description);
  return key === undefined ? undefined : Reflect.get(webSocket, key);
}

function denoCore(): DenoCore | undefined {
  return (Reflect.get(Deno, Reflect.get(Deno, "internal")) as { core?: DenoCore } | undefined)?.core;
}

/**
 * Cuts the TCP connection. Deno has no public way to do that with a server-side WebSocket, so this closes the
 * resource under it, as Deno's own idle timeout does. Should Deno move it, a close frame is what remains.
 */
function cut(webSocket: WebSocket): void {
  const resourceId = internalOf(webSocket, "[[rid]]");
  const core = denoCore();
  if (typeof resourceId === "number" && core !== undefined) core.tryClose(resourceId);
  else webSocket.close();
}

/**
 * Deno lets the timer of its idle timeout run on after a connection that was reset, and with it keeps the socket, and
 * the process, for half of that timeout. Should Deno move it, that is what remains.
 */
function cancelIdleTimer(webSocket: WebSocket): void {
  const timer = internalOf(webSocket, "[[idleTimeoutTimeout]]");
  if (typeof timer === "object" && timer !== null) denoCore()?.cancelTimer(timer);
}
