/**
 * Socket.IO with its Redis adapters, set up as its documentation says and tuned where it allows: WebSocket only, no
 * compression, answers on a channel of their own. Each message is a broadcast to the client's room with an
 * acknowledgement, the only one of its calls that tells a sender on another server what became of the message.
 */
import { createAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import type { Contender, Setup } from "./contract.ts";

const ANSWER_TIMEOUT_MS = 5_000;

interface Cluster {
  readonly server: Server;
  stop(): Promise<void>;
}

async function join({ redisUrl }: Setup, adapter: "pub/sub" | "streams"): Promise<Cluster> {
  if (redisUrl === null) throw new Error("start Socket.IO: it needs a Redis");
  const publisher = createClient({ url: redisUrl });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const server = new Server({
    adapter: adapter === "streams"
      ? createStreamsAdapter(publisher)
      : createAdapter(publisher, subscriber, { publishOnSpecificResponseChannel: true }),
    transports: ["websocket"],
    perMessageDeflate: false,
    httpCompression: false,
    serveClient: false,
  });
  return {
    server,
    async stop() {
      await server.close();
      publisher.destroy();
      subscriber.destroy();
    },
  };
}

export const socketIo: Contender = contender("pub/sub");
export const socketIoStreams: Contender = contender("streams");

function contender(adapter: "pub/sub" | "streams"): Contender {
  return {
    async own(setup) {
      const { server, stop } = await join(setup, adapter);
      server.on("connection", (socket) => void socket.join(String(socket.handshake.query["id"])));
      const { createServer } = await import("node:http");
      const http = createServer();
      server.attach(http);
      await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
      const address = http.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      return { peerUrl: "", clientUrl: `http://127.0.0.1:${port}`, stop };
    },

    async sendTo(_peerUrl, _connectionIds, setup) {
      const { server, stop } = await join(setup, adapter);
      return {
        async send(connectionId, payload) {
          const room = server.to(connectionId).timeout(ANSWER_TIMEOUT_MS);
          const answers: readonly unknown[] = await room.emitWithAck("message", payload);
          if (answers.length !== 1) {
            throw new Error(`a message to ${connectionId} had ${answers.length} answers`);
          }
        },
        stop,
      };
    },

    async connect(clientUrl, connectionId, received) {
      const socket = io(clientUrl, {
        transports: ["websocket"],
        query: { id: connectionId },
        forceNew: true,
      });
      socket.on("message", (payload: ArrayBuffer | Uint8Array, answer: () => void) => {
        received(payload instanceof ArrayBuffer ? new Uint8Array(payload) : payload);
        answer();
      });
      await new Promise<void>((resolve, reject) => {
        socket.on("connect", resolve);
        socket.on("connect_error", reject);
      });
      return { close: () => void socket.close() };
    },
  };
}
