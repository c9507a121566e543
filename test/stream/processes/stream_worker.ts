/**
 * A node that streams random bytes when told to, and clients that count what comes. Runs on every runtime; told what
 * it is by the JSON in FLOTILLA_WORKER, and what to do over HTTP (`stream_fleet.ts`).
 */
import { createHash } from "node:crypto";
import process from "node:process";
import { connect, createCluster, flotillaRoutes, listen, type StreamOptions } from "../../../mod.ts";
import { Hono } from "../../../src/lib/hono.ts";
import { until } from "../../support/until.ts";
import { RandomSource } from "./random_source.ts";
import type { Receiving, Sending, Sent, WorkerJob } from "./stream_fleet.ts";

const SAMPLE_MS = 20;
const WAIT_MS = 170_000;

const { nodeId, port, reachedAt, nodes } = JSON.parse(process.env["FLOTILLA_WORKER"] ?? "") as WorkerJob;
const cluster = createCluster({ nodeId, nodePort: reachedAt, nodes, secret: "fleet", raft: false });

/** What a client has got. */
class Received {
  bytes = 0;
  messages = 0;
  /** Of the longest message. */
  longest = 0;
  done = false;
  error: string | undefined = undefined;
  sha256 = "";
  readonly #hash = createHash("sha256");
  readonly #expected: number;

  constructor(expected: number) {
    this.#expected = expected;
  }

  add(data: Uint8Array): void {
    this.#hash.update(data);
    this.bytes += data.byteLength;
    this.messages++;
    this.longest = Math.max(this.longest, data.byteLength);
    if (this.bytes === this.#expected) this.end();
  }

  end(): void {
    if (this.done) return;
    this.done = true;
    this.sha256 = this.#hash.digest("hex");
  }
}

const clients = new Map<string, Received>();
/** Bytes that have arrived of the stream to a connection. */
const arrived = new Map<string, number>();

async function receive({ key, url, sdk, bytes }: Receiving): Promise<void> {
  const received = new Received(bytes);
  clients.set(key, received);
  if (sdk) {
    const client = await connect(url);
    client.on("stream", async (stream) => {
      try {
        for await (const chunk of stream.readable) received.add(chunk);
        received.end();
      } catch (thrown) {
        received.error = String(thrown);
        received.end();
      }
    });
    return;
  }
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => received.add(new Uint8Array(data));
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error(`cannot connect to ${url}`));
  });
}

async function send({ connectionId, bytes, seed, delivery, chunkSize }: Sending): Promise<Sent> {
  const source = new RandomSource(bytes, seed);
  let peakBytes = 0;
  const sample = setInterval(() => {
    peakBytes = Math.max(peakBytes, process.memoryUsage().rss);
  }, SAMPLE_MS);
  const before = process.memoryUsage().rss;
  const options: StreamOptions = {
    delivery,
    totalBytes: bytes,
    chunkSize,
    onProgress: (progress) => void arrived.set(connectionId, progress.bytes),
  };
  const result = await cluster.deliverStream(connectionId, source.readable, options);
  clearInterval(sample);
  return { ...result, sha256: source.sha256(), grownBytes: Math.max(peakBytes - before, 0) };
}

const app = new Hono();
app.post("/send", async (c) => c.json(await send(await c.req.json() as Sending)));
app.post("/receive", async (c) => {
  await receive(await c.req.json() as Receiving);
  return c.json({});
});
app.get("/received/:key", async (c) => {
  const received = clients.get(c.req.param("key"));
  await until("all of it has come", () => received?.done === true, WAIT_MS);
  return c.json(received);
});
app.get("/sent/:id", (c) => c.text(String(arrived.get(c.req.param("id")) ?? 0)));
app.route("/", flotillaRoutes(cluster) as never);
const listener = await listen({ port, fetch: app.fetch as never });
cluster.serving.listening(listener.port);
await cluster.start();
process.stdout.write("ready\n");
