/** Nodes on three runtimes that know nothing but a Redis: `examples/node.ts --transport redis`. */
import { afterEach, describe, expect, test } from "bun:test";
import { startUpstashServer } from "../../examples/upstash_server.ts";
import type { Listener } from "../../mod.ts";
import { type Child, runChild, startChild } from "../support/child.ts";
import { demandRedis, withoutBrokers } from "../support/redis.ts";
import { commandFor, ROOT, type Runtime, RUNTIMES } from "../support/runtimes.ts";
import { until } from "../support/until.ts";
import { RawClient } from "../server/raw_client.ts";

const PATIENCE_MS = 90_000;

const started: Child[] = [];
const servers: Listener[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((child) => child.kill()));
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function startNode(runtime: Runtime, args: readonly string[]): Promise<number> {
  const all = ["--port", "0", "--id", `on-${runtime}`, "--transport", "redis", ...args];
  const node = startChild(...commandFor(runtime, "examples/node.ts", all), { cwd: ROOT });
  started.push(node);
  const [, port] = await node.waitFor(/^listening on http:\/\/127\.0\.0\.1:(\d+) as .+$/m);
  return Number(port);
}

interface View {
  readonly leaderId: string | null;
  readonly nodes: readonly { readonly nodeId: string; readonly status: string }[];
}

async function view(port: number): Promise<View> {
  return await (await fetch(`http://127.0.0.1:${port}/api/cluster`)).json() as View;
}

async function outcome(port: number, connectionId: string, body: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/api/messages/${connectionId}`, {
    method: "POST",
    body,
  });
  return (await response.json() as { outcome: string }).outcome;
}

describe.skipIf(withoutBrokers)("nodes on Deno, Bun and Node over one Redis", () => {
  test.each(["TCP", "HTTP"])(
    "find each other without a list, elect one leader and route to each other's clients: by %s",
    async (by) => {
      await using redis = await demandRedis();
      const server = await startUpstashServer({ port: 0, redis: redis.url, token: "T" });
      servers.push(server);
      const url = by === "TCP" ? redis.url : server.url.replace("//", "//:T@");
      const ports = await Promise.all(
        RUNTIMES.map((runtime) =>
          startNode(runtime, ["--redis", url, "--secret", "s", "--bootstrap-expect", "3"])
        ),
      );
      await until("all are up for all, with one leader", async () => {
        const views = await Promise.all(ports.map(view));
        const leaders = new Set(views.map(({ leaderId }) => leaderId));
        return leaders.size === 1 && !leaders.has(null) &&
          views.every(({ nodes }) => nodes.filter(({ status }) => status === "up").length === 3);
      }, 30_000);
      const clients = await Promise.all(
        ports.map((port, index) => RawClient.connect(port, `/ws?id=client-${RUNTIMES[index]}`)),
      );
      await until("the clients are in", () => clients.every(({ status }) => status === 101));
      for (const port of ports) {
        for (const runtime of RUNTIMES) {
          await until(
            "the route is known",
            async () => await outcome(port, `client-${runtime}`, `from ${port}`) === "delivered",
          );
        }
      }
      await until(
        "each client has a message of each node",
        () => clients.every(({ frames }) => frames.length === 3),
      );
    },
    PATIENCE_MS,
  );

  test("refuse to start without a secret, or without a Redis to go to", async () => {
    const args = ["--port", "0", "--transport", "redis"];
    const cases: [string[], string][] = [
      [["--redis", "redis://127.0.0.1:1"], "secret"],
      [["--secret", "s"], "redisConnectionString must be given"],
      [["--secret", "s", "--redis", "http://:hidden@example.com"], "https://"],
      [
        ["--secret", "s", "--redis", "redis://:hidden@127.0.0.1:1", "--nodes", "ws://127.0.0.1:1"],
        "ws://127.0.0.1:1",
      ],
    ];
    for (const [more, named] of cases) {
      const ran = await runChild(...commandFor("node", "examples/node.ts", [...args, ...more]), {
        cwd: ROOT,
      });
      expect([more, ran.code, ran.output.trim().split("\n").length]).toEqual([more, 2, 1]);
      expect(ran.output).toContain(named);
      expect(ran.output).not.toContain("hidden");
    }
  }, PATIENCE_MS);
});
