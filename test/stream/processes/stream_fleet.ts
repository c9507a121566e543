/** Real nodes, one on each runtime, that stream to each other's clients. */
import type { StreamDelivery, StreamResult } from "../../../src/stream/contract.ts";
import type { ClusterView } from "../../../src/cluster/contract.ts";
import { type Child, startChild } from "../../support/child.ts";
import { freePort } from "../../support/free_port.ts";
import { commandFor, ROOT, type Runtime, RUNTIMES } from "../../support/runtimes.ts";
import { TcpProxy } from "../../support/tcp_proxy.ts";
import { until } from "../../support/until.ts";

/** What a worker is told. */
export interface WorkerJob {
  readonly nodeId: string;
  readonly port: number;
  /** Where other nodes reach it: its port, or that of a proxy before it. */
  readonly reachedAt: number;
  readonly nodes: readonly string[];
}

/** A stream of random bytes that a node is told to send. */
export interface Sending {
  readonly connectionId: string;
  readonly bytes: number;
  readonly seed: number;
  readonly delivery?: StreamDelivery;
  readonly chunkSize?: number;
}

export interface Sent extends StreamResult {
  /** Of what the source yielded. */
  readonly sha256: string;
  /** By how much the sender's memory grew at most. */
  readonly grownBytes: number;
}

/** A client that a worker is told to be. */
export interface Receiving {
  readonly key: string;
  readonly url: string;
  /** Whether it is a client of the SDK. */
  readonly sdk: boolean;
  /** It is done when so much has come. */
  readonly bytes: number;
}

export interface WasReceived {
  readonly bytes: number;
  readonly messages: number;
  readonly longest: number;
  readonly sha256: string;
  readonly error?: string;
}

const UP_MS = 15_000;

export class StreamNode {
  readonly runtime: Runtime;
  readonly port: number;
  readonly child: Child;

  constructor(runtime: Runtime, port: number, child: Child) {
    this.runtime = runtime;
    this.port = port;
    this.child = child;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async view(): Promise<ClusterView> {
    return await (await fetch(`${this.url}/api/cluster`)).json() as ClusterView;
  }

  async knows(connectionId: string): Promise<boolean> {
    const { status, body } = await fetch(`${this.url}/api/connections/${connectionId}`);
    await body?.cancel();
    return status === 200;
  }

  send(sending: Sending): Promise<Sent> {
    return this.#post("/send", sending) as Promise<Sent>;
  }

  /** Becomes a client of `node`; what it gets is told by `received`. */
  async receive(receiving: Omit<Receiving, "url">, node: StreamNode): Promise<void> {
    await this.#post("/receive", { ...receiving, url: `ws://127.0.0.1:${node.port}/ws?id=${receiving.key}` });
  }

  async received(key: string): Promise<WasReceived> {
    return await (await fetch(`${this.url}/received/${key}`)).json() as WasReceived;
  }

  /** How much of the stream under way the client of this connection has got, as this node's source knows. */
  async sentBytes(connectionId: string): Promise<number> {
    return Number(await (await fetch(`${this.url}/sent/${connectionId}`)).text());
  }

  async #post(path: string, body: unknown): Promise<unknown> {
    return await (await fetch(`${this.url}${path}`, { method: "POST", body: JSON.stringify(body) })).json();
  }
}

/** One node on each runtime. Each lists the ones before it, by way of a proxy where asked for. */
export class StreamFleet implements AsyncDisposable {
  readonly nodes: readonly StreamNode[];
  readonly proxies: readonly TcpProxy[];

  private constructor(nodes: readonly StreamNode[], proxies: readonly TcpProxy[]) {
    this.nodes = nodes;
    this.proxies = proxies;
  }

  static async start({ proxied = false }: { proxied?: boolean } = {}): Promise<StreamFleet> {
    const nodes: StreamNode[] = [];
    const proxies: TcpProxy[] = [];
    const reached: string[] = [];
    for (const runtime of RUNTIMES) {
      const port = await freePort();
      const proxy = proxied ? await TcpProxy.start(port) : undefined;
      if (proxy !== undefined) proxies.push(proxy);
      const reachedAt = proxy?.port ?? port;
      const job: WorkerJob = { nodeId: runtime, port, reachedAt, nodes: [...reached] };
      const [command, args] = commandFor(runtime, `${ROOT}/test/stream/processes/stream_worker.ts`);
      const child = startChild(command, args, { env: { FLOTILLA_WORKER: JSON.stringify(job) } });
      await child.waitFor(/^ready$/m);
      nodes.push(new StreamNode(runtime, port, child));
      reached.push(`ws://127.0.0.1:${reachedAt}/${runtime}`);
    }
    const fleet = new StreamFleet(nodes, proxies);
    await until("all nodes have met", () => fleet.isWhole(), UP_MS);
    return fleet;
  }

  async isWhole(): Promise<boolean> {
    return (await Promise.all(this.nodes.map((node) => node.view()))).every(isWhole);
  }

  node(runtime: Runtime): StreamNode {
    return this.nodes.find((node) => node.runtime === runtime) as StreamNode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map(({ child }) => child.kill()));
    for (const proxy of this.proxies) await proxy[Symbol.asyncDispose]();
  }
}

function isWhole({ nodes }: ClusterView): boolean {
  return nodes.filter(({ status }) => status === "up").length === RUNTIMES.length;
}
