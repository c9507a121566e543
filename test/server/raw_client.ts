import net from "node:net";

/** A frame as it came from the server (RFC 6455, 5.2). */
export interface Frame {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

export const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/**
 * A WebSocket client made of bare TCP, which can do what no decent client does: never read, never answer,
 * vanish. It answers nothing by itself.
 */
export class RawClient {
  readonly frames: Frame[] = [];
  /** The status line and headers of the server's answer. */
  head = "";
  /** What followed the head of a refusal. */
  body = "";
  ended = false;
  readonly #tcp: net.Socket;
  #bytes = new Uint8Array(0);

  private constructor(tcp: net.Socket) {
    this.#tcp = tcp;
    tcp.on("data", (chunk: Uint8Array) => this.#received(chunk));
    tcp.on("error", () => this.ended = true);
    tcp.on("end", () => this.ended = true);
    tcp.on("close", () => this.ended = true);
  }

  /** Connects and sends the handshake; `status` is known when `head` is not empty. */
  static connect(
    port: number,
    path: string,
    headers: Record<string, string> = {},
    localAddress?: string,
  ): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const options = { port, host: "127.0.0.1", noDelay: true };
      const tcp = net.connect(localAddress === undefined ? options : { ...options, localAddress });
      tcp.once("error", reject);
      tcp.once("connect", () => {
        tcp.off("error", reject);
        const all = {
          host: `127.0.0.1:${port}`,
          upgrade: "websocket",
          connection: "Upgrade",
          "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
          "sec-websocket-version": "13",
          ...headers,
        };
        const lines = Object.entries(all).filter(([, value]) => value !== "").map(([name, value]) =>
          `${name}: ${value}`
        );
        tcp.write([`GET ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n"));
        resolve(new RawClient(tcp));
      });
    });
  }

  get status(): number {
    return Number(this.head.split(" ")[1] ?? 0);
  }

  /** Sends one whole frame, masked with zeros. */
  send(opcode: number, payload: Uint8Array | string): void {
    const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
    const long = bytes.byteLength > 65_535 ? 8 : bytes.byteLength > 125 ? 2 : 0;
    const frame = new Uint8Array(2 + long + 4 + bytes.byteLength);
    const view = new DataView(frame.buffer);
    frame[0] = 0x80 | opcode;
    frame[1] = 0x80 | (long === 8 ? 127 : long === 2 ? 126 : bytes.byteLength);
    if (long === 2) view.setUint16(2, bytes.byteLength);
    if (long === 8) view.setBigUint64(2, BigInt(bytes.byteLength));
    frame.set(bytes, 6 + long);
    this.#tcp.write(frame);
  }

  sendClose(code: number, reason = ""): void {
    const text = new TextEncoder().encode(reason);
    const payload = new Uint8Array(2 + text.byteLength);
    new DataView(payload.buffer).setUint16(0, code);
    payload.set(text, 2);
    this.send(OPCODE.close, payload);
  }

  pause(): void {
    this.#tcp.pause();
  }

  resume(): void {
    this.#tcp.resume();
  }

  /** The connection is gone without a word. */
  destroy(): void {
    this.#tcp.destroy();
  }

  /** The server's close frame, once it is there. */
  closeFrame(): { code: number; reason: string } | undefined {
    const payload = this.frames.find((frame) => frame.opcode === OPCODE.close)?.payload;
    if (payload === undefined) return undefined;
    if (payload.byteLength < 2) return { code: 1005, reason: "" };
    return {
      code: (payload[0] ?? 0) * 256 + (payload[1] ?? 0),
      reason: new TextDecoder().decode(payload.subarray(2)),
    };
  }

  #received(chunk: Uint8Array): void {
    const joined = new Uint8Array(this.#bytes.byteLength + chunk.byteLength);
    joined.set(this.#bytes);
    joined.set(chunk, this.#bytes.byteLength);
    this.#bytes = joined;
    if (this.head === "") this.#readHead();
    if (this.head === "") return;
    if (this.status !== 101) {
      this.body += new TextDecoder().decode(this.#bytes);
      this.#bytes = new Uint8Array(0);
      return;
    }
    while (this.#readFrame());
  }

  #readHead(): void {
    const text = new TextDecoder("latin1").decode(this.#bytes);
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) return;
    this.head = text.slice(0, end);
    this.#bytes = this.#bytes.slice(end + 4);
  }

  #readFrame(): boolean {
    const bytes = this.#bytes;
    if (bytes.byteLength < 2) return false;
    const short = (bytes[1] ?? 0) & 0x7f;
    const start = short === 127 ? 10 : short === 126 ? 4 : 2;
    if (bytes.byteLength < start) return false;
    const view = new DataView(bytes.buffer);
    const length = short === 127 ? Number(view.getBigUint64(2)) : short === 126 ? view.getUint16(2) : short;
    if (bytes.byteLength < start + length) return false;
    this.frames.push({ opcode: (bytes[0] ?? 0) & 0x0f, payload: bytes.slice(start, start + length) });
    this.#bytes = bytes.slice(start + length);
    return true;
  }
}
