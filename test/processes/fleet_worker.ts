/** One real node on one runtime, with a client that reads, and what both saw. */
import { readdirSync, readFileSync } from "node:fs";
import type { ClusterOptions } from "../../src/cluster/options.ts";
import type { ClusterView } from "../../src/cluster/contract.ts";
import { type Child, startChild } from "../support/child.ts";
import { commandFor, ROOT, type Runtime } from "../support/runtimes.ts";
import { until } from "../support/until.ts";
import type { Held } from "./held.ts";
import { WorkerLog } from "./worker_log.ts";

/** What a worker is told. */
export interface WorkerJob {
  readonly nodeId: string;
  readonly port: number;
  /** Where other nodes reach it: its port, or that of a proxy before it. */
  readonly reachedAt: number;
  readonly nodes: readonly string[];
  readonly log: string;
  /** Connections that get every message. */
  readonly to: readonly string[];
  /** Messages to each of them, every 5 ms. */
  readonly perTurn: number;
  readonly firstNumber: number;
  /** No call may take longer, ms: its own deadline and some. */
  readonly deadlineMs: number;
  readonly options: Partial<ClusterOptions>;
}

/** How far outcomes are written down behind the numbers that are sent. */
const EXCUSED_NUMBERS = 3_000;
/** So that a worker can collect; Bun needs none. */
const GC_FLAGS: Readonly<Record<Runtime, readonly string[]>> = {
  bun: [],
  deno: ["--v8-flags=--expose-gc"],
  node: ["--expose-gc"],
};
const CLOSED = 3;

/** What a worker holds, by its own count and by the system's. */
export interface HeldInAll extends Held {
  readonly descriptors: number;
  readonly residentBytes: number;
}

export class Worker {
  readonly nodeId: string;
  readonly runtime: Runtime;
  readonly port: number;
  readonly log: WorkerLog;
  readonly #job: WorkerJob;
  #child: Child | undefined;
  #runs = 0;
  /** What the client of this node got, by sender, in order. */
  readonly received: Map<string, number[]> = new Map();
  #client: WebSocket | undefined;
  readonly #excused: { readonly sender: string; readonly from: number; readonly to: number }[] = [];

  constructor(runtime: Runtime, job: WorkerJob) {
    this.runtime = runtime;
    this.nodeId = job.nodeId;
    this.port = job.port;
    this.#job = job;
    this.log = new WorkerLog(job.log);
  }

  get clientId(): string {
    return `client ${this.nodeId}`;
  }

  get child(): Child {
    if (this.#child === undefined) throw new Error(`${this.nodeId} does not run`);
    return this.#child;
  }

  /** Starts the node, again after its end; its numbers go on far above those of the run before. */
  async start(): Promise<void> {
    const job: WorkerJob = { ...this.#job, firstNumber: this.#runs++ * 10_000_000 };
    const file = `${ROOT}/test/processes/worker.ts`;
    const [command, args] = commandFor(this.runtime, file);
    args.splice(args.indexOf(file), 0, ...GC_FLAGS[this.runtime]);
    this.#child = startChild(command, args, { env: { FLOTILLA_WORKER: JSON.stringify(job) } });
    await this.#child.waitFor(/^ready$/m);
  }

  /** Connects this node's client, and resolves when it is open. Whatever its last socket got is heard before. */
  async connect(): Promise<void> {
    const former = this.#client;
    if (former !== undefined) {
      await until(`the former socket of ${this.clientId} is closed`, () => former.readyState === CLOSED);
    }
    const client = new WebSocket(`ws://127.0.0.1:${this.port}/ws?id=${encodeURIComponent(this.clientId)}`);
    this.#client = client;
    client.addEventListener("message", ({ data }) => {
      const [from, number] = String(data).split(" ") as [string, string];
      const numbers = this.received.get(from) ?? [];
      this.received.set(from, numbers);
      numbers.push(Number(number));
    });
    await new Promise<void>((resolve, reject) => {
      client.addEventListener("open", () => resolve());
      client.addEventListener("error", () => reject(new Error(`no connection to ${this.nodeId}`)));
    });
  }

  get clientOpen(): boolean {
    return this.#client?.readyState === 1;
  }

  async view(): Promise<ClusterView> {
    const response = await fetch(`http://127.0.0.1:${this.port}/api/cluster`, {
      signal: AbortSignal.timeout(2_000),
    });
    return await response.json() as ClusterView;
  }

  /** What the node holds now; while calls are on their way their waits are counted too. */
  async held(): Promise<HeldInAll> {
    const before = this.log.lines("held ").length;
    this.#client?.send("what do you hold?");
    await until(`${this.nodeId} says what it holds`, () => this.log.lines("held ").length > before, 10_000);
    const status = readFileSync(`/proc/${this.child.pid}/status`, "utf8");
    return {
      ...this.log.held("held") as Held,
      descriptors: this.descriptors(),
      residentBytes: Number(status.match(/VmRSS:\s+(\d+) kB/)?.[1]) * 1_024,
    };
  }

  descriptors(): number {
    return readdirSync(`/proc/${this.child.pid}/fd`).length;
  }

  /** Lets the node stop in good order; it ends by itself, since it holds nothing any more. */
  async leave(): Promise<void> {
    this.child.signal("SIGTERM");
    await this.child.ended();
  }

  /**
   * Kills the node. What its kernel had for the client may be lost with it, so messages under way then are excused;
   * `senders` tells which those are.
   */
  async killWithClient(senders: readonly Worker[], restart: () => Promise<void>): Promise<void> {
    const before = senders.map((sender) => sender.log.highest());
    this.child.signal("SIGKILL");
    await restart();
    senders.forEach((sender, index) => {
      const from = (before[index] as number) - EXCUSED_NUMBERS;
      this.#excused.push({ sender: sender.nodeId, from, to: sender.log.highest() + EXCUSED_NUMBERS });
    });
  }

  isExcused(sender: string, number: number): boolean {
    return this.#excused.some((excuse) =>
      excuse.sender === sender && number >= excuse.from && number <= excuse.to
    );
  }

  async stop(): Promise<void> {
    this.#client?.close();
    await this.#child?.kill();
  }
}
