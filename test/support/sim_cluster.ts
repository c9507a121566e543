/** Whole nodes of one process in virtual time, with clients whose sockets are fakes. */
import { createCluster, type ServableCluster } from "../../src/create.ts";
import type { ClusterOptions } from "../../src/cluster/options.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { CLOSE } from "../../src/lib/close_codes.ts";
import { FakeSdk } from "./fake_sdk.ts";
import { FakeSink } from "./fake_sink.ts";
import { SimBase } from "./sim_base.ts";
import type { SimView } from "./sim_clock.ts";

export class SimClusterNode {
  readonly cluster: ServableCluster;
  readonly clock: SimView;
  /** Node events in order: `up b`, `down b timeout`. */
  readonly events: string[] = [];

  constructor(sim: SimCluster, nodeId: string, options: Partial<ClusterOptions>) {
    this.clock = sim.clock.view();
    this.cluster = createCluster({
      nodeId,
      transportType: sim.hub.transport(nodeId, this.clock),
      clock: this.clock,
      random: seededRandom(sim.nextSeed()),
      secret: "secret",
      // Its own tests ask for it; others need not simulate its ticks.
      raft: false,
      ...options,
    });
    this.cluster.on("nodeup", (event) => void this.events.push(`up ${event.nodeId}`));
    this.cluster.on("nodedown", (event) => void this.events.push(`down ${event.nodeId} ${event.reason}`));
  }

  /** A client of this node; it reads at once. */
  connect(connectionId: string, bytesPerMs?: number): FakeSink {
    const sink = new FakeSink(this.clock, bytesPerMs);
    this.cluster.registerConnection(connectionId, { endpoint: "/ws" }, sink);
    return sink;
  }

  /** A client that speaks the SDK's protocol; what no SDK says closes it, as on a real socket. */
  connectSdk(connectionId: string, bytesPerMs?: number): FakeSdk {
    const sdk = new FakeSdk(this.clock, bytesPerMs);
    sdk.say = (frame) => {
      try {
        this.cluster.clientFrame(connectionId, frame);
      } catch {
        sdk.close(CLOSE.protocolError, "");
        this.cluster.unregisterConnection(connectionId, sdk);
      }
    };
    this.cluster.registerConnection(connectionId, { endpoint: "/ws" }, sdk);
    return sdk;
  }
}

export class SimCluster extends SimBase {
  readonly nodes: SimClusterNode[] = [];
  async node(nodeId: string, options: Partial<ClusterOptions> = {}): Promise<SimClusterNode> {
    const node = new SimClusterNode(this, nodeId, options);
    this.nodes.push(node);
    await this.settle(node.cluster.start());
    return node;
  }

  /** Runs until every node calls every other one up. */
  async whole(limitMs = 30_000): Promise<void> {
    await this.clock.runUntil(() => this.isWhole(), limitMs);
  }

  isWhole(): boolean {
    const running = this.nodes.filter(({ cluster }) => cluster.running);
    return running.every(({ cluster }) =>
      cluster.view().nodes.filter(({ status }) => status === "up").length === running.length
    );
  }

  async stop(): Promise<void> {
    for (const { cluster } of this.nodes) await this.settle(cluster.shutdown());
  }
}
