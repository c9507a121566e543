/** A port on loopback behind which somebody else stands than one expects, until that is put right. */
import http from "node:http";
import net from "node:net";
import { WebSocketServer } from "ws";

/** What becomes of a connection. */
export type Answers = (socket: net.Socket) => void;

const NOT_FOUND = http.createServer((_request, response) => response.writeHead(404).end("not here"));
const TALKER = new WebSocketServer({ noServer: true });
TALKER.on("connection", (webSocket) => webSocket.send("what do you want?"));
const TALKING = http.createServer();
TALKING.on(
  "upgrade",
  (request, socket, head) =>
    TALKER.handleUpgrade(request, socket, head, (webSocket) => TALKER.emit("connection", webSocket, request)),
);

/** Those that need no program of their own. */
export const STRANGERS: Readonly<
  Record<"closes" | "resets" | "talksNonsense" | "isHttp" | "talksText", Answers>
> = {
  closes: (socket) => void socket.destroy(),
  resets: (socket) => void socket.resetAndDestroy(),
  talksNonsense: (socket) => void socket.write(Uint8Array.from({ length: 4_096 }, (_, at) => at * at)),
  isHttp: (socket) => void NOT_FOUND.emit("connection", socket),
  talksText: (socket) => void TALKING.emit("connection", socket),
};

/** Whoever is at another port. */
export function passesOn(url: string): Answers {
  const port = Number(new URL(url).port);
  return (socket) => {
    const other = net.connect(port, "127.0.0.1");
    socket.pipe(other).pipe(socket);
    other.on("error", () => socket.destroy());
    other.on("close", () => socket.destroy());
    socket.on("close", () => other.destroy());
  };
}

export class StandIn implements AsyncDisposable {
  /** Connections that have come to who stands there now. */
  attempts = 0;
  readonly port: number;
  #answers: Answers;
  readonly #server: net.Server;
  readonly #sockets: Set<net.Socket>;

  private constructor(server: net.Server, sockets: Set<net.Socket>, answers: Answers) {
    this.#server = server;
    this.#sockets = sockets;
    this.#answers = answers;
    this.port = (server.address() as net.AddressInfo).port;
  }

  static async start(answers: Answers): Promise<StandIn> {
    const sockets = new Set<net.Socket>();
    const server = net.createServer((socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      socket.on("error", () => undefined);
      self.attempts++;
      self.#answers(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const self = new StandIn(server, sockets, answers);
    return self;
  }

  /** Somebody else stands there from now on; whoever is connected is cut off. */
  become(answers: Answers): void {
    this.attempts = 0;
    this.#answers = answers;
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
