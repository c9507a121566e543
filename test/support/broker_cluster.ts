/** Nodes of one process over a real broker, in real time, with numbered messages between all of them. */
import { createCluster, type ServableCluster } from "../../src/create.ts";
import type { ClusterOptions } from "../../src/cluster/options.ts";
import { every, systemClock } from "../../src/lib/clock.ts";
import { FakeSink } from "./fake_sink.ts";
import { until } from "./until.ts";

/** How often each node sends to each other one, ms. */
const SEND_MS = 5;

interface Flow {
  /** Numbers as they arrived. */
  readonly arrived: number[];
  /** Numbers that were reported as delivered, and how many had another outcome. */
  readonly delivered: number[];
  other: number;
  next: number;
}

export interface BrokerNode {
  readonly cluster: ServableCluster;
  /** Warnings and errors, in order. */
  readonly said: string[];
}

export class BrokerCluster implements AsyncDisposable {
  readonly nodes: BrokerNode[] = [];
  readonly #flows = new Map<string, Flow>();
  #sending: { cancel(): void } | undefined;
  #waiting = 0;

  /** A node with one client, which is named after it. */
  async add(nodeId: string, options: Omit<ClusterOptions, "nodeId">): Promise<BrokerNode> {
    const said: string[] = [];
    const note = (message: string, fields: object = {}): void =>
      void said.push(`${message} ${JSON.stringify(fields)}`);
    const cluster = createCluster({
      nodeId,
      secret: "known to all",
      raft: false,
      logger: { debug() {}, info() {}, warn: note, error: note },
      ...options,
    });
    const sink = new FakeSink(systemClock);
    sink.onReceived = (data) => {
      const [from = "", number] = String(data).split("|");
      this.#flow(from, nodeId).arrived.push(Number(number));
      sink.received.length = 0;
    };
    const node = { cluster, said };
    this.nodes.push(node);
    await cluster.start();
    cluster.registerConnection(clientOf(nodeId), { endpoint: "/ws" }, sink);
    return node;
  }

  /** Resolves when every node calls every other one up and knows its client. */
  async whole(limitMs = 15_000): Promise<void> {
    await until("every node is up for every other", () => this.isWhole(), limitMs);
  }

  isWhole(): boolean {
    return this.nodes.every(({ cluster }) =>
      this.nodes.every(({ cluster: { nodeId } }) =>
        cluster.getConnectionNodeId(clientOf(nodeId)) === nodeId
      ) &&
      cluster.view().nodes.filter(({ status }) => status === "up").length === this.nodes.length
    );
  }

  /** Every node sends to the client of every other one, again and again. */
  talk(): void {
    this.#sending = every(systemClock, SEND_MS, () => {
      for (const { cluster } of this.nodes) {
        for (const { cluster: { nodeId: to } } of this.nodes) {
          if (to !== cluster.nodeId) this.#send(cluster, to);
        }
      }
    });
  }

  /** Resolves when `count` messages more have arrived in each direction. */
  async more(count: number, limitMs = 20_000): Promise<void> {
    const flows = this.nodes.flatMap(({ cluster: { nodeId: from } }) =>
      this.nodes.filter(({ cluster: { nodeId } }) => nodeId !== from).map(({ cluster: { nodeId } }) =>
        this.#flow(from, nodeId)
      )
    );
    const aims = flows.map(({ arrived }) => arrived.length + count);
    const done = (): boolean => flows.every(({ arrived }, index) => arrived.length >= (aims[index] ?? 0));
    await until(`${count} messages more in each direction`, done, limitMs);
  }

  /** Ends the talk and resolves, when every call has its outcome, with what was wrong: nothing, it should be. */
  async verdict(): Promise<{ wrong: string[]; delivered: number; other: number }> {
    this.#sending?.cancel();
    await until("every call has its outcome", () => this.#waiting === 0, 20_000);
    const wrong: string[] = [];
    let delivered = 0, other = 0;
    for (const [name, flow] of this.#flows) {
      const once = new Set(flow.arrived);
      if (flow.arrived.some((number, index) => index > 0 && number <= (flow.arrived[index - 1] as number))) {
        wrong.push(`${name}: twice or out of order`);
      }
      const missing = flow.delivered.filter((number) => !once.has(number));
      if (missing.length > 0) wrong.push(`${name}: said to be delivered, and never came: ${missing}`);
      delivered += flow.delivered.length;
      other += flow.other;
    }
    return { wrong, delivered, other };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sending?.cancel();
    await Promise.all(this.nodes.map(({ cluster }) => cluster.shutdown({ force: true })));
  }

  #send(cluster: ServableCluster, to: string): void {
    const flow = this.#flow(cluster.nodeId, to);
    const number = flow.next++;
    this.#waiting++;
    void cluster.deliver([clientOf(to)], `${cluster.nodeId}|${number}`).then((outcomes) => {
      this.#waiting--;
      if (outcomes.get(clientOf(to)) === "delivered") flow.delivered.push(number);
      else flow.other++;
    });
  }

  #flow(from: string, to: string): Flow {
    const name = `${from} to ${to}`;
    let flow = this.#flows.get(name);
    if (flow === undefined) this.#flows.set(name, flow = { arrived: [], delivered: [], other: 0, next: 0 });
    return flow;
  }
}

export function clientOf(nodeId: string): string {
  return `client of ${nodeId}`;
}
