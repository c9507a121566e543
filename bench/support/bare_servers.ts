/** The relay's server on each runtime, on that runtime's fastest WebSockets, with nothing between them and it. */

/** One WebSocket at the server. */
export interface ServerEnd {
  send(data: Uint8Array<ArrayBuffer>): void;
}

export interface ServerHandlers {
  /** `id` of the URL; null for the peer's socket. */
  opened(socket: ServerEnd, id: string | null): void;
  /** A binary message of the peer. */
  message(socket: ServerEnd, data: Uint8Array<ArrayBuffer>): void;
}

export interface RelayServer {
  readonly port: number;
  stop(): Promise<void>;
}

interface RuntimeGlobals {
  readonly Deno?: object;
  readonly Bun?: object;
}

const HOST = "127.0.0.1";

export function serveRelay(handlers: ServerHandlers): Promise<RelayServer> {
  const { Deno, Bun } = globalThis as RuntimeGlobals;
  if (Deno !== undefined) return serveOnDeno(handlers);
  return Bun !== undefined ? serveOnBun(handlers) : serveOnNode(handlers);
}

function idOf(url: string): string | null {
  return new URL(url, `http://${HOST}`).searchParams.get("id");
}

async function serveOnDeno({ opened, message }: ServerHandlers): Promise<RelayServer> {
  const server = Deno.serve({ hostname: HOST, port: 0, onListen() {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.binaryType = "arraybuffer";
    const id = idOf(request.url);
    socket.onopen = () => opened(socket, id);
    socket.onmessage = (event: MessageEvent) => message(socket, new Uint8Array(event.data as ArrayBuffer));
    return response;
  });
  return { port: server.addr.port, stop: () => server.shutdown() };
}

async function serveOnBun({ opened, message }: ServerHandlers): Promise<RelayServer> {
  const server = Bun.serve<{ readonly id: string | null }>({
    hostname: HOST,
    port: 0,
    fetch: (request, server) =>
      server.upgrade(request, { data: { id: idOf(request.url) } })
        ? undefined
        : new Response(null, { status: 400 }),
    websocket: {
      backpressureLimit: 0,
      idleTimeout: 0,
      sendPings: false,
      perMessageDeflate: false,
      open: (socket) => opened(socket, socket.data.id),
      message: (socket, data) => {
        if (typeof data !== "string") message(socket, data as Uint8Array<ArrayBuffer>);
      },
    },
  });
  return { port: server.port ?? 0, stop: () => server.stop(true) };
}

async function serveOnNode({ opened, message }: ServerHandlers): Promise<RelayServer> {
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
