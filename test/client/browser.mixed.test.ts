/** Nodes and web pages: a real browser, whose sockets and origins no test client imitates. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Cluster, createCluster, flotillaRoutes, listen, type Listener, serve } from "../../mod.ts";
import { Hono, type HonoApp } from "../../src/lib/hono.ts";
import type { ServerBindings } from "../../src/server/contract.ts";
import { openBrowser, type TestBrowser, withoutBrowser } from "../support/browser.ts";
import { freePort } from "../support/free_port.ts";
import { until } from "../support/until.ts";

const START_MS_MAX = 60_000;
const PATIENCE_MS = 30_000;

/** Shows what its socket hears, a list item each: `text hello`, `bytes 0 1 255`, `open`, `closed 1006`. */
const pageFor = (port: number): string =>
  `<!doctype html>
<meta charset="utf-8"><link rel="icon" href="data:,"><title>Flotilla</title><ul></ul>
<script type="module">
  const show = (text) => document.querySelector("ul").append(
    Object.assign(document.createElement("li"), { textContent: text }),
  );
  const socket = new WebSocket("ws://127.0.0.1:${port}/ws?id=page");
  socket.binaryType = "arraybuffer";
  socket.onopen = () => (show("open"), socket.send("grüße from the page"));
  socket.onmessage = ({ data }) =>
    show(typeof data === "string" ? "text " + data : "bytes " + new Uint8Array(data).join(" "));
  socket.onclose = ({ code }) => show("closed " + code);
</script>`;

/** Listens with `/page`, whose socket goes to the node on `nodePort`, besides what `more` serves. */
async function servePage(port: number, nodePort: number, more?: HonoApp<ServerBindings>): Promise<Listener> {
  const app = new Hono<ServerBindings>().get("/page", (c) => c.html(pageFor(nodePort)));
  return await listen({ port, fetch: (more === undefined ? app : app.route("/", more)).fetch });
}

describe.skipIf(withoutBrowser)("a page in a browser", () => {
  let browser: TestBrowser;
  let near: Cluster;
  let far: Cluster;
  let port: number;
  const heard: unknown[] = [];
  /** What has been started is ended by these, the latest first. */
  const ends: (() => PromiseLike<void>)[] = [];

  beforeAll(async () => {
    browser = await openBrowser();
    ends.push(() => browser[Symbol.asyncDispose]());
    port = await freePort();
    const farPort = await freePort();
    const here = createCluster({ nodeId: "near", nodePort: port });
    const there = createCluster({ nodeId: "far", nodePort: farPort, nodes: [`ws://127.0.0.1:${port}`] });
    const routes = flotillaRoutes(here, { onMessage: (id, data) => void heard.push([id, data]) });
    for (const listener of [await servePage(port, port, routes), await serve(there, { port: farPort })]) {
      ends.push(() => listener.close());
    }
    [near, far] = [here, there];
    for (const cluster of [near, far]) {
      ends.push(async () => void await cluster.shutdown());
      await cluster.start();
    }
  }, START_MS_MAX);

  afterAll(async () => {
    for (const end of ends.reverse()) await end();
  }, START_MS_MAX);

  test("is reached by text and by bytes from another node, and heard by its own", async () => {
    const { page, complaints } = await browser.open(`http://127.0.0.1:${port}/page`);
    await until("its own node has heard it", () => heard.length === 1);
    expect(heard).toEqual([["page", "grüße from the page"]]);
    await until("the far node knows where it is", () => far.getConnectionNodeId("page") === "near");
    expect(await far.routeMessage("page", "hello, 🚢")).toBe(true);
    expect(await far.routeMessage("page", new Uint8Array([0, 1, 255]))).toBe(true);
    await page.getByText("bytes").waitFor();
    expect(await page.getByRole("listitem").allTextContents()).toEqual([
      "open",
      "text hello, 🚢",
      "bytes 0 1 255",
    ]);
    expect(complaints).toEqual([]);
    await page.context().close();
    await until("the nodes know that it is gone", () => far.getConnectionNodeId("page") === undefined);
  }, PATIENCE_MS);

  test("of another origin is refused", async () => {
    const stranger = await servePage(0, port);
    ends.push(() => stranger.close());
    const { page } = await browser.open(`${stranger.url}/page`);
    await page.getByText("closed").waitFor();
    expect(await page.getByRole("listitem").allTextContents()).toEqual(["closed 1006"]);
    expect(near.getConnectionNodeId("page")).toBe(undefined);
    await page.context().close();
  }, PATIENCE_MS);
});
