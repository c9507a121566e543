/**
 * What a good programmer would write by hand for two servers that never fail: one WebSocket between them, the
 * messages of a turn in one frame, one count as the answer. It names no errors, keeps no order across owners, finds
 * nothing, bounds nothing: the least that moving the bytes and answering each call costs on a runtime.
 */
import { type ClientWebSocket, openClientWebSocket } from "../../src/lib/client_websocket.ts";
import type { Contender } from "./contract.ts";
import { connectPlainClient } from "./plain_client.ts";
import { serveBare, type ServerEnd } from "../support/bare_servers.ts";
import { decodeBatch, decodeCount, encodeBatches, encodeCount, type Outgoing } from "./relay_wire.ts";

export const relay: Contender = {
  async own() {
    const clients: (ServerEnd | undefined)[] = [];
    const server = await serveBare({
      opened(socket, id) {
        if (id !== null) clients[numberOf(id)] = socket;
      },
      message(peer, frame) {
        const count = decodeBatch(frame, (connection, payload) => clients[connection]?.send(payload));
        // At once: the socket of a Deno sender would else hold its next frame back for 40 ms.
        peer.send(encodeCount(count));
      },
    });
    const url = `ws://127.0.0.1:${server.port}/`;
    return { peerUrl: url, clientUrl: url, stop: () => server.stop() };
  },

  async sendTo(peerUrl, connectionIds) {
    const { webSocket: socket } = await new Promise<ClientWebSocket>((resolve, reject) => {
      openClientWebSocket(peerUrl, { headers: {}, protocols: [] }, resolve).catch(reject);
    });
    socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error(`connect to ${peerUrl}: it failed`)));
    });
    const numbers = new Map(connectionIds.map((id) => [id, numberOf(id)]));
    let batch: Outgoing[] = [];
    /** One for each message without an answer, oldest first, from `answered` on. */
    let waiting: (() => void)[] = [];
    let answered = 0;
    socket.addEventListener("message", (event) => {
      const end = answered + decodeCount(event.data as ArrayBuffer);
      while (answered < end) waiting[answered++]?.();
      if (answered < 4_096) return;
      waiting = waiting.slice(answered);
      answered = 0;
    });
    const flush = (): void => {
      for (const frame of encodeBatches(batch, Infinity)) socket.send(frame);
      batch = [];
    };
    return {
      send(connectionId, payload) {
        const connection = numbers.get(connectionId);
        if (connection === undefined) return Promise.reject(new Error(`${connectionId} is not connected`));
        if (batch.length === 0) queueMicrotask(flush);
        batch.push({ connection, payload });
        return new Promise((resolve) => waiting.push(resolve));
      },
      async stop() {
        socket.close();
      },
    };
  },

  connect: connectPlainClient,
};

function numberOf(connectionId: string): number {
  return Number(connectionId.slice(connectionId.lastIndexOf("-") + 1));
}
