/** `examples/page.ts`: streams in a real browser. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Cluster, createCluster } from "../../mod.ts";
import { openBrowser, type TestBrowser, withoutBrowser } from "../support/browser.ts";
import { type Child, startChild } from "../support/child.ts";
import { commandFor, ROOT, RUNTIMES } from "../support/runtimes.ts";
import { until } from "../support/until.ts";

const BYTES = 20_000_003;
const PIECE_BYTES = 50_000;
const PATIENCE_MS = 60_000;

describe.skipIf(withoutBrowser)("a page in a browser", () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await openBrowser();
  }, PATIENCE_MS);
  afterAll(() => browser[Symbol.asyncDispose]());

  describe.each(RUNTIMES)("served by a node on %s", (runtime) => {
    let server: Child;
    let url: string;
    let far: Cluster;
    beforeAll(async () => {
      server = startChild(...commandFor(runtime, `${ROOT}/examples/page.ts`, ["--port", "0"]));
      [, url = ""] = await server.waitFor(/^open (http:\/\/127\.0\.0\.1:\d+)$/m);
      far = createCluster({ nodeId: "far", nodes: [url.replace("http", "ws")], raft: false });
      await far.start();
    }, PATIENCE_MS);
    afterAll(async () => {
      await far.shutdown({ force: true });
      await server.kill();
    });

    test("gets streams from another node, several at once, and shows how far they are", async () => {
      const { page, complaints } = await browser.open(url);
      await page.waitForFunction("document.querySelector('#id').textContent !== '…'");
      const id = await page.locator("#id").textContent() ?? "";
      await until("the far node knows the page", () => far.getConnectionNodeId(id) === "page");
      const hashes = await Promise.all(["one", "two"].map(async (name) => {
        const hash = createHash("sha256");
        let left = BYTES;
        const readable = new ReadableStream({
          pull(controller) {
            if (left === 0) return controller.close();
            const piece = crypto.getRandomValues(new Uint8Array(Math.min(left, PIECE_BYTES)));
            left -= piece.byteLength;
            hash.update(piece);
            controller.enqueue(piece);
          },
        });
        const { outcome } = await far.deliverStream(id, readable, { totalBytes: BYTES, metadata: { name } });
        expect(outcome).toBe("acknowledged");
        return hash.digest("hex");
      }));
      await page.waitForFunction(
        "[...document.querySelectorAll('li')].filter((e) => /whole/.test(e.textContent)).length === 2",
      );
      const shown = await page.getByRole("listitem").allTextContents();
      expect(shown.sort()).toEqual(
        ["one", "two"].map((name, at) => `${name}whole: ${BYTES} bytes, SHA-256 ${hashes[at]}`),
      );
      expect(await page.locator("progress").first().getAttribute("max")).toBe(String(BYTES));
      expect(complaints).toEqual([]);
      await page.context().close();
    }, PATIENCE_MS);

    test("that is closed ends the stream to it, and the source is told", async () => {
      const { page } = await browser.open(url);
      await page.waitForFunction("document.querySelector('#id').textContent !== '…'");
      const id = await page.locator("#id").textContent() ?? "";
      await until("the far node knows the page", () => far.getConnectionNodeId(id) === "page");
      let pulled = 0;
      let cancelled: unknown;
      const endless = new ReadableStream({
        pull(controller) {
          pulled++;
          controller.enqueue(new Uint8Array(PIECE_BYTES));
        },
        cancel: (reason) => void (cancelled = reason),
      });
      const streaming = far.deliverStream(id, endless);
      await until("it streams", () => pulled > 20);
      await page.context().close();
      expect(await streaming).toMatchObject({ outcome: "closed" });
      await until("the source is told", () => String(cancelled).includes("closed"));
    }, PATIENCE_MS);
  });
});
