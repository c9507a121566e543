/**
 * One process of the bench: `process.ts ROLE ORDER`, where ROLE is owner, sender, bare or clients and ORDER
 * is JSON. Started by `trial.ts`. A batch is one message for each of the connections.
 */
import process from "node:process";
import { createCluster, serve } from "../../mod.ts";
import { bufferedBytes, serveBare, type ServerEnd } from "../support/bare_servers.ts";
import { connectionIdsOf } from "../messages/contract.ts";
import { connectRawClients } from "../support/raw_clients.ts";
import { calibratedClock } from "../support/wall_clock.ts";
import { cpuMs, serveCommands } from "../support/worker.ts";

export interface Order {
  /** Of the owner: where the sender or the clients connect; empty for servers. */
  readonly url: string;
  /** Connected clients. */
  readonly connections: number;
  readonly payloadBytes: number;
}

export interface BatchesOrder {
  /** How many of the connections are addressed. */
  readonly addressed: number;
  /** Batches whose answers are awaited at a time. */
  readonly window: number;
  readonly ms: number;
}

/** What a server of clients tells of where it is reached. */
export interface Urls {
  readonly peerUrl: string;
  readonly clientUrl: string;
}

/** What was sent, and from when on. */
export interface Sent {
  readonly batches: number;
  /** Milliseconds since the epoch. */
  readonly began: number;
}

const HOST = "127.0.0.1";
/** How long the last messages may be on their way. */
const ARRIVAL_MS_MAX = 20_000;
const LOOK_MS = 1;

const [role = "", order = "{}"] = process.argv.slice(2);
const { url, connections, payloadBytes } = JSON.parse(order) as Order;
const connectionIds = connectionIdsOf(connections);
const payload = new Uint8Array(payloadBytes).fill(120);

switch (role) {
  case "owner":
    await beOwner();
    break;
  case "sender":
    await beSender();
    break;
  case "bare":
    await beBare();
    break;
  case "clients":
    await beClients();
    break;
  default:
    throw new Error(`there is no role ${role}`);
}

async function beOwner(): Promise<void> {
  const cluster = createCluster({ nodeId: "owner" });
  const listener = await serve(cluster, { port: 0 });
  await cluster.start();
  const origin = `ws://${HOST}:${listener.port}`;
  await serveCommands({ peerUrl: origin, clientUrl: `${origin}/ws` } satisfies Urls, { cpuMs }, async () => {
    await cluster.shutdown();
    await listener.close();
  });
}

async function beSender(): Promise<void> {
  const cluster = createCluster({ nodeId: "sender", nodes: [url] });
  await cluster.start();
  while (connectionIds.some((id) => cluster.getConnectionNodeId(id) === undefined)) await pause(10);
  const batch = async (ids: readonly string[]): Promise<void> => {
    for (const [id, arrived] of await cluster.routeMessages(ids, payload)) {
      if (!arrived) throw new Error(`a message to ${id} was not delivered`);
    }
  };
  await serveCommands({}, { cpuMs, batches: inWindow(batch) }, async () => void await cluster.shutdown());
}

/** Only sends, as fast as the sockets take it. */
async function beBare(): Promise<void> {
  const sockets = new Map<string, ServerEnd>();
  const server = await serveBare({
    opened: (socket, id) => void sockets.set(id ?? "", socket),
    message() {},
  });
  const batch = async (ids: readonly string[]): Promise<void> => {
    let last: ServerEnd | undefined;
    for (const id of ids) {
      last = sockets.get(id);
      last?.send(payload);
    }
    do await turn(); while (last !== undefined && bufferedBytes(last) > 0);
  };
  const at = `ws://${HOST}:${server.port}/`;
  await serveCommands(
    { peerUrl: at, clientUrl: at } satisfies Urls,
    { cpuMs, batches: inWindow(batch) },
    () => server.stop(),
  );
}

/** The command `batches`: `send` again and again. */
function inWindow(
  send: (ids: readonly string[]) => Promise<void>,
): (order: BatchesOrder) => Promise<Sent> {
  const now = calibratedClock();
  return async ({ addressed, window, ms }) => {
    const ids = connectionIds.slice(0, addressed);
    const began = now();
    let batches = 0;
    const line = async (): Promise<void> => {
      while (now() < began + ms) {
        batches++;
        await send(ids);
      }
    };
    await Promise.all(Array.from({ length: window }, line));
    return { batches, began };
  };
}

async function beClients(): Promise<void> {
  const now = calibratedClock();
  const clients = await connectRawClients(url, connectionIds);
  let taken = 0;
  /** Once `messages` more than at the last call have come: when that was, in milliseconds since the epoch. */
  const take = async (messages: number): Promise<number> => {
    const wanted = taken + messages;
    const deadline = now() + ARRIVAL_MS_MAX;
    while (clients.messages < wanted && now() < deadline) await pause(LOOK_MS);
    const at = now();
    if (clients.messages !== wanted) {
      const missed = wanted - clients.messages;
      throw new Error(
        `${missed} of ${messages} messages did not come; ${clients.closed} clients were closed`,
      );
    }
    taken = wanted;
    return at;
  };
  await serveCommands({}, { cpuMs, take }, async () => clients.close());
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
