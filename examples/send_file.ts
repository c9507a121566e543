/**
 * Sends a file of any size to a client of the cluster, at the client's pace and in bounded memory, and shows how far
 * it has come. This process joins as a node; the client may be on any of the others.
 *
 *     deno run -A examples/node.ts --id a --port 8080
 *     (a client: new WebSocket("ws://127.0.0.1:8080/ws?id=alice"))
 *     node examples/send_file.ts movie.mp4 alice --nodes ws://127.0.0.1:8080      (or deno run -A, or bun run)
 *
 * The client gets the file chunk by chunk; one of the SDK gets a stream with `--delivery framed`. Ctrl-C gives up.
 */
import { basename } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import progress from "cli-progress";
import type { StreamDelivery } from "../mod.ts";
import { openFile } from "./files.ts";
import { passBy } from "./passing_by.ts";

const USAGE =
  "send_file.ts FILE CONNECTION --nodes ws://host:port[,...] [--secret TEXT] [--delivery chunks|framed]";

const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: { nodes: { type: "string" }, secret: { type: "string" }, delivery: { type: "string" } },
});
const [path, connectionId] = positionals;
if (path === undefined || connectionId === undefined || values.nodes === undefined) {
  console.error(`usage: ${USAGE}`);
  process.exit(2);
}

const cluster = await passBy("sender", values.nodes, values.secret);
const interrupted = new AbortController();
process.on("SIGINT", () => interrupted.abort(new Error("interrupted")));

try {
  const file = await openFile(path);
  const bar = new progress.SingleBar({
    format: " {bar} {percentage}% | {value}/{total} bytes | {rate} MB/s",
    hideCursor: true,
  }, progress.Presets.shades_classic);
  bar.start(file.bytes, 0, { rate: "0.0" });
  const { outcome, bytes, ms, reason } = await cluster.deliverStream(connectionId, file.readable, {
    delivery: (values.delivery ?? "chunks") as StreamDelivery,
    totalBytes: file.bytes,
    metadata: { name: basename(path) },
    signal: interrupted.signal,
    onProgress: ({ bytes, bytesPerSecond }) => bar.update(bytes, { rate: (bytesPerSecond / 1e6).toFixed(1) }),
  });
  bar.stop();
  console.log(
    `${outcome}: ${bytes} bytes in ${ms.toFixed(0)} ms${reason === undefined ? "" : ` (${reason})`}`,
  );
  process.exitCode = outcome === "delivered" || outcome === "acknowledged" ? 0 : 1;
} catch (thrown) {
  console.error(thrown instanceof Error ? thrown.message : thrown);
  process.exitCode = 1;
} finally {
  await cluster.shutdown({ force: true });
}
