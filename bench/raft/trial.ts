/** Nodes in processes of their own, their leader killed again and again, or loaded. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { freePort } from "../../test/support/free_port.ts";
import { ROOT, type Runtime } from "../../test/support/runtimes.ts";
import { startOn } from "../support/start.ts";
import { calibratedClock } from "../support/wall_clock.ts";
import type { Worker } from "../support/worker.ts";
import type { Load, Loaded, Order, Standing } from "./process.ts";

const FILE = `${ROOT}/bench/raft/process.ts`;
const LEADER_MS_MAX = 30_000;
const LOOK_MS = 10;

export interface TrialOptions {
  readonly runtimes: readonly Runtime[];
  readonly storage: "memory" | "sqlite";
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
}

export class Trial implements AsyncDisposable {
  readonly #options: TrialOptions;
  readonly #folder: string;
  readonly #orders: readonly Order[];
  readonly #workers = new Map<string, Worker>();

  private constructor(options: TrialOptions, folder: string, orders: readonly Order[]) {
    this.#options = options;
    this.#folder = folder;
    this.#orders = orders;
  }

  static async start(options: TrialOptions): Promise<Trial> {
    const folder = mkdtempSync(join(tmpdir(), "flotilla-bench-raft-"));
    const { electionTimeoutMs, heartbeatMs, storage } = options;
    const ports: number[] = [];
    for (const _ of options.runtimes) ports.push(await freePort());
    const nodes = ports.map((port) => `ws://127.0.0.1:${port}`);
    const orders = ports.map((port, index): Order => ({
      nodeId: `node-${index + 1}`,
      port,
      nodes,
      dataDir: storage === "memory" ? null : join(folder, String(index)),
      electionTimeoutMs,
      heartbeatMs,
    }));
    const trial = new Trial(options, folder, orders);
    try {
      await Promise.all(orders.map((_, index) => trial.#start(index)));
      await trial.settled();
      return trial;
    } catch (thrown) {
      await trial[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  /** Kills the leader: milliseconds until a survivor had a proposal accepted. Then it is started again. */
  async killLeader(): Promise<number> {
    const leaderId = await this.settled();
    const leader = this.#workers.get(leaderId) as Worker;
    this.#workers.delete(leaderId);
    const survivors = [...this.#workers.values()];
    const now = calibratedClock();
    const from = now();
    process.kill(leader.pid, "SIGKILL");
    const accepted = await Promise.all(survivors.map((worker) => worker.ask("accepted"))) as number[];
    await leader[Symbol.asyncDispose]();
    await this.#start(this.#orders.findIndex(({ nodeId }) => nodeId === leaderId));
    await this.settled();
    return Math.min(...accepted) - from;
  }

  /** Loads the leader with proposals. */
  async load(load: Load): Promise<Loaded> {
    const leader = this.#workers.get(await this.settled()) as Worker;
    return await leader.ask("load", load) as Loaded;
  }

  /** Waits until all nodes vote and name the same leader; its nodeId. */
  async settled(): Promise<string> {
    const deadline = Date.now() + LEADER_MS_MAX;
    for (;;) {
      const standings = await Promise.all([...this.#workers.values()].map((each) => each.ask("standing"))) as
        | Standing[]
        | [];
      const leaderId = standings[0]?.leaderId ?? null;
      const agreed = leaderId !== null && this.#workers.has(leaderId) &&
        standings.length === this.#options.runtimes.length &&
        standings.every((each) =>
          each.leaderId === leaderId && (each.role === "leader" || each.role === "follower")
        );
      if (agreed) return leaderId;
      if (Date.now() > deadline) {
        throw new Error(`no leader in ${LEADER_MS_MAX} ms: ${JSON.stringify(standings)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async #start(index: number): Promise<void> {
    const order = this.#orders[index] as Order;
    const runtime = this.#options.runtimes[index] as Runtime;
    this.#workers.set(order.nodeId, await startOn({ runtime, file: FILE, args: [JSON.stringify(order)] }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker[Symbol.asyncDispose]()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
