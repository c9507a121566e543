/**
 * A server on each runtime's fastest WebSockets, with nothing between them and the bench: what the
 * library's figures are held against.
 */

/** One WebSocket at the server: `ws` on Node, ServerWebSocket on Bun, WebSocket on Deno. */
export type ServerEnd =
  & { send(data: Uint8Array<ArrayBuffer>): void }
  & ({ readonly bufferedAmount: number } | { getBufferedAmount(): number });

export interface ServerHandlers {
  /** `id` is that of the URL, if it has one. */
  opened(socket: ServerEnd, id: string | null): void;
  /** A binary message. */
  message(socket: ServerEnd, data: Uint8Array<ArrayBuffer>): void;
}

export interface BareServer {
  readonly port: number;
  stop(): Promise<void>;
}

interface RuntimeGlobals {
  readonly Deno?: object;
  readonly Bun?: object;
}

const HOST = "127.0.0.1";
/** The runtimes' own pings are off, so that messages are all they have to do. */
const NEVER = 0;

/**
 * `idleTimeoutS`: silent clients are pinged, and cut after that long, where the runtime can do so by itself
 * (not Node).
 */
export function serveBare(handlers: ServerHandlers, idleTimeoutS: number = NEVER): Promise<BareServer> {
  const { Deno, Bun } = globalThis as RuntimeGlobals;
  if (Deno !== undefined) return serveOnDeno(handlers, idleTimeoutS);
  return Bun !== undefined ? serveOnBun(handlers, idleTimeoutS) : serveOnNode(handlers);
}

/** Bytes that the kernel has not yet taken. */
export function bufferedBytes(socket: ServerEnd): number {
  return "bufferedAmount" in socket ? socket.bufferedAmount : socket.getBufferedAmount();
}

function idOf(url: string): string | null {
  return new URL(url, `http://${HOST}`).searchParams.get("id");
}

async function serveOnDeno({ opened, message }: ServerHandlers, idleTimeout: number): Promise<BareServer> {
  const server = Deno.serve({ hostname: HOST, port: 0, onListen() {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout });
    socket.binaryType = "arraybuffer";
    const id = idOf(request.url);
    socket.onopen = () => opened(socket, id);
    socket.onmessage = (event: MessageEvent) => message(socket, new Uint8Array(event.data as ArrayBuffer));
    return response;
  });
  return { port: server.addr.port, stop: () => server.shutdown() };
}

async function serveOnBun({ opened, message }: ServerHandlers, idleTimeout: number): Promise<BareServer> {
  const server = Bun.serve<{ readonly id: string | null }>({
    hostname: HOST,
    port: 0,
    fetch: (request, server) =>
      server.upgrade(request, { data: { id: idOf(request.url) } })
        ? undefined
        : new Response(null, { status: 400 }),
    websocket: {
      backpressureLimit: 0,
      idleTimeout,
      sendPings: idleTimeout !== NEVER,
      perMessageDeflate: false,
      open: (socket) => opened(socket, socket.data.id),
      message: (socket, data) => {
        if (typeof data !== "string") message(socket, data as Uint8Array<ArrayBuffer>);
      },
    },
  });
  return { port: server.port ?? 0, stop: () => server.stop(true) };
}

async function serveOnNode({ opened, message }: ServerHandlers): Promise<BareServer> {
  const { WebSocketServer } = await import("ws");
  const server = new WebSocketServer({ host: HOST, port: 0, perMessageDeflate: false, clientTracking: true });
  await new Promise((resolve) => server.once("listening", resolve));
  server.on("connection", (socket, request) => {
    opened(socket, idOf(request.url ?? "/"));
    socket.on("message", (data: Buffer<ArrayBuffer>) => message(socket, data));
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    async stop() {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}
