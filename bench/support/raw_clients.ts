/**
 * Clients that cost the machine next to nothing, so that thousands of them fit beside the server that is measured:
 * WebSockets (RFC 6455) by hand on Bun's plain sockets, which count bytes and answer pings. For Bun only.
 */

/** Handshakes under way at once. */
const CONNECTING_MAX = 128;
const CONNECT_MS_MAX = 60_000;
/** An empty ping as servers send it, and the answer with the mask that clients must use. */
const PING = [0x89, 0x00];
const PONG = Uint8Array.of(0x8a, 0x80, 0, 0, 0, 0);
const HEAD_END = "\r\n\r\n";

export interface RawClients {
  /** Bytes of frames that came in since the start, over all clients. */
  readonly receivedBytes: number;
  /** Clients whose socket has closed. */
  readonly closed: number;
  close(): void;
}

/** Bytes of a server's frame around a message, for payloads below 64 KiB. */
export function frameBytes(payloadBytes: number): number {
  return payloadBytes + (payloadBytes < 126 ? 2 : 4);
}

/** Connects one client for each id to `clientUrl?id=…`. Rejects unless all are accepted. */
export async function connectRawClients(clientUrl: string, ids: readonly string[]): Promise<RawClients> {
  const { hostname, port, pathname } = new URL(clientUrl);
  const sockets: { end(): void }[] = [];
  const state = { receivedBytes: 0, closed: 0 };
  const deadline = performance.now() + CONNECT_MS_MAX;

  const connect = (id: string): Promise<void> =>
    new Promise((resolve, reject) => {
      let head = "";
      let upgraded = false;
      const failed = (why: string): void => reject(new Error(`connect client ${id} to ${clientUrl}: ${why}`));
      Bun.connect({
        hostname,
        port: Number(port),
        socket: {
          open(socket) {
            sockets.push(socket);
            socket.write(handshake(`${pathname}?id=${id}`, `${hostname}:${port}`));
          },
          data(socket, bytes) {
            if (upgraded) {
              state.receivedBytes += bytes.byteLength;
              if (bytes.byteLength === 2 && bytes[0] === PING[0] && bytes[1] === PING[1]) socket.write(PONG);
              return;
            }
            head += bytes.toString("latin1");
            const end = head.indexOf(HEAD_END);
            if (end < 0) return;
            if (!head.startsWith("HTTP/1.1 101")) return failed(head.slice(0, head.indexOf("\r\n")));
            upgraded = true;
            state.receivedBytes += head.length - end - HEAD_END.length;
            head = "";
            resolve();
          },
          close() {
            state.closed++;
            if (!upgraded) failed("it was closed");
          },
          error: (_socket, error) => failed(error.message),
          connectError: (_socket, error) => failed(error.message),
        },
      }).catch((error: Error) => failed(error.message));
    });

  let next = 0;
  const line = async (): Promise<void> => {
    while (next < ids.length) {
      if (performance.now() > deadline) throw new Error(`connect ${ids.length} clients: not within a minute`);
      await connect(ids[next++] ?? "");
    }
  };
  await Promise.all(Array.from({ length: CONNECTING_MAX }, line));
  return Object.assign(state, {
    close() {
      for (const socket of sockets) socket.end();
    },
  });
}

function handshake(path: string, host: string): string {
  return [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    // Any 16 bytes: nobody looks at the answer to them.
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "\r\n",
  ].join("\r\n");
}
