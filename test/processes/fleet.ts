/** Real nodes on the three runtimes, each with a client that reads, and the history of what was sent and received. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterOptions } from "../../src/cluster/options.ts";
import type { ClusterView } from "../../src/cluster/contract.ts";
import { type Child, startChild } from "../support/child.ts";
import { freePort } from "../support/getting.ts";
import { TcpProxy } from "../support/tcp_proxy.ts";
import { commandFor, ROOT, type Runtime } from "../support/runtimes.ts";

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

export interface End {
  readonly to: string;
  readonly number: number;
  readonly outcome: string;
}

export class Worker {
  readonly nodeId: string;
  readonly runtime: Runtime;
  readonly port: number;
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
    const [command, args] = commandFor(this.runtime, `${ROOT}/test/processes/worker.ts`);
    this.#child = startChild(command, args, { env: { FLOTILLA_WORKER: JSON.stringify(job) } });
    await this.#child.waitFor(/^ready$/m);
  }

  /** Connects this node's client, and resolves when it is open. */
  async connect(): Promise<void> {
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

  /** Lines that the node wrote down: `up b`, `down b timeout`, `end ...`. */
  lines(): string[] {
    return existsSync(this.#job.log) ? readFileSync(this.#job.log, "utf8").split("\n").filter(Boolean) : [];
  }

  ends(): End[] {
    return this.lines().flatMap((line) => {
      const found = line.match(/^end (.+) (\d+) (\S+)$/);
      return found === null
        ? []
        : [{ to: found[1] as string, number: Number(found[2]), outcome: found[3] as string }];
    });
  }

  /**
   * Kills the node. What its kernel had for the client may be lost with it, so messages under way then are excused;
   * `senders` tells which those are.
   */
  async killWithClient(senders: readonly Worker[], restart: () => Promise<void>): Promise<void> {
    const before = senders.map((sender) => sender.highest());
    this.child.signal("SIGKILL");
    await restart();
    senders.forEach((sender, index) => {
      const from = (before[index] as number) - EXCUSED_NUMBERS;
      this.#excused.push({ sender: sender.nodeId, from, to: sender.highest() + EXCUSED_NUMBERS });
    });
  }

  isExcused(sender: string, number: number): boolean {
    return this.#excused.some((excuse) =>
      excuse.sender === sender && number >= excuse.from && number <= excuse.to
    );
  }

  /** The highest number whose outcome this node has written down. */
  highest(): number {
    return this.ends().reduce((highest, { number }) => Math.max(highest, number), 0);
  }

  /** Calls that were answered after their deadline. */
  lates(): string[] {
    return this.lines().filter((line) => line.startsWith("late "));
  }

  downs(): string[] {
    return this.lines().filter((line) => line.startsWith("down "));
  }

  async stop(): Promise<void> {
    this.#client?.close();
    await this.#child?.kill();
  }
}

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

  /** Ends the traffic of `workers` and waits until every call has its outcome. */
  async quiesce(workers: readonly Worker[] = this.workers): Promise<void> {
    for (const { child } of workers) child.signal("SIGTERM");
    for (const { child } of workers) await child.ended();
  }

  /**
   * The history of messages from `senders` to the clients of `owners`, which stayed and read unless their node was
   * killed: nothing twice, everything in order, and whatever was reported delivered did arrive. Outcomes by name.
   */
  check(senders: readonly Worker[], owners: readonly Worker[]): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const sender of senders) {
      const ends = sender.ends();
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
