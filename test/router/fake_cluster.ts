import { Outboxes } from "../../src/connection/outboxes.ts";
import type { OutboxOptions } from "../../src/connection/outbox.ts";
import type { RouterOptions } from "../../src/router/contract.ts";
import type { ConnectionSink } from "../../src/connection/sink.ts";
import { ClusterRouter } from "../../src/router/router.ts";
import { FakeSink } from "../support/fake_sink.ts";
import { SimClock } from "../support/sim_clock.ts";
import { FakeDirectory } from "./fake_directory.ts";
import { FakeLinks, FakeNetwork, type FakeSession } from "./fake_links.ts";

export interface ClusterOptions {
  readonly router?: Partial<RouterOptions>;
  readonly outbox?: Partial<OutboxOptions>;
}

/** A router with what it stands on, and clients to connect to it. */
export class FakeNode {
  readonly nodeId: string;
  readonly links: FakeLinks;
  readonly directory: FakeDirectory;
  readonly outboxes: Outboxes;
  readonly router: ClusterRouter;
  readonly #clock: SimClock;

  constructor(cluster: FakeCluster, nodeId: string, options: ClusterOptions) {
    this.nodeId = nodeId;
    this.#clock = cluster.clock;
    this.links = cluster.network.node(nodeId);
    this.directory = new FakeDirectory(this.links, () => cluster.nextStamp());
    this.outboxes = new Outboxes(cluster.clock, options.outbox);
    this.directory.lost = (connectionId) => {
      const sink = this.outboxes.get(connectionId)?.sink;
      this.outboxes.replace(connectionId, 4409, "replaced");
      this.#cutLater(connectionId, sink);
    };
    this.router = new ClusterRouter({
      links: this.links,
      directory: this.directory,
      sockets: this.outboxes,
      clock: cluster.clock,
      ...(options.router === undefined ? {} : { options: options.router }),
    });
  }

  connect(connectionId: string, bytesPerMs: number = Infinity): FakeSink {
    const sink = new FakeSink(this.#clock, bytesPerMs);
    const replaced = this.outboxes.get(connectionId)?.sink;
    this.outboxes.open(connectionId, sink);
    this.directory.register(connectionId);
    replaced?.close(4409, "replaced");
    this.#cutLater(connectionId, replaced);
    return sink;
  }

  /** A closing socket is gone some time later, with or without what was in its buffer. */
  #cutLater(connectionId: string, sink: ConnectionSink | undefined): void {
    if (!(sink instanceof FakeSink)) return;
    this.#clock.timer(5, () => {
      sink.cut();
      this.outboxes.remove(connectionId, sink);
    });
  }

  disconnect(connectionId: string): void {
    const sink = this.outboxes.get(connectionId)?.sink;
    if (sink instanceof FakeSink) sink.cut();
    this.directory.unregister(connectionId);
    this.outboxes.remove(connectionId);
  }

  sessionWith(node: FakeNode): FakeSession {
    return this.links.session(node.nodeId) as FakeSession;
  }
}

export class FakeCluster {
  readonly clock: SimClock = new SimClock();
  readonly network: FakeNetwork = new FakeNetwork(this.clock);
  readonly nodes: FakeNode[];
  #stamp = 0;

  constructor(nodes: number, options: ClusterOptions = {}) {
    const ids = Array.from({ length: nodes }, (_, index) => `node-${String.fromCharCode(97 + index)}`);
    this.nodes = ids.map((nodeId) => new FakeNode(this, nodeId, options));
    this.network.joinAll();
  }

  node(index: number): FakeNode {
    return this.nodes[index] as FakeNode;
  }

  nextStamp(): number {
    return ++this.#stamp;
  }

  /** Runs virtual time until `promise` has settled. */
  async run<Result>(promise: Promise<Result>, limitMs = 60_000): Promise<Result> {
    let settled = false;
    const done = (): void => void (settled = true);
    promise.then(done, done);
    await this.clock.runUntil(() => settled, limitMs);
    return await promise;
  }

  /** Nothing on its way anywhere. */
  get idle(): boolean {
    return this.nodes.every(({ router: { inFlight } }) =>
      inFlight.connections === 0 && inFlight.calls === 0 && inFlight.waitingBytes === 0
    );
  }
}
