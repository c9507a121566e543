/** A WebSocket on loopback whose bytes go to a TCP port and back, as relays before AMQP brokers do. */
import { connect } from "node:net";
import { WebSocketServer } from "ws";

export interface Relay extends AsyncDisposable {
  readonly url: string;
  /** Ends every connection. */
  cut(): Promise<void>;
}

export async function startRelay(port: number): Promise<Relay> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
  server.on("connection", (webSocket) => {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
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
  return {
    url: `ws://127.0.0.1:${address.port}/ws/amqp`,
    async cut() {
      for (const client of server.clients) client.terminate();
    },
    async [Symbol.asyncDispose]() {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
