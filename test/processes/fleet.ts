/** Real nodes on the three runtimes, each with a client that reads, and the history of what was sent and received. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterOptions } from "../../src/cluster/options.ts";
import { freePort } from "../support/free_port.ts";
import { TcpProxy } from "../support/tcp_proxy.ts";
import type { Runtime } from "../support/runtimes.ts";
import { Worker } from "./fleet_worker.ts";

/** What a call may take beyond its deadline on a busy machine. */
const DEADLINE_SLACK_MS = 2_000;

export interface FleetOptions {
  readonly perTurn?: number;
  /** A proxy before each node, so that the network between them can be at fault. */
  readonly proxied?: boolean;
  readonly options?: Partial<ClusterOptions>;
}

export class Fleet implements AsyncDisposable {
  readonly workers: readonly Worker[];
  /** Where `proxied`: what stands before each node, in their order. */
  readonly proxies: readonly TcpProxy[];
  readonly #folder: string;

  private constructor(workers: readonly Worker[], proxies: readonly TcpProxy[], folder: string) {
    this.workers = workers;
    this.proxies = proxies;
    this.#folder = folder;
  }

  /** One node on each runtime of `runtimes`, named a, b, c in that order, with its client, all connected. */
  static async start(
    runtimes: readonly Runtime[],
    { perTurn = 2, proxied = false, options = {} }: FleetOptions = {},
  ): Promise<Fleet> {
    const folder = mkdtempSync(join(tmpdir(), "flotilla-fleet-"));
    const ids = runtimes.map((_, index) => String.fromCharCode(97 + index));
    const ports: number[] = [];
    for (const _ of runtimes) ports.push(await freePort());
    const proxies = proxied ? await Promise.all(ports.map((port) => TcpProxy.start(port))) : [];
    const reachedAt = proxied ? proxies.map(({ port }) => port) : ports;
    const workers = runtimes.map((runtime, index) =>
      new Worker(runtime, {
        nodeId: ids[index] as string,
        port: ports[index] as number,
        reachedAt: reachedAt[index] as number,
        nodes: reachedAt.slice(0, index).map((port) => `ws://127.0.0.1:${port}`),
        log: join(folder, `${ids[index]}.log`),
        to: ids.map((id) => `client ${id}`),
        perTurn,
        firstNumber: 0,
        deadlineMs: (options.deliveryTimeoutMs ?? 5_000) + DEADLINE_SLACK_MS,
        options,
      })
    );
    const fleet = new Fleet(workers, proxies, folder);
    try {
      await Promise.all(workers.map((worker) => worker.start()));
      await Promise.all(workers.map((worker) => worker.connect()));
      await fleet.until("the mesh is whole", () => fleet.isWhole());
      return fleet;
    } catch (thrown) {
      await fleet[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  /** Whether each of `workers` calls all of them up and knows all their connections. */
  async isWhole(workers: readonly Worker[] = this.workers): Promise<boolean> {
    for (const worker of workers) {
      const { nodes, connections } = await worker.view();
      const up = nodes.filter(({ status }) => status === "up").map(({ nodeId }) => nodeId);
      if (!workers.every(({ nodeId }) => up.includes(nodeId)) || connections.total !== workers.length) {
        return false;
      }
    }
    return true;
  }

  /** Polls until `condition` holds; returns how long that took, ms. */
  async until(what: string, condition: () => boolean | Promise<boolean>, limitMs = 20_000): Promise<number> {
    const from = performance.now();
    for (;;) {
      if (await Promise.resolve(condition()).catch(() => false)) return performance.now() - from;
      if (performance.now() - from > limitMs) throw new Error(`${what}: not within ${limitMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends the traffic of `workers` and waits until every call has its outcome and the processes have ended. */
  async quiesce(workers: readonly Worker[] = this.workers): Promise<void> {
    await Promise.all(workers.map((worker) => worker.leave()));
  }

  /**
   * The history of messages from `senders` to the clients of `owners`, which stayed and read unless their node was
   * killed: nothing twice, everything in order, and whatever was reported delivered did arrive. Outcomes by name.
   */
  check(senders: readonly Worker[], owners: readonly Worker[]): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const sender of senders) {
      const ends = sender.log.ends();
      for (const owner of owners) {
        const received = owner.received.get(sender.nodeId) ?? [];
        const disorder = received.findIndex((number, index) =>
          index > 0 && number <= (received[index - 1] as number)
        );
        if (disorder > 0) {
          const around = received.slice(Math.max(0, disorder - 3), disorder + 3);
          throw new Error(`${sender.nodeId} to ${owner.clientId}: repeated or out of order near ${around}`);
        }
        const arrived = new Set(received);
        for (const { to, number, outcome } of ends) {
          if (to !== owner.clientId) continue;
          counts[outcome] = (counts[outcome] ?? 0) + 1;
          if (outcome === "delivered" && !arrived.has(number) && !owner.isExcused(sender.nodeId, number)) {
            throw new Error(`${sender.nodeId} to ${to}: ${number} was reported delivered and did not arrive`);
          }
          if (["not-found", "backpressure"].includes(outcome) && arrived.has(number)) {
            throw new Error(`${sender.nodeId} to ${to}: ${number} was reported ${outcome} and arrived`);
          }
        }
      }
    }
    return counts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.workers) await worker.stop();
    for (const proxy of this.proxies) await proxy[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
