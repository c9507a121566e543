/** A WebSocket on loopback whose bytes go to a TCP port and back, as relays before AMQP brokers do. */
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { WebSocketServer } from "ws";

const PORTS = { "amqp:": 5_672, "amqps:": 5_671 } as const;

export interface Relay extends AsyncDisposable {
  readonly url: string;
  /** Ends every connection. */
  cut(): Promise<void>;
}

/** To the port of an `amqp://` or `amqps://` URL, whose user, password and virtual host are in the relay's too. */
export async function startRelay(amqpUrl: string): Promise<Relay> {
  const broker = new URL(amqpUrl);
  const tls = broker.protocol === "amqps:";
  const host = broker.hostname, port = Number(broker.port) || PORTS[tls ? "amqps:" : "amqp:"];
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
  server.on("connection", (webSocket) => {
    const socket = tls ? connectTls({ host, port, servername: host }) : connect({ host, port });
    socket.setNoDelay(true);
    webSocket.on("message", (data: Uint8Array) => void socket.write(data));
    webSocket.on("close", () => socket.destroy());
    webSocket.on("error", () => socket.destroy());
    socket.on("data", (bytes) => webSocket.send(bytes));
    socket.on("close", () => webSocket.close());
    socket.on("error", () => webSocket.terminate());
  });
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the relay has no port");
  const url = new URL(`ws://127.0.0.1:${address.port}/ws/amqp`);
  [url.username, url.password] = [broker.username, broker.password];
  if (broker.pathname.length > 1) url.search = `vhost=${broker.pathname.slice(1)}`;
  return {
    url: url.href,
    async cut() {
      for (const client of server.clients) client.terminate();
    },
    async [Symbol.asyncDispose]() {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
