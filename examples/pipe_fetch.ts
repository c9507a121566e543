/**
 * Pipes what a URL answers to a client of the cluster, whatever its size: nothing is kept, and when the client closes
 * or cancels, the request ends too. This process joins as a node.
 *
 *     deno run -A examples/pipe_fetch.ts https://example.com/big.iso alice --nodes ws://127.0.0.1:8080
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { passBy } from "./passing_by.ts";

const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: { nodes: { type: "string" }, secret: { type: "string" } },
});
const [url, connectionId] = positionals;
if (url === undefined || connectionId === undefined || values.nodes === undefined) {
  console.error("usage: pipe_fetch.ts URL CONNECTION --nodes ws://host:port[,...] [--secret TEXT]");
  process.exit(2);
}

const cluster = await passBy("fetcher", values.nodes, values.secret);
try {
  const response = await fetch(url);
  if (response.body === null) throw new Error(`${url} answers nothing`);
  const outgoing = cluster.openStream(connectionId, {
    delivery: "chunks",
    metadata: { url, type: response.headers.get("content-type") },
  });
  await response.body.pipeTo(outgoing);
  const { bytes, ms } = await outgoing.result;
  console.log(`${bytes} bytes in ${ms.toFixed(0)} ms`);
} catch (thrown) {
  console.error(thrown instanceof Error ? thrown.message : thrown);
  process.exitCode = 1;
} finally {
  await cluster.shutdown({ force: true });
}
