/** `examples/node.ts` as a process, on each runtime. */
import net from "node:net";
import { afterEach, describe, expect, test } from "bun:test";
import { type Child, runChild, startChild } from "../support/child.ts";
import { commandFor, ROOT, type Runtime, RUNTIMES } from "../support/runtimes.ts";
import { RawClient } from "./raw_client.ts";
import { until } from "../support/until.ts";

const PATIENCE_MS = 30_000;

/** What a node of this test must not take from the surroundings. */
const env = { PORT: undefined, FLOTILLA_PORT: undefined, FLOTILLA_ID: undefined, FLOTILLA_NODES: undefined };

const started: Child[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((child) => child.kill()));
});

async function startNode(runtime: Runtime, args: readonly string[]): Promise<{ node: Child; port: number }> {
  const node = startChild(...commandFor(runtime, "examples/node.ts", args), { cwd: ROOT, env });
  started.push(node);
  const [, port] = await node.waitFor(/^listening on http:\/\/127\.0\.0\.1:(\d+) as .+$/m);
  return { node, port: Number(port) };
}

async function json(url: string, init: RequestInit = {}): Promise<unknown> {
  return await (await fetch(url, init)).json();
}

describe.each(RUNTIMES)("a node on %s", (runtime) => {
  test("says where it listens, serves, and leaves on SIGTERM with 0", async () => {
    const { node, port } = await startNode(runtime, ["--port", "0", "--id", "alone"]);
    expect(node.output).toContain("as alone");
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
    expect(await json(`http://127.0.0.1:${port}/api/cluster`)).toMatchObject({ nodeId: "alone" });
    const client = await RawClient.connect(port, "/ws?id=alice");
    await until("the client is in", () => client.status === 101);
    expect(await json(`http://127.0.0.1:${port}/api/messages/alice`, { method: "POST", body: "hello" }))
      .toEqual({
        delivered: true,
        outcome: "delivered",
        nodeId: "alone",
      });
    await until("the message is there", () => client.frames.length === 1);
    node.signal("SIGTERM");
    expect((await node.ended()).code).toBe(0);
    expect(client.closeFrame()?.code).toBe(1001);
  }, PATIENCE_MS);

  test("ends at once on a second signal", async () => {
    const { node, port } = await startNode(runtime, ["--port", "0"]);
    // A request whose body never comes holds the listener up for a second.
    const unfinished = net.connect(port, "127.0.0.1");
    unfinished.on("error", () => undefined);
    unfinished.write("POST /api/messages/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n");
    const client = await RawClient.connect(port, "/ws");
    await until("the client is in", () => client.status === 101);
    node.signal("SIGTERM");
    await until("the node is leaving", () => client.closeFrame() !== undefined);
    node.signal("SIGINT");
    expect((await node.ended()).code).toBe(1);
    unfinished.destroy();
  }, PATIENCE_MS);

  test("leaves with 0 after POST /api/shutdown", async () => {
    const { node, port } = await startNode(runtime, ["--port", "0"]);
    const answer = await fetch(`http://127.0.0.1:${port}/api/shutdown`, {
      method: "POST",
      body: '{"force":true}',
    });
    expect(answer.status).toBe(202);
    expect((await node.ended()).code).toBe(0);
  }, PATIENCE_MS);

  test("ends with 2 and one line for a flag, an option or a port that cannot be used", async () => {
    const { port } = await startNode(runtime, ["--port", "0"]);
    const cases: [string[], string][] = [
      [["--prot", "1"], '"--prot"'],
      [["--port", "0", "--nodes", "no address"], "no address"],
      [["--host", "0.0.0.0", "--port", "0"], "0.0.0.0"],
      [["--port", String(port)], `cannot listen on 127.0.0.1:${port}: the port is in use`],
    ];
    for (const [args, named] of cases) {
      const ran = await runChild(...commandFor(runtime, "examples/node.ts", args), { cwd: ROOT, env });
      expect([args, ran.code, ran.output.trim().split("\n").length]).toEqual([args, 2, 1]);
      expect(ran.output).toContain(named);
    }
  }, PATIENCE_MS);

  test("shows its flags with --help", async () => {
    const ran = await runChild(...commandFor(runtime, "examples/node.ts", ["--help"]), { cwd: ROOT, env });
    expect(ran.code).toBe(0);
    expect(ran.output).toContain("--bootstrap-expect");
  }, PATIENCE_MS);
});

describe("nodes on different runtimes", () => {
  test("deliver to each other's clients", async () => {
    const deno = await startNode("deno", ["--port", "0", "--id", "on-deno", "--secret", "shared"]);
    const first = `ws://127.0.0.1:${deno.port}`;
    const others = ["--port", "0", "--secret", "shared", "--nodes", first];
    const bun = await startNode("bun", [...others, "--id", "on-bun"]);
    const node = await startNode("node", [...others, "--id", "on-node"]);
    const client = await RawClient.connect(bun.port, "/ws?id=alice");
    await until("the client is in", () => client.status === 101);
    for (const { port } of [deno, node]) {
      const url = `http://127.0.0.1:${port}/api/messages/alice`;
      let answer: unknown;
      for (let tries = 0; tries < 100; tries++) {
        answer = await json(url, { method: "POST", body: `from ${port}` });
        if ((answer as { delivered: boolean }).delivered) break;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      expect(answer).toEqual({ delivered: true, outcome: "delivered", nodeId: "on-bun" });
    }
    await until("both messages are there", () => client.frames.length === 2);
  }, PATIENCE_MS);
});
