/** Nodes of one process over a real broker, in real time, with numbered messages between all of them. */
import { createCluster, type ServableCluster } from "../../src/create.ts";
import type { ClusterOptions } from "../../src/cluster/options.ts";
import { type Bytes, equalBytes, viewOf } from "../../src/lib/bytes.ts";
import { every, sleep, systemClock } from "../../src/lib/clock.ts";
import type { StreamResult } from "../../src/stream/contract.ts";
import { FakeSink } from "./fake_sink.ts";
import { until, within } from "./until.ts";

/** How much of a stream is sent how often, bytes and ms: some 3 MB/s. */
const PIECE_BYTES = 32_768;
const PIECE_MS = 10;
/** How often each node sends to each other one, ms. */
const SEND_MS = 5;
/** How long a node may take to start or stop on a busy machine; the first one loads the client libraries. */
const TURN_MS = 20_000;

/** A stream under way, whose bytes say where they stand. */
interface Streaming {
  received: number;
  wrong: number;
  ended: boolean;
  result: StreamResult | undefined;
}

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
  #streaming: Streaming | undefined;

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
    await within(`${nodeId} starts`, cluster.start(), TURN_MS);
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

  /** A stream from the first node to a client of the last one, until the verdict. */
  async stream(): Promise<void> {
    const first = this.nodes.at(0)?.cluster, last = this.nodes.at(-1)?.cluster;
    const streaming: Streaming = { received: 0, wrong: 0, ended: false, result: undefined };
    this.#streaming = streaming;
    const sink = new FakeSink(systemClock);
    sink.onReceived = (data) => {
      sink.received.length = 0;
      if (!sameBytes(data, piece(streaming.received / PIECE_BYTES))) streaming.wrong++;
      streaming.received += data.length;
    };
    last?.registerConnection(STREAM_CLIENT, { endpoint: "/ws" }, sink);
    await until(
      "the stream's client is known",
      () => first?.getConnectionNodeId(STREAM_CLIENT) === last?.nodeId,
    );
    let sent = 0;
    const source = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await sleep(systemClock, PIECE_MS);
        if (streaming.ended) controller.close();
        else controller.enqueue(piece(sent++));
      },
    });
    const options = { delivery: "chunks", chunkSize: PIECE_BYTES } as const;
    void first?.deliverStream(STREAM_CLIENT, source, options).then((result) => streaming.result = result);
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
  async verdict(): Promise<
    { wrong: string[]; delivered: number; other: number; stream: string | undefined }
  > {
    this.#sending?.cancel();
    const streaming = this.#streaming;
    if (streaming !== undefined) streaming.ended = true;
    const settled = (): boolean => streaming === undefined || streaming.result !== undefined;
    await until("every call has its outcome", () => this.#waiting === 0 && settled(), 20_000);
    const wrong: string[] = [];
    if (streaming !== undefined) {
      const { received, result } = streaming;
      if (streaming.wrong > 0) {
        wrong.push(`the stream: ${streaming.wrong} pieces twice, altered or out of order`);
      }
      if (result?.outcome === "delivered" && result.bytes !== received) {
        wrong.push(`the stream: ${result.bytes} bytes said to be delivered, ${received} came`);
      }
    }
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
    return { wrong, delivered, other, stream: streaming?.result?.outcome };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sending?.cancel();
    await Promise.all(
      this.nodes.map(({ cluster }) =>
        within(`${cluster.nodeId} stops`, cluster.shutdown({ force: true }), TURN_MS)
      ),
    );
    const held = this.nodes.filter(({ said }) => said.some((line) => line.includes("does not close")));
    if (held.length > 0) {
      throw new Error(`left open: connections of ${held.map(({ cluster: { nodeId } }) => nodeId)}`);
    }
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

const STREAM_CLIENT = "client of the stream";

/** The piece with this number is like no other. */
function piece(number: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(PIECE_BYTES).fill(number % 251);
  viewOf(bytes).setUint32(0, number);
  return bytes;
}

function sameBytes(data: string | Bytes, wanted: Bytes): boolean {
  return typeof data !== "string" && equalBytes(data, wanted);
}

export function clientOf(nodeId: string): string {
  return `client of ${nodeId}`;
}
