/**
 * Flotilla makes several WebSocket servers one: a message for a connection is handed to any node and reaches the
 * client, whichever node holds its socket. On Deno, Bun and Node, from one source.
 *
 * @example A whole node
 * ```ts
 * import { createCluster, serve } from "./mod.ts";
 *
 * const cluster = createCluster({ nodeId: "a", nodePort: 8080, nodes: ["ws://127.0.0.1:8081"] });
 * await serve(cluster, { port: 8080 });
 * await cluster.start();
 * await cluster.routeText("alice", "hello, wherever you are");
 * ```
 * @module
 */
export {
  createCluster,
  expectedNodes,
  OwnAddress,
  raftNode,
  servable,
  type ServableCluster,
  witnessNode,
} from "./src/create.ts";
export { ClusterManager, type ClusterParts } from "./src/cluster/manager.ts";
export {
  type ClusterOptions,
  linkOptionsOf,
  raftOptionsOf,
  type ResolvedOptions,
  resolveOptions,
  routerOptionsOf,
  streamOptionsOf,
} from "./src/cluster/options.ts";
export type * from "./src/cluster/contract.ts";
export {
  type RankedTarget,
  rankTargets,
  type RankWeights,
  type TargetCandidate,
} from "./src/cluster/rank_targets.ts";
export { ClusterRouter, type RouterContext } from "./src/router/router.ts";
export type { RouterOptions } from "./src/router/contract.ts";
export { arrived, type Outcome } from "./src/router/outcome.ts";
export { ClusterStreams, type StreamsContext, type StreamsInFlight } from "./src/stream/streams.ts";
export type { StreamsOptions } from "./src/stream/contract.ts";
export { OutgoingStream } from "./src/stream/outgoing.ts";
export { chunker } from "./src/stream/cutter.ts";
export { Directory } from "./src/directory/directory.ts";
export type { Description, DirectoryContext, DirectoryStats } from "./src/directory/contract.ts";
export type { DirectoryOptions } from "./src/directory/options.ts";
export { ClusterLinks, type LinksContext } from "./src/link/links.ts";
export type { LinkOptions } from "./src/link/options.ts";
export type * from "./src/link/contract.ts";
export { RaftNode, type RaftNodeContext } from "./src/raft/raft_node.ts";
export type { RaftPart } from "./src/raft/part.ts";
export { WitnessNode, type WitnessNodeContext } from "./src/raft/witness_node.ts";
export { WitnessStore } from "./src/raft/witness_store.ts";
export { RedisRecords, type RedisRecordsOptions } from "./src/raft/redis_records.ts";
export type { Records } from "./src/raft/records.ts";
export type { NodeKnowledge } from "./src/raft/roster.ts";
export type { RaftNodeOptions } from "./src/raft/options.ts";
export { MemoryRaftStorage, type RaftStorage } from "./src/raft/storage.ts";
export type * from "./src/raft/contract.ts";
export type * from "./src/transport.ts";
export { createTransport, type TransportSettings } from "./transports/create.ts";
export { WsTransport, type WsTransportOptions } from "./transports/ws.ts";
export { hybridTransport, type HybridTransportOptions } from "./transports/hybrid.ts";
export { rabbitMqTransport, type RabbitMqTransportOptions } from "./transports/rabbitmq.ts";
export { redisTransport, type RedisTransportOptions } from "./transports/redis.ts";
export { type BrokerDrop, type BrokerOptions, type Brokers, BrokerTransport } from "./transports/broker.ts";
export type { Broker, BrokerConnection, BrokerEvents } from "./transports/broker_contract.ts";
export {
  type FaultPlan,
  MemoryHub,
  type MemoryHubOptions,
  memoryTransport,
  type Tap,
  type TappedPacket,
} from "./transports/memory.ts";
export { DefaultConnectionProvider } from "./src/connection/provider.ts";
export type { OutboxOptions, SlowConsumerPolicy } from "./src/connection/outbox.ts";
export { Outboxes } from "./src/connection/outboxes.ts";
export type * from "./src/connection/sink.ts";
export { flotillaRoutes } from "./src/server/routes.ts";
export { serve, type ServeOptions } from "./src/server/serve.ts";
export { type RouteContext, upgrade } from "./src/server/upgrade.ts";
export { listen } from "./src/server/listen.ts";
export type {
  Listener,
  ListenOptions,
  OpenSocket,
  RemoteAddress,
  RequestContext,
  ServerBindings,
  ServerEnv,
  UpgradeOptions,
} from "./src/server/contract.ts";
export type { Identity, RouteOptions, ServedCluster, Serving } from "./src/server/serving.ts";
export { connect } from "./src/client/connect.ts";
export type {
  ClientClose,
  ClientEvents,
  ConnectOptions,
  FlotillaClient,
  IncomingProgress,
  IncomingStream,
  WebSocketConstructor,
} from "./src/client/contract.ts";
export type { Socket, SocketEvents } from "./src/lib/socket.ts";
export type { StandardWebSocket } from "./src/lib/standard_socket.ts";
export { CLOSE } from "./src/lib/close_codes.ts";
export { type ErrorCode, FlotillaError } from "./src/lib/errors.ts";
export { type Clock, systemClock, type Timer } from "./src/lib/clock.ts";
export type { Unsubscribe } from "./src/lib/events.ts";
export { type LogFields, type Logger, silentLogger } from "./src/lib/logger.ts";
export { type Random, seededRandom, systemRandom } from "./src/lib/random.ts";
