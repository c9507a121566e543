/**
 * Clients that cost the machine next to nothing, so that thousands of them fit beside the server that is
 * measured: WebSockets (RFC 6455) by hand on Bun's plain sockets, which count messages and answer pings.
 * For Bun only.
 */

/** Handshakes under way at once. */
const CONNECTING_MAX = 128;
const CONNECT_MS_MAX = 60_000;
/** The answer to an empty ping, with the mask that clients must use. */
const PONG = Uint8Array.of(0x8a, 0x80, 0, 0, 0, 0);
const OPCODE = { text: 1, binary: 2, ping: 9 } as const;
const HEAD_END = "\r\n\r\n";

export interface RawClients {
  /** Messages that came in since the start, over all clients. */
  readonly messages: number;
  /** Clients whose socket has closed. */
  readonly closed: number;
  close(): void;
}

/** Finds the frames in what a server sends, however it is cut. */
class Frames {
  /** Of the frame that is under way. */
  #head: number[] = [];
  #opcode = 0;
  #payloadLeft = 0;
  readonly #ended: (opcode: number) => void;

  /** `ended` hears the opcode of each frame whose last byte has come. */
  constructor(ended: (opcode: number) => void) {
    this.#ended = ended;
  }

  take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength;) {
      if (this.#payloadLeft > 0) {
        const taken = Math.min(this.#payloadLeft, bytes.byteLength - at);
        at += taken;
        this.#payloadLeft -= taken;
        if (this.#payloadLeft === 0) this.#ended(this.#opcode);
      } else this.#takeHead(bytes[at++] ?? 0);
    }
  }

  #takeHead(byte: number): void {
    const head = this.#head;
    head.push(byte);
    const [first = 0, length = 0] = head;
    const lengthBytes = length === 126 ? 2 : length === 127 ? 8 : 0;
    if (head.length < 2 + lengthBytes) return;
    this.#opcode = first & 15;
    this.#payloadLeft = lengthBytes === 0 ? length : head.slice(2).reduce((sum, each) => sum * 256 + each, 0);
    head.length = 0;
    if (this.#payloadLeft === 0) this.#ended(this.#opcode);
  }
}

/** Connects one client for each id to `clientUrl?id=…`. Rejects unless all are accepted. */
export async function connectRawClients(clientUrl: string, ids: readonly string[]): Promise<RawClients> {
  const { hostname, port, pathname } = new URL(clientUrl);
  const sockets: { end(): void }[] = [];
  const state = { messages: 0, closed: 0 };
  const deadline = performance.now() + CONNECT_MS_MAX;

  const connect = (id: string): Promise<void> =>
    new Promise((resolve, reject) => {
      let head = "";
      let frames: Frames | undefined;
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
            if (frames !== undefined) return frames.take(bytes);
            head += bytes.toString("latin1");
            const end = head.indexOf(HEAD_END);
            if (end < 0) return;
            if (!head.startsWith("HTTP/1.1 101")) return failed(head.slice(0, head.indexOf("\r\n")));
            frames = new Frames((opcode) => {
              if (opcode === OPCODE.binary || opcode === OPCODE.text) state.messages++;
              else if (opcode === OPCODE.ping) socket.write(PONG);
            });
            // Only what came with the head, and none of it twice.
            frames.take(bytes.subarray(bytes.byteLength - (head.length - end - HEAD_END.length)));
            head = "";
            resolve();
          },
          close() {
            state.closed++;
            if (frames === undefined) failed("it was closed");
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
