/** Clients and a node that leaves, over real sockets: those of the SDK, and any other. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createCluster, type Listener, type ServableCluster, serve } from "../../mod.ts";
import { connect } from "../../src/client/connect.ts";
import type { FlotillaClient } from "../../src/client/contract.ts";
import { freePort } from "../support/free_port.ts";
import { type Mesh, MESHES } from "../support/meshes.ts";
import { withoutBrokers } from "../support/redis.ts";
import { until } from "../support/until.ts";
import { RawClient } from "../server/raw_client.ts";

const PATIENCE_MS = 20_000;

interface Node {
  readonly cluster: ServableCluster;
  readonly listener: Listener;
  readonly url: string;
}

let mesh: Mesh;
const nodes: Node[] = [];
const raw: RawClient[] = [];
const clients: FlotillaClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const client of raw.splice(0)) client.destroy();
  for (const { cluster, listener } of nodes.splice(0)) {
    await cluster.shutdown({ force: true });
    await listener.close();
  }
  await mesh[Symbol.asyncDispose]();
});

async function startNode(nodeId: string): Promise<Node> {
  const cluster = createCluster({
    nodeId,
    ...mesh.options(nodes.map(({ cluster, url }) => ({ nodeId: cluster.nodeId, url }))),
    raft: false,
  });
  const listener = await serve(cluster, {
    port: 0,
    onMessage: (connectionId, data) => void heard.push(`${nodeId} ${connectionId} ${String(data)}`),
  });
  await cluster.start();
  const node = { cluster, listener, url: listener.url.replace("http", "ws") };
  nodes.push(node);
  return node;
}
let heard: string[] = [];

async function threeNodes(): Promise<[Node, Node, Node]> {
  heard = [];
  const three = [await startNode("a"), await startNode("b"), await startNode("c")] as [Node, Node, Node];
  await until(
    "all nodes have met",
    () =>
      three.every(({ cluster }) => cluster.view().nodes.filter(({ status }) => status === "up").length === 3),
  );
  return three;
}

async function connectTo(
  { url }: Node,
  id: string,
  listeners: Partial<{ events: string[] }> = {},
): Promise<FlotillaClient> {
  const client = await connect(`${url}/ws?id=${id}`, { reconnectDelayMs: 50 });
  clients.push(client);
  const events = listeners.events;
  if (events !== undefined) {
    client.on("disconnect", ({ code }) => void events.push(`disconnect ${code}`));
    client.on(
      "reconnect",
      ({ connectionId, nodeId }) => void events.push(`reconnect ${connectionId} at ${nodeId}`),
    );
    client.on("close", ({ code }) => void events.push(`close ${code}`));
    client.on("message", (data) => void events.push(`message ${String(data)}`));
  }
  return client;
}

for (const { name, isBroker, open } of MESHES) {
  describe.skipIf(isBroker && withoutBrokers)(`of nodes over ${name}, a client of one that leaves`, () => {
    beforeEach(async () => {
      mesh = await open();
    }, PATIENCE_MS);
    clientsThatMove();
  });
}

function clientsThatMove(): void {
  test("goes where it is sent, keeps its id, and what it sends meanwhile arrives in order", async () => {
    const [a, b] = await threeNodes();
    const events: string[] = [];
    const client = await connectTo(a, "alice", { events });
    let sent = 0;
    const sending = setInterval(() => client.send(`message ${sent++}`), 1);
    await until("some have arrived", () => heard.length > 20);
    const report = await a.cluster.shutdown();
    await until("it is back", () => client.connected && client.nodeId !== "a");
    clearInterval(sending);
    await until("all have arrived", () => heard.length === sent);
    expect(heard.map((line) => line.replace(/^\w+ alice message /, ""))).toEqual(
      [...Array(sent).keys()].map(String),
    );
    expect(report).toMatchObject({ moved: 1, refused: 0, timedOut: 0 });
    expect(events).toEqual(["disconnect 1001", `reconnect alice at ${client.nodeId}`]);
    expect(await b.cluster.routeText("alice", "welcome")).toBe(true);
    await until("it is heard", () => events.at(-1) === "message welcome");
  }, PATIENCE_MS);

  test("is let in elsewhere when it comes while the node leaves", async () => {
    const [a, b, c] = await threeNodes();
    const slow = await connectTo(b, "stays");
    // A stream that nobody reads holds the leaving up.
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) });
    slow.on("stream", () => {});
    await until("c knows it", () => c.cluster.getConnectionNodeId("stays") === "b");
    const streaming = c.cluster.deliverStream("stays", endless);
    const leaving = b.cluster.shutdown({ deadlineMs: 3_000 });
    await until("it leaves", () => b.cluster.turnAway("/ws", null) !== null);
    const late = await connectTo(b, "late");
    expect(["a", "c"]).toContain(late.nodeId);
    expect(late.connectionId).toBe("late");
    await leaving;
    expect(["node-lost", "closed"]).toContain((await streaming).outcome);
    await until("the other is back, too", () => slow.connected && slow.nodeId !== "b");
    await until("the cluster has them, each once", () => a.cluster.view().connections.total === 2);
  }, PATIENCE_MS);

  test(
    "finds another way when its node dies and its home is gone: it waits for it to come back",
    async () => {
      const [a] = await threeNodes();
      const events: string[] = [];
      const client = await connectTo(a, "alice", { events });
      const { port } = a.listener;
      nodes.splice(nodes.indexOf(a), 1);
      await a.cluster.shutdown({ force: true });
      await a.listener.close();
      await until(
        "it has been moved",
        () => events.some((event) => event.startsWith("reconnect alice")),
        10_000,
      );
      expect(port).toBeGreaterThan(0);
      expect(client.nodeId).not.toBe("a");
    },
    PATIENCE_MS,
  );

  test("tries its other homes when one is not there", async () => {
    const [a, b] = await threeNodes();
    const gone = `ws://127.0.0.1:${await freePort()}/ws?id=carol`;
    const client = await connect([gone, `${b.url}/ws?id=carol`, `${a.url}/ws?id=carol`], {
      reconnectDelayMs: 50,
    });
    clients.push(client);
    expect(client.nodeId).toBe("b");
    await b.listener.close();
    await until("it is at another home", () => client.connected && client.nodeId === "a", 10_000);
  }, PATIENCE_MS);

  test("does not come back when it was replaced, refused or closed on purpose", async () => {
    const [a, b] = await threeNodes();
    const events: string[] = [];
    const first = await connectTo(a, "alice", { events });
    await connectTo(b, "alice");
    expect((await first.closed).code).toBe(4409);
    expect(events).toEqual(["close 4409"]);
    const other = await connectTo(a, "bob", { events });
    await a.cluster.closeConnection("bob", 1000, "enough");
    expect(await other.closed).toEqual({ code: 1000, reason: "enough" });
    expect(other.send("anybody there?")).toBe(false);
  }, PATIENCE_MS);

  test("that is any WebSocket follows the redirect word for word and has the same id there", async () => {
    const three = await threeNodes();
    const [a] = three;
    const ids = ["plain", "märchen & co=1"];
    for (const id of ids) {
      raw.push(await RawClient.connect(a.listener.port, `/ws?id=${encodeURIComponent(id)}`));
    }
    await until(
      "all nodes know them",
      () => three.every(({ cluster }) => ids.every((id) => cluster.getConnectionNodeId(id) === "a")),
    );
    const leaving = a.cluster.shutdown();
    await until("all are told to go", () => raw.every((client) => client.closeFrame() !== undefined));
    const followed = await Promise.all(raw.map(async (client, at) => {
      const { code, reason } = client.closeFrame() as { code: number; reason: string };
      client.sendClose(code);
      expect(code).toBe(1001);
      const { redirect } = JSON.parse(reason) as { redirect: string };
      const target = three.find(({ url }) => redirect.startsWith(`${url}/`))?.cluster.nodeId;
      const third = three.find(({ cluster: { nodeId } }) => nodeId !== "a" && nodeId !== target)?.cluster;
      const socket = new WebSocket(redirect);
      const heardHere: unknown[] = [];
      socket.addEventListener("message", ({ data }) => void heardHere.push(data));
      const id = ids[at] as string;
      await until("a third node knows where it is", () => third?.getConnectionNodeId(id) === target);
      expect(await third?.deliver([id], `hello, ${id}`)).toEqual(new Map([[id, "delivered"]]));
      await until("it is heard", () => heardHere.length > 0);
      return { socket, heardHere };
    }));
    expect(followed.map(({ heardHere }) => heardHere)).toEqual(ids.map((id) => [`hello, ${id}`]));
    expect(await leaving).toMatchObject({ moved: 2, refused: 0, timedOut: 0 });
    for (const { socket } of followed) socket.close();
  }, PATIENCE_MS);
}
