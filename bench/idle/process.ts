/**
 * One process of the bench: `process.ts ROLE ORDER`, where ROLE is flotilla, bare or clients and ORDER is
 * JSON. Started by `trial.ts`.
 */
import process from "node:process";
import { createCluster, serve } from "../../mod.ts";
import { connectionIdsOf } from "../messages/contract.ts";
import { serveBare } from "../support/bare_servers.ts";
import { liveMemory } from "../support/live_memory.ts";
import { connectRawClients } from "../support/raw_clients.ts";
import { cpuMs, serveCommands } from "../support/worker.ts";

export interface Order {
  /** Where the clients connect; empty for servers. */
  readonly url: string;
  readonly connections: number;
}

/** As the library, which pings every 30 seconds and cuts after as many more. */
const IDLE_TIMEOUT_S = 60;
const HOST = "127.0.0.1";

const [role = "", order = "{}"] = process.argv.slice(2);
const { url, connections } = JSON.parse(order) as Order;

switch (role) {
  case "flotilla":
    await beFlotilla();
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

async function beFlotilla(): Promise<void> {
  const cluster = createCluster({ nodeId: "idle" });
  const listener = await serve(cluster, { port: 0 });
  await cluster.start();
  const commands = { connected: () => cluster.view().connections.local, memory: () => liveMemory(), cpuMs };
  await serveCommands(`ws://${HOST}:${listener.port}/ws`, commands, async () => {
    await cluster.shutdown();
    await listener.close();
  });
}

async function beBare(): Promise<void> {
  // As any server does, so that it can send to them.
  const sockets = new Map<string, unknown>();
  const server = await serveBare(
    { opened: (socket, id) => void sockets.set(id ?? "", socket), message() {} },
    IDLE_TIMEOUT_S,
  );
  const commands = { connected: () => sockets.size, memory: () => liveMemory(), cpuMs };
  await serveCommands(`ws://${HOST}:${server.port}/`, commands, () => server.stop());
}

async function beClients(): Promise<void> {
  const clients = await connectRawClients(url, connectionIdsOf(connections));
  await serveCommands({}, { closed: () => clients.closed }, async () => clients.close());
}
