/** What outsiders and clients do wrong to a real node, on each runtime, while an honest client is served. */
import net from "node:net";
import { afterEach, describe, expect, test } from "bun:test";
import type { ClusterStats } from "../../src/cluster/contract.ts";
import { type Child, startChild } from "../support/child.ts";
import { commandFor, ROOT, type Runtime, RUNTIMES } from "../support/runtimes.ts";
import { until } from "../support/until.ts";

const PATIENCE_MS = 30_000;
const env = { PORT: undefined, FLOTILLA_PORT: undefined, FLOTILLA_ID: undefined, FLOTILLA_NODES: undefined };

const started: Child[] = [];
const sockets: WebSocket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  await Promise.all(started.splice(0).map((child) => child.kill()));
});

interface RealNode {
  readonly child: Child;
  readonly port: number;
}

async function startNode(runtime: Runtime, ...flags: string[]): Promise<RealNode> {
  const child = startChild(...commandFor(runtime, "examples/node.ts", ["--port", "0", ...flags]), {
    cwd: ROOT,
    env,
  });
  started.push(child);
  const [, port] = await child.waitFor(/^listening on http:\/\/127\.0\.0\.1:(\d+) as .+$/m);
  return { child, port: Number(port) };
}

interface Open {
  readonly socket: WebSocket;
  readonly messages: unknown[];
  closed: { code: number; reason: string } | undefined;
}

async function open(node: RealNode, path: string): Promise<Open> {
  const socket = new WebSocket(`ws://127.0.0.1:${node.port}${path}`);
  socket.binaryType = "arraybuffer";
  sockets.push(socket);
  const self: Open = { socket, messages: [], closed: undefined };
  socket.addEventListener("message", ({ data }) => void self.messages.push(data));
  socket.addEventListener("close", ({ code, reason }) => void (self.closed = { code, reason }));
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  return self;
}

/** What a client without any library writes first. */
function handshake(node: RealNode, id: string): string {
  return `GET /ws?id=${id} HTTP/1.1\r\nhost: 127.0.0.1:${node.port}\r\nupgrade: websocket\r\nconnection: upgrade\r\n` +
    "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
}

async function stats(node: RealNode): Promise<ClusterStats> {
  return await (await fetch(`http://127.0.0.1:${node.port}/api/stats`)).json() as ClusterStats;
}

async function post(node: RealNode, id: string, body: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${node.port}/api/messages/${id}`, { method: "POST", body });
  return (await answer.json() as { outcome: string }).outcome;
}

describe.each(RUNTIMES)("a real node on %s", (runtime) => {
  test("shrugs at garbage, floods and stalls on /cluster, and counts them", async () => {
    const node = await startNode(runtime, "--id", "a", "--secret", "s");
    const honest = await open(node, "/ws?id=honest");
    for (const hello of ["", "{", "[]", '{"nodeId":"a"}', "x".repeat(100_000), "null", '{"nodeId":5}']) {
      const outsider = await open(node, "/cluster");
      outsider.socket.send(hello);
      outsider.socket.send(new Uint8Array(1_000).fill(1));
    }
    for (const bytes of [0, 1, 20, 300_000, 2_000_000]) {
      const outsider = await open(node, "/cluster");
      for (let type = 0; type < 8; type++) outsider.socket.send(new Uint8Array(bytes).fill(type));
    }
    const stalled = await open(node, "/cluster");
    await until("the outsiders are counted", async () => {
      const { transport } = (await stats(node)).links;
      return (transport["malformed"] ?? 0) + (transport["too-large"] ?? 0) >= 10;
    });
    expect(await post(node, "honest", "still here")).toBe("delivered");
    await until("the honest client has its message", () => honest.messages.includes("still here"));
    expect(stalled.closed?.code ?? 4009).toBe(4009);
  }, PATIENCE_MS);

  test(
    "refuses another secret, another cluster and a second node of its peer's id, and says why on both sides",
    async () => {
      const node = await startNode(runtime, "--id", "a", "--secret", "s");
      const nodes = ["--nodes", `ws://127.0.0.1:${node.port}`];
      const [peer, stranger, foreigner] = await Promise.all([
        startNode(runtime, "--id", "b", "--secret", "s", ...nodes),
        startNode(runtime, "--id", "c", "--secret", "other", ...nodes),
        startNode(runtime, "--id", "d", "--secret", "s", "--cluster-name", "other", ...nodes),
      ]);
      for (const [refused, reason] of [[stranger, "wrong-secret"], [foreigner, "wrong-cluster"]] as const) {
        await refused.child.waitFor(new RegExp(`refuse.*${reason}`));
        await node.child.waitFor(new RegExp(`refuse.*${reason}`));
      }
      await node.child.waitFor(/node up.*"b"/);
      const twin = startChild(
        ...commandFor(runtime, "examples/node.ts", ["--port", "0", "--id", "b", "--secret", "s", ...nodes]),
        { cwd: ROOT, env },
      );
      started.push(twin);
      const { code, output } = await twin.ended();
      expect(code).toBe(1);
      expect(output).toContain("another living node named b");
      const { links } = await stats(node);
      expect(links.refused["id-in-use"]).toBeGreaterThan(0);
      expect(links.refused["wrong-secret"] + links.refused["wrong-cluster"]).toBeGreaterThan(0);
      expect((await stats(peer)).links.sessionsEnded).toBe(0);
    },
    PATIENCE_MS,
  );

  test(
    "closes who sends too much, who reads nothing and who is replaced, each with its code, and counts them",
    async () => {
      const node = await startNode(runtime, "--id", "a");
      const honest = await open(node, "/ws?id=honest");
      const sender = await open(node, "/ws?id=sender");
      sender.socket.send(new Uint8Array(17 * 1_048_576));
      await until("the sender of 17 MiB is closed", () => sender.closed !== undefined, 10_000);
      expect([1009, 1006]).toContain(sender.closed?.code as number);

      const first = await open(node, "/ws?id=twice");
      const second = await open(node, "/ws?id=twice");
      await until("the first of two is closed", () => first.closed !== undefined);
      expect(first.closed?.code).toBe(4409);
      expect(await post(node, "twice", "to the second")).toBe("delivered");
      await until("the second has it", () => second.messages.length === 1);

      const silent = net.connect(node.port, "127.0.0.1");
      silent.on("error", () => undefined);
      silent.write(handshake(node, "silent"));
      await until(
        "the silent one is connected",
        async () => (await post(node, "silent", "first")) === "delivered",
      );
      silent.pause();
      const outcomes = new Set<string>();
      const payload = new Uint8Array(1_000_000);
      for (let sent = 0; sent < 40 && !outcomes.has("not-found"); sent++) {
        const pending = post(node, "silent", payload);
        outcomes.add(
          await Promise.race([pending, new Promise<string>((resolve) => setTimeout(resolve, 100, "waits"))]),
        );
      }
      await until(
        "the one who reads nothing is gone",
        async () => (await post(node, "silent", "x")) === "not-found",
        10_000,
      );
      silent.destroy();

      const gone = net.connect(node.port, "127.0.0.1");
      gone.on("error", () => undefined);
      gone.write(handshake(node, "gone"));
      await until(
        "who will vanish is connected",
        async () => (await post(node, "gone", "x")) === "delivered",
      );
      const { vanished } = (await stats(node)).rejected;
      gone.resetAndDestroy();
      await until(
        "who vanished is counted",
        async () => (await stats(node)).rejected.vanished > vanished,
        10_000,
      );

      const { rejected } = await stats(node);
      expect({ ...rejected }).toMatchObject({ "too-large": 1, "replaced": 1, "slow-consumer": 1 });
      expect(await post(node, "honest", "still here")).toBe("delivered");
      await until("the honest client has its message", () => honest.messages.includes("still here"));
    },
    PATIENCE_MS,
  );

  test("does not honour an id where anybody could take anybody's place", async () => {
    const node = await startNode(runtime, "--id", "a", "--host", "0.0.0.0", "--secret", "s");
    const thief = await open(node, "/ws?id=alice");
    await until("the thief is closed", () => thief.closed !== undefined);
    expect(thief.closed?.code).toBe(4001);
    expect(thief.closed?.reason).not.toBe("");
    expect((await stats(node)).rejected.unauthorized).toBe(1);
  }, PATIENCE_MS);
});
