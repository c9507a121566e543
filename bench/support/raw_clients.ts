/**
 * Clients that cost the machine next to nothing, so that thousands of them fit beside the server that is
 * measured: WebSockets (RFC 6455) by hand on Bun's plain sockets, which count messages and answer pings.
 * For Bun only.
 */

import { FrameReader, OPCODE, openRawSocket, type RawSocket } from "./raw_socket.ts";

/** Handshakes under way at once. */
const CONNECTING_MAX = 128;
const CONNECT_MS_MAX = 60_000;
/** The answer to an empty ping, with the mask that clients must use. */
const PONG = Uint8Array.of(0x8a, 0x80, 0, 0, 0, 0);

export interface RawClients {
  /** Messages that came in since the start, over all clients. */
  readonly messages: number;
  /** Clients whose socket has closed. */
  readonly closed: number;
  close(): void;
}

/** Connects one client for each id to `clientUrl?id=…`. Rejects unless all are accepted. */
export async function connectRawClients(clientUrl: string, ids: readonly string[]): Promise<RawClients> {
  const sockets: RawSocket[] = [];
  const state = { messages: 0, closed: 0 };
  const deadline = performance.now() + CONNECT_MS_MAX;

  const connect = async (id: string): Promise<void> => {
    let own: RawSocket | undefined;
    const frames = new FrameReader(({ opcode }) => {
      if (opcode === OPCODE.binary || opcode === OPCODE.text) state.messages++;
      else if (opcode === OPCODE.ping) own?.write(PONG);
    });
    const received = (bytes: Uint8Array, socket: RawSocket): void => {
      own = socket;
      frames.take(bytes);
    };
    sockets.push(await openRawSocket({ clientUrl, id, received, closed: () => void state.closed++ }));
  };

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
