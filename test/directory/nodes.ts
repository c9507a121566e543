/** Several directories over one FakeNetwork, in virtual time. */
import { seededRandom } from "../../src/lib/random.ts";
import { silentLogger } from "../../src/lib/logger.ts";
import type { ConnectionDetails } from "../../src/connection/sink.ts";
import { Directory } from "../../src/directory/directory.ts";
import type { LocalConnection } from "../../src/directory/local.ts";
import type { DirectoryOptions } from "../../src/directory/options.ts";
import { SimClock } from "../support/sim_clock.ts";
import { FakeNetwork } from "./fake_links.ts";
import type { FakeLinks } from "./fake_links.ts";

export const DETAILS: ConnectionDetails = {
  endpoint: "/ws",
  remoteAddress: "192.0.2.7:5000",
  connectedAt: 1_800_000_000_000,
  ownId: true,
  tags: {},
};

export interface Node {
  readonly nodeId: string;
  readonly links: FakeLinks;
  readonly directory: Directory;
  /** Connections whose sockets were to be closed with 4409. */
  readonly lost: LocalConnection[];
  register(connectionId: string): void;
}

export interface World {
  readonly clock: SimClock;
  readonly network: FakeNetwork;
  readonly nodes: Node[];
}

/** Nodes `a`, `b`, ... with the given wall clock skews in ms; not joined yet. */
export function world(skewsMs: readonly number[], options: Partial<DirectoryOptions> = {}): World {
  const clock = new SimClock();
  const network = new FakeNetwork(clock);
  const nodes = skewsMs.map((skewMs, index): Node => {
    const nodeId = String.fromCharCode(97 + index);
    const links = network.node(nodeId);
    const lost: LocalConnection[] = [];
    const directory = new Directory({
      links,
      clock: clock.withSkew(skewMs),
      random: seededRandom(index),
      logger: silentLogger,
      options,
      onLost: (connection) => void lost.push(connection),
    });
    directory.start();
    return {
      nodeId,
      links,
      directory,
      lost,
      register: (connectionId) => void directory.register(connectionId, DETAILS),
    };
  });
  return { clock, network, nodes };
}

/** Whether every node holds of every node exactly what that one has. */
export function agree({ nodes }: World): boolean {
  return nodes.every(({ directory }) =>
    nodes.every((other) => {
      const held = directory.digestOf(other.nodeId);
      const own = other.directory.ownState().digest;
      return held?.count === own.count && held.low === own.low && held.high === own.high;
    })
  );
}
