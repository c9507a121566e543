/** One node of the bench: `process.ts ORDER`, where ORDER is JSON. Started by `trial.ts`. */
import process from "node:process";
import { createCluster, serve } from "../../mod.ts";
import { percentile } from "../support/numbers.ts";
import { calibratedClock } from "../support/wall_clock.ts";
import { cpuMs, serveCommands } from "../support/worker.ts";

export interface Order {
  readonly nodeId: string;
  readonly port: number;
  readonly nodes: readonly string[];
  /** Null: the state is kept in memory. */
  readonly dataDir: string | null;
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
}

export interface Load {
  /** Each proposes its next command when the last one was applied. */
  readonly clients: number;
  readonly ms: number;
  readonly valueBytes: number;
}

export interface Loaded {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Processor microseconds of this process for each proposal. */
  readonly cpuUs: number;
}

export interface Standing {
  readonly leaderId: string | null;
  readonly role: string | null;
  readonly commitIndex: number;
}

const KEYS = 1_000;
const ACCEPT_MS_MAX = 30_000;

const { nodeId, port, nodes, dataDir, ...timeouts } = JSON.parse(process.argv[2] ?? "{}") as Order;
const now = calibratedClock();
const cluster = createCluster({
  nodeId,
  nodePort: port,
  nodes,
  ...dataDir === null ? {} : { dataDir },
  ...timeouts,
});
const listener = await serve(cluster, { port });
await cluster.start();

await serveCommands(nodeId, {
  standing: (): Standing => {
    const { leaderId, role, commitIndex } = cluster.view();
    return { leaderId, role, commitIndex: commitIndex ?? 0 };
  },
  /** Proposes now; when it was accepted, ms since the epoch. */
  accepted: async () => {
    await cluster.state.set("next", nodeId, { timeoutMs: ACCEPT_MS_MAX });
    return now();
  },
  load: (load: Load) => run(load),
}, async () => {
  await cluster.shutdown({ force: true });
  await listener.close();
});

async function run({ clients, ms, valueBytes }: Load): Promise<Loaded> {
  const value = new Uint8Array(valueBytes);
  const latencies: number[] = [];
  const cpuBefore = cpuMs(), began = now(), end = began + ms;
  await Promise.all(Array.from({ length: clients }, async (_, client) => {
    for (let number = 0; now() < end; number++) {
      const calledAt = performance.now();
      await cluster.state.set(`key ${(client * 31 + number) % KEYS}`, value);
      latencies.push(performance.now() - calledAt);
    }
  }));
  const took = now() - began;
  return {
    perSecond: latencies.length * 1_000 / took,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    cpuUs: (cpuMs() - cpuBefore) * 1_000 / latencies.length,
  };
}
