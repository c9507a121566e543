import net from "node:net";

/** How a request says where its body ends (RFC 9112, 6): by its length, or by a last chunk. */
export type Framing = "content-length" | "chunked";
export const FRAMINGS: readonly Framing[] = ["content-length", "chunked"];

const PIECE: Uint8Array = new Uint8Array(64 * 1024).fill(7);
const CRLF = "\r\n";

/**
 * A client of bare TCP that uploads one body and can do what no decent client does: break off, and know what
 * the other side has taken so far.
 */
export class Uploader {
  /** Bytes of the body that have left for the kernel. */
  takenBytes = 0;
  /** All that the server has said. */
  answer = "";
  /** The connection is gone, by whomever. */
  closed = false;
  readonly #tcp: net.Socket;
  readonly #framing: Framing;
  /** Of the body, those announced. */
  readonly #bytes: number;

  private constructor(tcp: net.Socket, framing: Framing, bytes: number) {
    this.#tcp = tcp;
    this.#framing = framing;
    this.#bytes = bytes;
    tcp.setEncoding("latin1");
    tcp.on("data", (text: unknown) => this.answer += String(text));
    tcp.on("error", () => this.closed = true);
    tcp.on("close", () => this.closed = true);
  }

  /** Connects and sends the head of a PUT whose body will have `bytes` bytes. */
  static connect(port: number, path: string, framing: Framing, bytes: number): Promise<Uploader> {
    return new Promise((resolve, reject) => {
      const tcp = net.connect({ port, host: "127.0.0.1" });
      tcp.once("error", reject);
      tcp.once("connect", () => {
        tcp.off("error", reject);
        const length = framing === "chunked" ? "transfer-encoding: chunked" : `content-length: ${bytes}`;
        tcp.write([`PUT ${path} HTTP/1.1`, `host: 127.0.0.1:${port}`, length, "", ""].join(CRLF));
        resolve(new Uploader(tcp, framing, bytes));
      });
    });
  }

  get status(): number {
    return Number(this.answer.split(" ")[1] ?? 0);
  }

  /** Sends the body's next `bytes` bytes; resolves when the kernel has them or the connection is gone. */
  async send(bytes: number): Promise<void> {
    for (let left = bytes; left > 0 && !this.closed; left -= PIECE.byteLength) {
      const piece = PIECE.subarray(0, Math.min(left, PIECE.byteLength));
      if (this.#framing === "chunked") this.#tcp.write(piece.byteLength.toString(16) + CRLF);
      if (await this.#written(piece)) this.takenBytes += piece.byteLength;
      if (this.#framing === "chunked") this.#tcp.write(CRLF);
    }
  }

  /** Sends the whole body, and its end. */
  async sendAll(): Promise<void> {
    await this.send(this.#bytes);
    if (this.#framing === "chunked" && !this.closed) this.#tcp.write(`0${CRLF}${CRLF}`);
  }

  /** Says that nothing more comes, as a client that ends does (FIN). */
  end(): void {
    this.#tcp.end();
  }

  /** The connection is gone without a word (RST). */
  reset(): void {
    this.#tcp.resetAndDestroy();
  }

  destroy(): void {
    this.#tcp.destroy();
  }

  #written(piece: Uint8Array): Promise<boolean> {
    return new Promise((resolve) => {
      const gone = (): void => resolve(false);
      this.#tcp.once("close", gone);
      this.#tcp.write(piece, (error) => {
        this.#tcp.off("close", gone);
        resolve(error === undefined || error === null);
      });
    });
  }
}
