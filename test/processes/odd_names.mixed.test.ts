/** Ids and reasons with every oddity of Unicode, with control characters, and 10 MB of them, at real nodes. */
import net from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Child, startChild } from "../support/child.ts";
import { BAD_NAMES, HUGE_NAMES, ODD_NAMES } from "../support/names.ts";
import { commandFor, ROOT, type Runtime, RUNTIMES } from "../support/runtimes.ts";
import { until } from "../support/until.ts";

const PATIENCE_MS = 60_000;
const env = { PORT: undefined, FLOTILLA_PORT: undefined, FLOTILLA_ID: undefined, FLOTILLA_NODES: undefined };

interface Node {
  readonly runtime: Runtime;
  readonly child: Child;
  readonly port: number;
}

const nodes: Node[] = [];

/** One node on each runtime, each of which knows the one before it. */
beforeAll(async () => {
  for (const runtime of RUNTIMES) {
    const known = nodes.map(({ port }) => `ws://127.0.0.1:${port}`).join(",");
    const flags = [
      "--port",
      "0",
      "--id",
      runtime,
      "--secret",
      "s",
      ...(known === "" ? [] : ["--nodes", known]),
    ];
    const child = startChild(...commandFor(runtime, "examples/node.ts", flags), { cwd: ROOT, env });
    const [, port] = await child.waitFor(/^listening on http:\/\/127\.0\.0\.1:(\d+) as .+$/m);
    nodes.push({ runtime, child, port: Number(port) });
  }
  for (const node of nodes) {
    await until("the nodes have met", async () => {
      const answer = await request(node, "GET", "/api/cluster");
      const { nodes: seen } = answer.body as { nodes: { status: string }[] };
      return seen.filter(({ status }) => status === "up").length === RUNTIMES.length;
    }, 20_000);
  }
}, PATIENCE_MS);
afterAll(async () => {
  await Promise.all(nodes.map(({ child }) => child.kill()));
});

async function request(
  node: Node,
  method: string,
  path: string,
  body?: string,
): Promise<{ status: number; body: unknown }> {
  const headers = { "content-type": "application/json" };
  const init = body === undefined ? { method } : { method, headers, body };
  const answer = await fetch(`http://127.0.0.1:${node.port}${path}`, init);
  return { status: answer.status, body: await answer.json() };
}

/** Hands one message for all of `ids` over to `node`, and gives the outcomes. */
async function messageAll(node: Node, ids: readonly string[], text: string): Promise<Record<string, string>> {
  const { body } = await request(node, "POST", "/api/messages", JSON.stringify({ connectionIds: ids, text }));
  return (body as { results: Record<string, string> }).results;
}

interface Client {
  readonly socket: WebSocket;
  readonly messages: unknown[];
  closed: { code: number; reason: string } | undefined;
}

async function connect(node: Node, id: string): Promise<Client> {
  const socket = new WebSocket(`ws://127.0.0.1:${node.port}/ws?id=${encodeURIComponent(id)}`);
  const client: Client = { socket, messages: [], closed: undefined };
  socket.addEventListener("message", ({ data }) => void client.messages.push(data));
  socket.addEventListener("close", ({ code, reason }) => void (client.closed = { code, reason }));
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error(`no connection as ${JSON.stringify(id)}`)));
  });
  return client;
}

/** Writes bytes that no well-behaved client would, and gives the first line of the answer, or nothing. */
async function raw(node: Node, target: string): Promise<string> {
  const connection = net.connect(node.port, "127.0.0.1");
  let answer = "";
  let over = false;
  connection.on("data", (data) => void (answer += String(data)));
  connection.on("error", () => over = true);
  connection.on("close", () => over = true);
  connection.write(
    `GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
      "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
  );
  await until(`an answer to ${target.slice(0, 40)}`, () => answer !== "" || over, 20_000);
  connection.destroy();
  return answer.split("\r\n")[0] ?? "";
}

describe.each(RUNTIMES)("a node on %s", (runtime) => {
  const others = (): Node[] => nodes.filter((node) => node.runtime !== runtime);
  const own = (): Node => nodes.find((node) => node.runtime === runtime) as Node;

  test("keeps odd names apart, and each is reached from every node", async () => {
    const clients = await Promise.all(ODD_NAMES.map((id) => connect(own(), id)));
    for (const node of nodes) {
      const text = `all, from ${node.runtime}`;
      await until(`${node.runtime} knows all`, async () => {
        const { body } = await request(node, "GET", "/api/connections?limit=1000");
        return (body as { connections: unknown[] }).connections.length === ODD_NAMES.length;
      });
      const results = await messageAll(node, ODD_NAMES, text);
      expect(ODD_NAMES.filter((id) => results[id] !== "delivered")).toEqual([]);
      for (const [index, id] of ODD_NAMES.entries()) {
        // A path cannot say "." and "..": whoever reads it resolves them. The list can.
        if (id === "." || id === "..") continue;
        const path = encodeURIComponent(id);
        const { body: one } = await request(node, "POST", `/api/messages/${path}`, `"${index} ${text}"`);
        expect({ id, ...one as object }).toMatchObject({ id, delivered: true, nodeId: runtime });
        const { body: found } = await request(node, "GET", `/api/connections/${path}`);
        expect(found).toMatchObject({ connectionId: id, nodeId: runtime, endpoint: "/ws" });
      }
    }
    const expected = (id: string, index: number): string[] =>
      nodes.flatMap((node) => {
        const text = `all, from ${node.runtime}`;
        return id === "." || id === ".." ? [text] : [text, `"${index} ${text}"`];
      });
    await until(
      "all have everything",
      () =>
        clients.every(({ messages }, index) =>
          messages.length >= expected(ODD_NAMES[index] as string, index).length
        ),
    );
    for (const [index, { messages }] of clients.entries()) {
      expect(messages).toEqual(expected(ODD_NAMES[index] as string, index));
    }
    for (const { socket } of clients) socket.close();
    await until("all are gone everywhere", async () => {
      for (const node of nodes) {
        const { body } = await request(node, "GET", "/api/connections");
        if ((body as { connections: unknown[] }).connections.length > 0) return false;
      }
      return true;
    });
  }, PATIENCE_MS);

  test("refuses what is no name, in a handshake, a path and a list", async () => {
    for (const id of BAD_NAMES) {
      // A half character cannot be written in a URL: its bytes read as the character for what is unreadable.
      if (!id.isWellFormed()) continue;
      const client = await connect(own(), id);
      await until(`${JSON.stringify(id)} is refused`, () => client.closed !== undefined);
      expect(client.closed?.code).toBe(4001);
      if (id !== "") {
        const answer = await request(own(), "POST", `/api/messages/${encodeURIComponent(id)}`, '"x"');
        expect({ id, status: answer.status }).toEqual({ id, status: 400 });
      }
    }
    for (const id of [...BAD_NAMES, ...HUGE_NAMES]) {
      const list = JSON.stringify({ connectionIds: [id], text: "x" });
      const { status } = await request(own(), "POST", "/api/messages", list);
      expect({ start: id.slice(0, 20), refused: status === 400 || status === 413 })
        .toEqual({ start: id.slice(0, 20), refused: true });
    }
  }, PATIENCE_MS);

  test("is not moved by bytes that are no text, and by ten megabytes, in a request line", async () => {
    const client = await connect(own(), "honest");
    for (const id of ["%", "%zz", "%ff%fe", "%ed%a0%80", "%c0%80", "%f4%90%80%80", "a%0d%0ab"]) {
      expect(await raw(own(), `/ws?id=${id}`)).toMatch(/^HTTP\/1\.1 (101|400) /);
      expect(await raw(own(), `/api/connections/${id}`)).toMatch(/^HTTP\/1\.1 4\d\d /);
    }
    for (const path of ["/ws?id=", "/cluster?x=", "/api/messages/", "/api/connections/a?reason=", "/"]) {
      expect(await raw(own(), path + "x".repeat(10_000_000))).toMatch(/^(HTTP\/1\.1 4\d\d .*)?$/);
    }
    const [other] = others();
    expect(await messageAll(other as Node, ["honest"], "still here")).toEqual({ honest: "delivered" });
    await until("the honest client has its message", () => client.messages.includes("still here"));
    client.socket.close();
  }, PATIENCE_MS);

  test(
    "closes with odd reasons word for word, from another node, and refuses those that do not fit",
    async () => {
      const [other] = others();
      // The client that looks takes a byte order mark off: it is not told from a name of nothing.
      const reasons = ODD_NAMES.map((name) => [...name].slice(0, 30).join("").replace(/^\ufeff/, "after it"));
      for (const reason of reasons) {
        const client = await connect(own(), "leaver");
        const path = `/api/connections/leaver?code=4321&reason=${encodeURIComponent(reason)}`;
        await until("it is known", async () => (await request(other as Node, "DELETE", path)).status === 200);
        await until("it is closed", () => client.closed !== undefined);
        expect(client.closed).toEqual({ code: 4321, reason });
      }
      const client = await connect(own(), "stayer");
      for (const reason of ["x".repeat(124), "\u{1f600}".repeat(31), "x".repeat(10_000)]) {
        const path = `/api/connections/stayer?reason=${encodeURIComponent(reason)}`;
        expect((await request(own(), "DELETE", path)).status).toBe(400);
      }
      expect(client.closed).toBe(undefined);
      client.socket.close();
    },
    PATIENCE_MS,
  );
});
