/**
 * A node that never hears one other node and is never heard by it: `BLOCKED_NODE=b deno run -A
 * examples/blocked_node.ts --id a --port 8080 --nodes ws://127.0.0.1:8081`. It shows how a transport is wrapped,
 * and what a cluster with a hole in its mesh looks like.
 */
import process from "node:process";
import {
  type ClusterTransport,
  createCluster,
  createTransport,
  type Path,
  serve,
  silentLogger,
  type Socket,
  type SocketAcceptor,
  type SocketEvents,
  systemClock,
  systemRandom,
  type TransportSink,
} from "../mod.ts";
import { parseFlags } from "./node_flags.ts";

type Wrapped = ClusterTransport & SocketAcceptor;

/** `inner`, but nothing passes between this node and `blocked`. */
function without(blocked: string, inner: Wrapped): Wrapped {
  return {
    name: inner.name,
    features: inner.features,
    packetBytesMax: inner.packetBytesMax,
    channelName: inner.channelName,
    start: (sink: TransportSink) =>
      inner.start({
        packet: (from, packet, path) => from === blocked ? undefined : sink.packet(from, packet, path),
        peerSeen: (nodeId, path) => nodeId === blocked ? undefined : sink.peerSeen(nodeId, path),
        peerGone: (nodeId, path) => nodeId === blocked ? undefined : sink.peerGone(nodeId, path),
      }),
    stop: () => inner.stop(),
    send: (nodeId, packet, path?: Path) => nodeId === blocked ? undefined : inner.send(nodeId, packet, path),
    broadcast: (packet) => inner.broadcast(packet),
    queuedBytes: (nodeId) => inner.queuedBytes(nodeId),
    counters: () => inner.counters(),
    confirm: (nodeId, path) => inner.confirm(nodeId, path),
    accept: (socket: Socket, remote): SocketEvents => inner.accept(socket, remote),
    [Symbol.asyncDispose]: () => inner.stop(),
  };
}

const parsed = parseFlags(process.argv.slice(2), (name) => process.env[name]);
if (parsed.kind !== "run") throw new Error(parsed.kind === "wrong" ? parsed.message : parsed.text);
const { id: nodeId = "blocked", port = 8080, nodes = [] } = parsed.settings;
const context = { nodeId, clock: systemClock, random: systemRandom, logger: silentLogger };
const advertise = (): string => `ws://127.0.0.1:${port}`;
const inner = createTransport(
  { transportType: "ws", nodes, channelName: "/cluster", advertise },
  context,
) as Wrapped;
const transportType = without(process.env["BLOCKED_NODE"] ?? "", inner);
const cluster = createCluster({ nodeId, nodePort: port, transportType });
const listener = await serve(cluster, { port });
await cluster.start();
console.log(`listening on ${listener.url} as ${nodeId}, which never hears ${process.env["BLOCKED_NODE"]}`);
process.on("SIGTERM", () => void cluster.shutdown().then(() => listener.close()).then(() => process.exit(0)));
