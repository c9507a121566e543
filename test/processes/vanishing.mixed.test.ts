/** A thousand that connect and vanish, at every stage of it: nothing of them stays, and nobody else notices. */
import { readdirSync } from "node:fs";
import net from "node:net";
import { afterEach, describe, expect, test } from "bun:test";
import type { ClusterStats } from "../../src/cluster/contract.ts";
import { type Child, startChild } from "../support/child.ts";
import { report } from "../support/measure.ts";
import { commandFor, ROOT, type Runtime, RUNTIMES } from "../support/runtimes.ts";
import { until } from "../support/until.ts";

const PATIENCE_MS = 60_000;
const VANISHING = 1_000;
/** At a time, so that nobody runs out of descriptors. */
const AT_ONCE = 100;
/** What serving some requests leaves behind: connections that are kept for the next request. */
const DESCRIPTORS_SLACK = 12;
const env = { PORT: undefined, FLOTILLA_PORT: undefined, FLOTILLA_ID: undefined, FLOTILLA_NODES: undefined };

const started: Child[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((child) => child.kill()));
});

const upgradeOf = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n` +
  "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/** At which moment somebody vanishes, and how. */
const STAGES = [
  "at once",
  "in the request",
  "after the request",
  "when open",
  "in a frame",
  "politely",
] as const;

/**
 * Connects to `path`, and is gone at `stage`; resolves then. With a reset, but after the request on Deno: it never lets
 * go of a connection that was reset, or whose end it has noticed, before the answer to its upgrade, and gives no handle
 * to it either.
 */
function vanish(runtime: Runtime, port: number, path: string, stage: typeof STAGES[number]): Promise<void> {
  return new Promise((resolve) => {
    const tcp = net.connect(port, "127.0.0.1");
    tcp.on("error", () => undefined);
    tcp.on("close", () => resolve());
    const gone = (): void => {
      if (runtime === "deno" && stage === "after the request") tcp.destroy();
      else tcp.resetAndDestroy();
    };
    tcp.once("connect", () => {
      if (stage === "at once") return gone();
      if (stage === "in the request") return tcp.write("GET /ws HTTP/1.1\r\nho", gone);
      tcp.write(upgradeOf(path), () => stage === "after the request" && gone());
    });
    tcp.once("data", () => {
      if (stage === "when open") return gone();
      // A masked frame that announces 100 bytes, and three of them.
      if (stage === "in a frame") return tcp.write(Uint8Array.of(0x82, 0xe4, 1, 2, 3, 4, 5, 6, 7), gone);
      tcp.end();
    });
  });
}

describe.each(RUNTIMES)("a node on %s", (runtime) => {
  test("keeps nothing of a thousand that connect and vanish", async () => {
    const flags = ["--port", "0", "--id", "a", "--secret", "s"];
    const node = startChild(...commandFor(runtime, "examples/node.ts", flags), { cwd: ROOT, env });
    started.push(node);
    const port = Number((await node.waitFor(/^listening on http:\/\/127\.0\.0\.1:(\d+) as .+$/m))[1]);
    const get = async <Answer>(path: string): Promise<Answer> =>
      await (await fetch(`http://127.0.0.1:${port}${path}`)).json() as Answer;
    const descriptors = (): number => readdirSync(`/proc/${node.pid}/fd`).length;

    const messages: unknown[] = [];
    const honest = new WebSocket(`ws://127.0.0.1:${port}/ws?id=honest`);
    honest.addEventListener("message", ({ data }) => void messages.push(data));
    await new Promise((resolve) => honest.addEventListener("open", resolve));
    const before = descriptors();

    for (let first = 0; first < VANISHING; first += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => {
        const path = index % 3 === 0 ? "/cluster" : `/ws?id=${first + index}`;
        return vanish(runtime, port, path, STAGES[index % STAGES.length] as typeof STAGES[number]);
      }));
      const message = { method: "POST", body: `round ${first}`, headers: { "content-type": "text/plain" } };
      const sent = await fetch(`http://127.0.0.1:${port}/api/messages/honest`, message);
      expect((await sent.json() as { outcome: string }).outcome).toBe("delivered");
    }
    await until("no connection of theirs is left", async () => {
      const { connections } = await get<{ connections: { total: number } }>("/api/cluster");
      return connections.total === 1;
    }, 20_000);
    await until("no descriptor of theirs is left", () => descriptors() <= before + DESCRIPTORS_SLACK, 20_000);
    const { rejected } = await get<ClusterStats>("/api/stats");
    expect(rejected.vanished).toBeGreaterThan(VANISHING / 6);
    await until("the honest client has all", () => messages.length === VANISHING / AT_ONCE);
    honest.close();
    report(`vanished ${runtime}`, {
      connections: VANISHING,
      counted: rejected.vanished,
      descriptors: descriptors() - before,
    });
  }, PATIENCE_MS);
});
