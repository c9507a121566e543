/** A WebSocket (RFC 6455) by hand on Bun's plain sockets, which costs the machine next to nothing. For Bun only. */
import type { Bytes } from "../../src/lib/bytes.ts";

export const OPCODE = { text: 1, binary: 2, ping: 9 } as const;
const HEAD_END = "\r\n\r\n";

export interface RawSocket {
  write(data: string | Bytes): number;
  pause(): void;
  resume(): void;
  end(): void;
}

export interface RawSocketOptions {
  readonly clientUrl: string;
  readonly id: string;
  /** The subprotocol to offer. */
  readonly protocol?: string;
  /** Whatever comes behind the head of the server's answer. */
  readonly received: (bytes: Uint8Array, socket: RawSocket) => void;
  readonly closed: () => void;
}

/** Connects to `clientUrl?id=…`; rejects unless that is accepted. */
export function openRawSocket(
  { clientUrl, id, protocol, received, closed }: RawSocketOptions,
): Promise<RawSocket> {
  const { hostname, port, pathname } = new URL(clientUrl);
  return new Promise((resolve, reject) => {
    let head: string | undefined = "";
    const failed = (why: string): void => reject(new Error(`connect client ${id} to ${clientUrl}: ${why}`));
    Bun.connect({
      hostname,
      port: Number(port),
      socket: {
        open: (socket) =>
          void socket.write(handshake(`${pathname}?id=${id}`, `${hostname}:${port}`, protocol)),
        data(socket, bytes) {
          if (head === undefined) return received(bytes, socket);
          head += bytes.toString("latin1");
          const end = head.indexOf(HEAD_END);
          if (end < 0) return;
          if (!head.startsWith("HTTP/1.1 101")) return failed(head.slice(0, head.indexOf("\r\n")));
          // Only what came with the head, and none of it twice.
          const rest = bytes.subarray(bytes.byteLength - (head.length - end - HEAD_END.length));
          head = undefined;
          resolve(socket);
          received(rest, socket);
        },
        close() {
          closed();
          failed("it was closed");
        },
        error: (_socket, error) => failed(error.message),
        connectError: (_socket, error) => failed(error.message),
      },
    }).catch((error: Error) => failed(error.message));
  });
}

/** A frame whose last byte has come. */
export interface RawFrame {
  readonly opcode: number;
  /** Bytes of its payload. */
  readonly length: number;
  /** The first of them, as many as are kept; valid until the next frame. */
  readonly kept: Bytes;
}

/** Finds the frames in what a server sends, however it is cut; looks at the first `keptBytes` of each payload only. */
export class FrameReader {
  readonly #ended: (frame: RawFrame) => void;
  readonly #kept: Bytes;
  /** Of the frame that is under way. */
  readonly #head: number[] = [];
  #opcode = 0;
  #length = 0;
  #left = 0;

  constructor(ended: (frame: RawFrame) => void, keptBytes: number = 0) {
    this.#ended = ended;
    this.#kept = new Uint8Array(keptBytes);
  }

  take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength;) {
      if (this.#left === 0) this.#takeHead(bytes[at++] ?? 0);
      else {
        const filled = this.#length - this.#left;
        const end = Math.min(bytes.byteLength, at + this.#left);
        const room = this.#kept.byteLength - filled;
        if (room > 0) this.#kept.set(bytes.subarray(at, Math.min(end, at + room)), filled);
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#end();
      }
    }
  }

  #takeHead(byte: number): void {
    const head = this.#head;
    head.push(byte);
    const [first = 0, length = 0] = head;
    const lengthBytes = length === 126 ? 2 : length === 127 ? 8 : 0;
    if (head.length < 2 + lengthBytes) return;
    this.#opcode = first & 15;
    this.#length = lengthBytes === 0 ? length : head.slice(2).reduce((sum, each) => sum * 256 + each, 0);
    this.#left = this.#length;
    head.length = 0;
    if (this.#left === 0) this.#end();
  }

  #end(): void {
    this.#ended({ opcode: this.#opcode, length: this.#length, kept: this.#kept.subarray(0, this.#length) });
  }
}

function handshake(path: string, host: string, protocol: string | undefined): string {
  return [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    // Any 16 bytes: nobody looks at the answer to them.
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
    "\r\n",
  ].join("\r\n");
}
