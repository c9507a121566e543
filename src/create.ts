/** The composition root: every part of a node, wired. The same by hand stands in `examples/by_hand.ts`. */
import { createTransport } from "../transports/create.ts";
import { parseNodeList } from "../transports/node_list.ts";
import { ClusterManager } from "./cluster/manager.ts";
import {
  type ClusterOptions,
  hostInUrl,
  linkOptionsOf,
  raftOptionsOf,
  type ResolvedOptions,
  resolveOptions,
  routerOptionsOf,
} from "./cluster/options.ts";
import { Outboxes } from "./connection/outboxes.ts";
import { Directory } from "./directory/directory.ts";
import { ClusterLinks } from "./link/links.ts";
import type { Expectation } from "./raft/identity.ts";
import { RaftNode } from "./raft/raft_node.ts";
import { RedisRecords } from "./raft/redis_records.ts";
import { MemoryRaftStorage, type RaftStorage } from "./raft/storage.ts";
import { WitnessNode } from "./raft/witness_node.ts";
import { WitnessStore } from "./raft/witness_store.ts";
import { ClusterRouter } from "./router/router.ts";
import type { Serving } from "./server/serving.ts";
import type { ClusterTransport, ListedNode, NodeLister, SocketAcceptor } from "./transport.ts";

/** A node that `serve` can front. */
export type ServableCluster = ClusterManager & { readonly serving: Serving };

/**
 * A whole node, not yet started: `await cluster.start()`, and `serve(cluster, …)` for its port.
 *
 * @throws FlotillaError `invalid-option` naming the option and its value.
 */
export function createCluster(options: ClusterOptions): ServableCluster {
  const resolved = resolveOptions(options);
  const { nodeId, clock, random, logger } = resolved;
  const context = { nodeId, clock, random, logger };
  const address = new OwnAddress(resolved);
  const transport = createTransport({ ...resolved, advertise: () => address.url }, context);
  const links = new ClusterLinks(transport, linkOptionsOf(resolved), context);
  const directory = new Directory({ links, ...context, options: resolved });
  const outboxes = new Outboxes(clock, resolved);
  const router = new ClusterRouter({
    links,
    directory,
    sockets: outboxes,
    clock,
    options: routerOptionsOf(resolved),
  });
  const raft = !resolved.raft
    ? undefined
    : resolved.witness === true
    ? witnessNode(links, transport, resolved)
    : raftNode(links, transport, resolved);
  const cluster = new ClusterManager({ links, directory, router, outboxes, raft, options: resolved });
  return servable(cluster, transport, resolved, address);
}

/** Raft's part of a node, not yet started. Its storage is SQLite's where the options name a `dataDir`. */
export function raftNode(
  links: ClusterLinks,
  transport: ClusterTransport,
  options: ResolvedOptions,
): RaftNode {
  const { nodeId, clock, random, logger, dataDir, witness } = options;
  const openStorage = async (): Promise<RaftStorage> => {
    if (dataDir === undefined) return new MemoryRaftStorage(random);
    const { openSqliteStorage } = await import("./raft/sqlite.ts");
    return await openSqliteStorage({ dataDir, nodeId, random, logger });
  };
  return new RaftNode({
    links,
    clock,
    random,
    logger,
    options: raftOptionsOf(options),
    openStorage,
    expected: () => expectedNodes(transport, options),
    openRecords: typeof witness === "string"
      ? () => new RedisRecords({ ...options, url: witness })
      : undefined,
  });
}

/** The same of a node that is only a witness. */
export function witnessNode(
  links: ClusterLinks,
  transport: ClusterTransport,
  options: ResolvedOptions,
): WitnessNode {
  const { nodeId, clock, random, logger, dataDir } = options;
  const openStore = async (): Promise<WitnessStore> => {
    if (dataDir === undefined) return WitnessStore.inMemory(random);
    const { openSqlite } = await import("./raft/sqlite.ts");
    const { member, keeper } = await openSqlite({ dataDir, nodeId, random, logger });
    return new WitnessStore(member, random, keeper);
  };
  return new WitnessNode({
    links,
    clock,
    random,
    logger,
    openStore,
    expected: () => expectedNodes(transport, options),
  });
}

/** With whom this node is to form a cluster, as far as it has found out. */
export function expectedNodes(transport: ClusterTransport, options: ResolvedOptions): Expectation {
  const { nodeId: self, nodes, bootstrapExpect: count } = options;
  if (count !== undefined) return { kind: "count", count };
  const listed: readonly ListedNode[] = isLister(transport)
    ? transport.listed()
    : parseNodeList(nodes, { self, addressRequired: false }).map(({ nodeId, url = "" }) => ({
      entry: url,
      nodeId,
    }));
  const known = listed.map(({ nodeId }) => nodeId).filter((nodeId) => nodeId !== undefined);
  return {
    kind: "list",
    nodeIds: [...new Set([self, ...known])].sort(),
    unresolved: listed.filter(({ nodeId }) => nodeId === undefined).map(({ entry }) => entry),
  };
}

function isLister(transport: ClusterTransport): transport is ClusterTransport & NodeLister {
  return "listed" in transport && typeof transport.listed === "function";
}

/** Gives a cluster that was wired by hand what `serve` and `flotillaRoutes` must know of it. */
export function servable(
  cluster: ClusterManager,
  transport: ClusterTransport,
  options: ResolvedOptions,
  address: OwnAddress = new OwnAddress(options),
): ServableCluster {
  const { secret, allowInsecure, messageBytesMax, clock, random, logger } = options;
  const serving: Serving = {
    secured: secret !== undefined,
    allowInsecure,
    acceptor: isAcceptor(transport) ? transport : null,
    messageBytesMax,
    clock,
    random,
    logger,
    turnAway: (endpoint, ownId) => cluster.turnAway(endpoint, ownId),
    listening(port) {
      // A port that was given is where others reach this node: a proxy may stand in front of it.
      if (address.port === 0) address.port = port;
      cluster.publicUrl ??= address.url ?? null;
    },
  };
  return Object.assign(cluster, { serving });
}

/** Where this node is reached; its port may be known only when it listens. */
export class OwnAddress {
  readonly #host: string;
  port: number;

  constructor({ nodeAddress, nodePort }: Pick<ResolvedOptions, "nodeAddress" | "nodePort">) {
    this.#host = hostInUrl(nodeAddress);
    this.port = nodePort;
  }

  /** `ws://host:port`; undefined while the port is not known. */
  get url(): string | undefined {
    return this.port === 0 ? undefined : `ws://${this.#host}:${this.port}`;
  }
}

function isAcceptor(transport: ClusterTransport): transport is ClusterTransport & SocketAcceptor {
  return "accept" in transport && typeof transport.accept === "function";
}
