/** A node of this library and a bare server of the same runtime, each with its clients, at the same time. */
import { ROOT, type Runtime } from "../../test/support/runtimes.ts";
import type { LiveMemory } from "../support/live_memory.ts";
import { startOn } from "../support/start.ts";
import type { Worker } from "../support/worker.ts";
import type { Order } from "./process.ts";

const FILE = `${ROOT}/bench/idle/process.ts`;
/** What connecting left behind is gone after so long. */
const SETTLE_MS = 1_000;

export type Contender = "flotilla" | "bare";
export const CONTENDERS: readonly Contender[] = ["flotilla", "bare"];

export interface Plan {
  readonly connections: number;
  /** For which nothing happens; pings of the library come once in 30 seconds. */
  readonly idleMs: number;
}

export interface Idle {
  /** Bytes a connection, more than without any. */
  readonly residentBytes: number;
  readonly heapBytes: number;
  /** Processor milliseconds in ten seconds, all connections together. */
  readonly cpuMsIn10Seconds: number;
}

export async function measureIdle(
  runtime: Runtime,
  { connections, idleMs }: Plan,
): Promise<Record<Contender, Idle>> {
  await using started = new AsyncDisposableStack();
  const run = async (role: string, on: Runtime, url: string): Promise<Worker> => {
    const order: Order = { url, connections };
    return started.use(await startOn({ runtime: on, file: FILE, args: [role, JSON.stringify(order)] }));
  };
  const servers: Worker[] = [];
  const clients: Worker[] = [];
  const before: LiveMemory[] = [];
  const after: LiveMemory[] = [];
  for (const contender of CONTENDERS) {
    const server = await run(contender, runtime, "");
    servers.push(server);
    before.push(await server.ask("memory") as LiveMemory);
    clients.push(await run("clients", "bun", server.ready as string));
    await pause(SETTLE_MS);
    after.push(await server.ask("memory") as LiveMemory);
  }
  const cpuBefore = await all(servers, "cpuMs") as number[];
  await pause(idleMs);
  const cpuAfter = await all(servers, "cpuMs") as number[];
  const connected = await all(servers, "connected") as number[];
  const closed = await all(clients, "closed") as number[];
  const idleOf = (index: number): Idle => {
    if (connected[index] !== connections || closed[index] !== 0) {
      throw new Error(
        `${CONTENDERS[index]} on ${runtime} has ${connected[index]} of ${connections} clients left`,
      );
    }
    const grown = (what: keyof LiveMemory): number =>
      ((after[index]?.[what] ?? NaN) - (before[index]?.[what] ?? NaN)) / connections;
    return {
      residentBytes: grown("residentBytes"),
      heapBytes: grown("heapBytes"),
      cpuMsIn10Seconds: ((cpuAfter[index] ?? NaN) - (cpuBefore[index] ?? NaN)) * 10_000 / idleMs,
    };
  };
  return { flotilla: idleOf(0), bare: idleOf(1) };
}

async function all(workers: readonly Worker[], command: string): Promise<unknown[]> {
  return await Promise.all(workers.map((worker) => worker.ask(command)));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
