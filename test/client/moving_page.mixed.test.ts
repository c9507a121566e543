/** The SDK in a real browser, whose node leaves and whose network goes and comes. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCluster, listen, type Listener, type ServableCluster, serve } from "../../mod.ts";
import { Hono } from "../../src/lib/hono.ts";
import type { ServerBindings } from "../../src/server/contract.ts";
import { type BrowserPage, openBrowser, type TestBrowser, withoutBrowser } from "../support/browser.ts";
import { runChild, startChild } from "../support/child.ts";
import { commandFor, programOf, ROOT, RUNTIMES } from "../support/runtimes.ts";
import { until } from "../support/until.ts";

const PATIENCE_MS = 60_000;
const STREAM_BYTES = 300_001;

/** Connects to the node in the query of its URL, keeps what happens in `happened`, and sends numbers if told to. */
const PAGE = `<!doctype html>
<meta charset="utf-8"><link rel="icon" href="data:,"><title>Flotilla</title>
<script type="module">
  import { connect } from "/client.js";
  window.happened = [];
  const note = (text) => void happened.push(text);
  const client = window.client = await connect(new URLSearchParams(location.search).get("to"));
  client.on("message", (data) => note("message " + data));
  client.on("stream", async (stream) => note("stream of " + (await stream.bytes()).length));
  client.on("disconnect", ({ code }) => note("disconnect " + code));
  client.on("reconnect", ({ connectionId, nodeId }) => note("reconnect " + connectionId + " at " + nodeId));
  client.on("close", ({ code }) => note("close " + code));
  note("connect " + client.connectionId + " at " + client.nodeId);
</script>`;

/** What a page says has happened. */
async function happenedIn({ page }: BrowserPage): Promise<string[]> {
  return await page.evaluate<string[]>("window.happened ?? []");
}

describe.skipIf(withoutBrowser)("a page with the SDK", () => {
  let browser: TestBrowser;
  let far: ServableCluster;
  let farListener: Listener;
  let site: Listener;
  let heard: string[] = [];
  const folder = mkdtempSync(join(tmpdir(), "flotilla-page-"));

  beforeAll(async () => {
    browser = await openBrowser();
    const bundle = join(folder, "client.js");
    await runChild(programOf("bun"), [join(ROOT, "scripts/client_bundle.mjs"), bundle]);
    const app = new Hono<ServerBindings>()
      .get("/page", (c) => c.html(PAGE))
      .get("/client.js", (c) => c.body(readFileSync(bundle), 200, { "content-type": "text/javascript" }));
    site = await listen({ port: 0, fetch: app.fetch });
    far = createCluster({ nodeId: "far", raft: false });
    farListener = await serve(far, {
      port: 0,
      origins: [site.url],
      onMessage: (_, data) => void heard.push(String(data)),
    });
    await far.start();
  }, PATIENCE_MS);
  beforeEach(() => {
    heard = [];
  });
  afterAll(async () => {
    await browser[Symbol.asyncDispose]();
    await far.shutdown({ force: true });
    await Promise.all([farListener.close(), site.close()]);
    rmSync(folder, { recursive: true });
  });

  async function open(nodePort: number, id: string): Promise<BrowserPage> {
    const to = encodeURIComponent(`ws://127.0.0.1:${nodePort}/ws?id=${id}`);
    const opened = await browser.open(`${site.url}/page?to=${to}`);
    await opened.page.waitForFunction("window.happened?.length === 1");
    return opened;
  }

  /** A message and a stream to the page, from another node or its own, and one from it. */
  async function talk(opened: BrowserPage, id: string, nodeId: string): Promise<void> {
    await until("the far node knows where it is", () => far.getConnectionNodeId(id) === nodeId);
    expect(await far.deliver([id], "hello")).toEqual(new Map([[id, "delivered"]]));
    const bytes = new Blob([new Uint8Array(STREAM_BYTES)]).stream();
    expect(await far.deliverStream(id, bytes)).toMatchObject({
      outcome: "acknowledged",
      bytes: STREAM_BYTES,
    });
    await until("both have come", async () => {
      const latest = (await happenedIn(opened)).slice(-2);
      return latest.join() === `message hello,stream of ${STREAM_BYTES}`;
    });
  }

  describe.each(RUNTIMES)("of a node on %s", (runtime) => {
    test(
      "goes where it is sent when the node leaves, and nothing that it says meanwhile is lost",
      async () => {
        const id = `page-${runtime}`;
        const farUrl = farListener.url.replace("http", "ws");
        await using near = startChild(...commandFor(runtime, `${ROOT}/test/client/page_node.ts`, [farUrl]));
        const [, port] = await near.waitFor(/^ready (\d+)$/m);
        const opened = await open(Number(port), id);
        await talk(opened, id, "near");
        await opened.page.evaluate("(n = 0, window.saying = setInterval(() => client.send('' + n++), 2), 0)");
        await near.waitFor(/^heard 20$/m);
        near.signal("SIGTERM");
        await near.waitFor(/^moved 1$/m);
        expect((await near.ended()).code).toBe(0);
        const said = await opened.page.evaluate<number>("(clearInterval(saying), n)");
        const heardAll = (): string[] => [
          ...[...near.output.matchAll(/^heard (\d+)$/mg)].map(([, number]) => number as string),
          ...heard,
        ];
        await until("all has been heard", () => heardAll().length >= said);
        expect(heardAll()).toEqual(Array.from({ length: said }, (_, number) => String(number)));
        await talk(opened, id, "far");
        expect(await happenedIn(opened)).toEqual([
          `connect ${id} at near`,
          "message hello",
          `stream of ${STREAM_BYTES}`,
          "disconnect 1001",
          `reconnect ${id} at far`,
          "message hello",
          `stream of ${STREAM_BYTES}`,
        ]);
        expect(opened.complaints).toEqual([]);
        await opened.page.context().close();
      },
      PATIENCE_MS,
    );
  });

  test("notices that it is offline, and what it says then arrives when it is online again", async () => {
    const opened = await open(farListener.port, "traveller");
    await talk(opened, "traveller", "far");
    await opened.page.context().setOffline(true);
    await opened.page.waitForFunction("!client.connected");
    await until("its node has noticed", () => far.getConnectionNodeId("traveller") === undefined);
    await opened.page.evaluate("(client.send('one'), client.send('two'), 0)");
    expect(heard).toEqual([]);
    await opened.page.context().setOffline(false);
    await until("it is heard", () => heard.length === 2);
    expect(heard).toEqual(["one", "two"]);
    await talk(opened, "traveller", "far");
    const [, , , lost, back] = await happenedIn(opened);
    expect(lost).toMatch(/^disconnect /);
    expect(back).toBe("reconnect traveller at far");
    expect(opened.complaints).toEqual([]);
    await opened.page.context().close();
  }, PATIENCE_MS);
});
