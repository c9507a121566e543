/**
 * The least one could write by hand: for each client a WebSocket from the source to the relay, which hands on every
 * message as it is. Who has too many bytes buffered waits, or lets the source wait; otherwise nothing is known of
 * anybody. At the end the source says so, and is answered when the last byte has left the relay.
 */
import type { Bytes } from "../../src/lib/bytes.ts";
import { type ClientWebSocket, openClientWebSocket } from "../../src/lib/client_websocket.ts";
import { bufferedBytes, serveBare, type ServerEnd } from "../support/bare_servers.ts";
import { chunksOf, type Owner, type Source } from "./contract.ts";

/** Bytes buffered at each end, over all clients; a chunk each at least. */
const BUFFERED_BYTES_MAX = 1_048_576;
const BUFFERED_BYTES_MIN = 65_536;
const LOOK_MS = 1;
const FROM = "from-";

/** What source and relay say to each other besides: one byte. */
const SAYS = { end: 1, wait: 2, go: 3, done: 4 } as const;

interface Way {
  readonly client: ServerEnd;
  waits: boolean;
}

export async function ownWithRelay(): Promise<Owner> {
  const clients = new Map<string, ServerEnd>();
  const ways = new Map<ServerEnd, Way>();
  const server = await serveBare({
    opened(socket, id) {
      const client = id?.startsWith(FROM) === true ? clients.get(id.slice(FROM.length)) : undefined;
      if (client !== undefined) ways.set(socket, { client, waits: false });
      else if (id !== null) clients.set(id, socket);
    },
    message(source, data) {
      const way = ways.get(source);
      if (way === undefined) return;
      if (data.byteLength === 1) return void whenBelow(way.client, 0, () => source.send(said(SAYS.done)));
      way.client.send(data);
      const bytesMax = bufferedBytesMax(ways.size);
      if (way.waits || bufferedBytes(way.client) <= bytesMax) return;
      way.waits = true;
      source.send(said(SAYS.wait));
      whenBelow(way.client, bytesMax / 2, () => {
        way.waits = false;
        source.send(said(SAYS.go));
      });
    },
  });
  const url = `ws://127.0.0.1:${server.port}/`;
  return { peerUrl: url, clientUrl: url, stop: () => server.stop() };
}

export async function sourceWithRelay(peerUrl: string, connectionIds: readonly string[]): Promise<Source> {
  const ends = new Map<string, RelayedEnd>();
  for (const id of connectionIds) ends.set(id, await RelayedEnd.open(`${peerUrl}?id=${FROM}${id}`));
  const endOf = (id: string): RelayedEnd => {
    const end = ends.get(id);
    if (end === undefined) throw new Error(`${id} is not connected`);
    return end;
  };
  return {
    stream: (id, bytes, _delivery, signal) => endOf(id).stream(bytes, bufferedBytesMax(ends.size), signal),
    message: async (id, payload) => endOf(id).send(payload),
    async stop() {
      for (const end of ends.values()) end.close();
    },
  };
}

/** The source's end of the way to one client. */
class RelayedEnd {
  readonly #socket: ClientWebSocket["webSocket"];
  #waits = false;
  #done: () => void = () => {};

  private constructor(socket: ClientWebSocket["webSocket"]) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const [says] = new Uint8Array(data as ArrayBuffer);
      if (says === SAYS.done) this.#done();
      else this.#waits = says === SAYS.wait;
    });
  }

  static async open(url: string): Promise<RelayedEnd> {
    const { webSocket } = await new Promise<ClientWebSocket>((resolve, reject) => {
      openClientWebSocket(url, { headers: {}, protocols: [] }, resolve).catch(reject);
    });
    webSocket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
      webSocket.addEventListener("open", resolve);
      webSocket.addEventListener("error", () => reject(new Error(`connect to ${url}: it failed`)));
    });
    return new RelayedEnd(webSocket);
  }

  async stream(bytes: number, bytesMax: number, signal: AbortSignal): Promise<void> {
    for await (const chunk of chunksOf(bytes)) {
      while (this.#waits || this.#socket.bufferedAmount > bytesMax) {
        if (signal.aborted) return;
        await turn(this.#waits);
      }
      this.send(chunk);
    }
    const done = new Promise<void>((resolve) => this.#done = resolve);
    this.send(said(SAYS.end));
    await done;
  }

  send(data: Bytes): void {
    this.#socket.send(data);
  }

  close(): void {
    this.#socket.close();
  }
}

function bufferedBytesMax(clients: number): number {
  return Math.max(BUFFERED_BYTES_MIN, BUFFERED_BYTES_MAX / clients);
}

function whenBelow(socket: ServerEnd, bytes: number, then: () => void): void {
  if (bufferedBytes(socket) <= bytes) then();
  else setTimeout(whenBelow, LOOK_MS, socket, bytes, then);
}

/** The next turn: the bytes leave meanwhile; a long wait looks less often. */
function turn(long: boolean): Promise<void> {
  return new Promise((resolve) => long ? setTimeout(resolve, LOOK_MS) : setImmediate(resolve));
}

function said(what: number): Bytes {
  return Uint8Array.of(what);
}
