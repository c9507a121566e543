/**
 * The parts of two nodes wired by hand, as `createCluster` does it in one call, with a connection provider that
 * brings a socket of the application's own into the cluster.
 *
 *     deno run -A examples/by_hand.ts     bun run examples/by_hand.ts     node examples/by_hand.ts
 */
import {
  ClusterLinks,
  ClusterManager,
  ClusterRouter,
  createTransport,
  DefaultConnectionProvider,
  Directory,
  expectedNodes,
  linkOptionsOf,
  MemoryRaftStorage,
  Outboxes,
  OwnAddress,
  RaftNode,
  raftOptionsOf,
  resolveOptions,
  routerOptionsOf,
  servable,
  serve,
  silentLogger,
  systemClock,
  systemRandom,
} from "../mod.ts";

async function startNode(nodeId: string, nodes: string[]) {
  const options = resolveOptions({ nodeId, nodes, secret: "only the nodes know" });
  const context = { nodeId, clock: systemClock, random: systemRandom, logger: silentLogger };
  const address = new OwnAddress(options);
  const transport = createTransport({ ...options, advertise: () => address.url }, context);
  const links = new ClusterLinks(transport, linkOptionsOf(options), context);
  const raft = new RaftNode({
    links,
    ...context,
    options: raftOptionsOf(options),
    openStorage: () => new MemoryRaftStorage(systemRandom),
    expected: () => expectedNodes(transport, options),
  });
  const directory = new Directory({ links, ...context, options });
  const outboxes = new Outboxes(systemClock, options);
  const router = new ClusterRouter({
    links,
    directory,
    sockets: outboxes,
    clock: systemClock,
    options: routerOptionsOf(options),
  });
  const cluster = new ClusterManager({ links, raft, directory, router, outboxes, options });
  const listener = await serve(servable(cluster, transport, options, address), { port: 0 });
  await cluster.start();
  return { cluster, listener, url: listener.url.replace("http", "ws") };
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => socket.addEventListener("open", () => resolve(), { once: true }));
}

const a = await startNode("a", []);
const met = new Promise((resolve) => a.cluster.on("nodeup", resolve));
const b = await startNode("b", [a.url]);
await met;

// A client of node b, as any browser connects.
const alice = new WebSocket(`${b.url}/ws?id=alice`);
const heard = new Promise((resolve) =>
  alice.addEventListener("message", ({ data }) => resolve(data), { once: true })
);
await opened(alice);

// A socket that node a's application holds itself joins under the id "backend": what is routed there goes out on it.
const own = new WebSocket(`${b.url}/ws?id=echo`);
await opened(own);
const provider = new DefaultConnectionProvider(systemClock, {
  closed: (connectionId, sink) => a.cluster.unregisterConnection(connectionId, sink),
});
provider.add("backend", own);
a.cluster.setConnectionProvider(provider);
a.cluster.registerConnection("backend", { endpoint: "/backend" });

// Node a may not have heard of alice yet: it asks.
console.log("to alice from a:", await a.cluster.deliver(["alice"], "hello from a"));
console.log("alice heard:", await heard);
console.log("to backend from b:", await b.cluster.deliver(["backend"], "hello from b"));
console.log(
  "alice is on:",
  a.cluster.getConnectionNodeId("alice"),
  "and the best node now is",
  a.cluster.getOptimalNode(),
);

// Both nodes agree on one leader, and on what is written, wherever it is.
await b.cluster.state.set("topic", "flotillas");
const topic = await a.cluster.state.get("topic");
console.log("the leader is", a.cluster.leaderId, "and the topic:", new TextDecoder().decode(topic?.value));

for (const socket of [alice, own]) socket.close();
for (const { cluster, listener } of [b, a]) {
  await cluster.shutdown();
  await listener.close();
}
