/**
 * A node with a page that receives streams in the browser and draws their progress.
 *
 *     node examples/page.ts --port 8080        (or deno run -A, or bun run)    then open http://127.0.0.1:8080
 *
 * Any node of the cluster can stream to the page: `examples/send_file.ts FILE CONNECTION --delivery framed`.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Hono } from "hono";
import { createCluster, flotillaRoutes, listen, type ServerBindings } from "../mod.ts";

const BYTES = 64 * 1_048_576;
const PIECE_BYTES = 65_536;

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { port: { type: "string", default: "8080" }, nodes: { type: "string", default: "" } },
});

const cluster = createCluster({
  nodeId: "page",
  nodePort: Number(values.port),
  nodes: values.nodes.split(",").filter((node) => node !== ""),
});

const bundle = clientBundle();
const app = new Hono<ServerBindings>()
  .get("/", (c) => c.html(readFileSync(here("page.html"), "utf8")))
  .get("/client.js", (c) => c.body(bundle, 200, { "content-type": "text/javascript" }))
  .post("/send/:id", async (c) => {
    const metadata = { name: "64 MiB of random bytes" };
    const result = await cluster.deliverStream(c.req.param("id"), randomBytes(BYTES), {
      totalBytes: BYTES,
      metadata,
    });
    return c.json(result);
  })
  .route("/", flotillaRoutes(cluster));
const listener = await listen({ port: Number(values.port), fetch: app.fetch });
cluster.serving.listening(listener.port);
await cluster.start();
console.log(`open ${listener.url}`);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => void cluster.shutdown({ force: true }).then(() => process.exit(0)));
}

function randomBytes(bytes: number): ReadableStream<Uint8Array> {
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      if (left === 0) return controller.close();
      const piece = crypto.getRandomValues(new Uint8Array(Math.min(left, PIECE_BYTES)));
      left -= piece.byteLength;
      controller.enqueue(piece);
    },
  });
}

/** The SDK as one file for browsers: what `flotilla/client` is in the npm package. */
function clientBundle(): string {
  const bundle = here("../dist/client.js");
  const bun = here("../node_modules/.bin/bun");
  const { status, stderr } = spawnSync(bun, [here("../scripts/client_bundle.mjs"), bundle]);
  if (status !== 0) throw new Error(`the SDK could not be bundled (npm install first): ${stderr}`);
  return readFileSync(bundle, "utf8");
}

function here(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}
