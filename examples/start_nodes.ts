/** The nodes and clients that `npm start` shows: processes, asked and fed through their HTTP API. */
import { type ChildProcess, spawn } from "node:child_process";
import { request } from "node:http";
import { createServer } from "node:net";
import process from "node:process";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { ClusterView, Outcome } from "../mod.ts";

export type Runtime = "deno" | "bun" | "node";
export const RUNTIMES: readonly Runtime[] = ["deno", "bun", "node"];

const START_MS = 15_000;
const REQUEST_MS = 6_000;
/** A stream may stand still for so long. */
const STREAM_MS = 10_000;

/** What the API says of a stream. */
export interface Streamed {
  readonly outcome: Outcome;
  readonly bytes: number;
}

function here(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

export class DemoNode {
  readonly name: Runtime;
  readonly port: number;
  readonly #process: ChildProcess;
  #client: WebSocket | undefined;
  /** What its client got in binary messages. */
  receivedBytes = 0;
  readonly #awaited = new Map<string, (at: number) => void>();

  private constructor(name: Runtime, port: number, child: ChildProcess) {
    this.name = name;
    this.port = port;
    this.#process = child;
  }

  /** Runs a node until it listens. */
  static async start(
    name: Runtime,
    port: number,
    peers: readonly number[],
    blocked: string | undefined,
  ): Promise<DemoNode> {
    const before = { deno: ["run", "-A", "--quiet"], bun: ["run"], node: [] }[name];
    const program = blocked === undefined ? "node.ts" : "blocked_node.ts";
    const nodes = peers.map((peer) => `ws://127.0.0.1:${peer}`).join(",");
    const flags = ["--id", name, "--port", String(port), ...(nodes === "" ? [] : ["--nodes", nodes])];
    const child = spawn(here(`../node_modules/.bin/${name}`), [...before, here(program), ...flags], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...(blocked === undefined ? {} : { BLOCKED_NODE: blocked }) },
    });
    let output = "";
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        reject(new Error(`the node on ${name} did not start:\n${output}`));
      }, START_MS);
      const read = (data: unknown): void => {
        output = (output + String(data)).slice(-10_000);
        if (!output.includes("listening on")) return;
        clearTimeout(timer);
        resolve();
      };
      child.stdout?.on("data", read);
      child.stderr?.on("data", read);
      child.on("error", reject);
      child.on("exit", () => reject(new Error(`the node on ${name} ended:\n${output}`)));
    });
    return new DemoNode(name, port, child);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get clientId(): string {
    return `client-on-${this.name}`;
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }

  /** Its plain client goes: it would not follow a redirect. */
  disconnect(): void {
    this.#client?.close();
  }

  /** Leaves as on a deploy; resolves with what it says of it. */
  async leave(): Promise<string> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    let output = "";
    this.#process.stdout?.on("data", (text) => output += String(text));
    this.#process.kill("SIGTERM");
    await ended;
    return output.trim();
  }

  async stop(): Promise<void> {
    this.#client?.close();
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), 5_000);
    await ended;
    clearTimeout(timer);
  }

  /** Connects this node's client as any browser would. */
  async connect(): Promise<void> {
    const client = new WebSocket(`ws://127.0.0.1:${this.port}/ws?id=${this.clientId}`);
    this.#client = client;
    client.binaryType = "arraybuffer";
    client.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.#awaited.get(data)?.(performance.now());
      else this.receivedBytes += data.byteLength;
    });
    await new Promise<void>((resolve, reject) => {
      client.addEventListener("open", () => resolve());
      client.addEventListener(
        "error",
        () => reject(new Error(`no client can connect to the node on ${this.name}`)),
      );
    });
  }

  /** Resolves with the moment at which this node's client got `text`. */
  awaitMessage(text: string, limitMs: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const late = (): void => {
        this.#awaited.delete(text);
        reject(
          new Error(`the client on ${this.name} did not get ${JSON.stringify(text)} within ${limitMs} ms`),
        );
      };
      const timer = setTimeout(late, limitMs);
      this.#awaited.set(text, (at) => {
        clearTimeout(timer);
        this.#awaited.delete(text);
        resolve(at);
      });
    });
  }

  /** Until this node's client has got so many bytes, or a while. */
  async awaitBytes(bytes: number): Promise<void> {
    const end = performance.now() + REQUEST_MS;
    while (this.receivedBytes < bytes && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async view(): Promise<ClusterView> {
    return await this.#request("/api/cluster") as ClusterView;
  }

  /** Hands a message for a connection to this node. */
  async send(connectionId: string, text: string): Promise<{ outcome: Outcome }> {
    const headers = { "content-type": "text/plain" };
    return await this.#request(`/api/messages/${connectionId}`, { method: "POST", headers, body: text }) as {
      outcome: Outcome;
    };
  }

  async sendBatch(connectionIds: readonly string[], text: string): Promise<Record<string, Outcome>> {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ connectionIds, text });
    return (await this.#request("/api/messages", { method: "POST", headers, body }) as {
      results: Record<string, Outcome>;
    }).results;
  }

  /** Hands a stream of `bytes` bytes for a connection to this node, as one long upload. */
  stream(connectionId: string, body: Iterable<Uint8Array>, bytes: number): Promise<Streamed> {
    const path = `${this.url}/api/streams/${connectionId}?delivery=chunks`;
    const init = { method: "PUT", headers: { "content-length": bytes }, timeout: STREAM_MS };
    return new Promise((resolve, reject) => {
      const upload = request(path, init, (answer) => {
        let text = "";
        answer.on("data", (part) => text += String(part));
        answer.on("end", () => resolve(JSON.parse(text) as Streamed));
      });
      upload.on("error", reject);
      upload.on("timeout", () => upload.destroy(new Error(`a stream to ${connectionId} stands still`)));
      Readable.from(body).pipe(upload);
    });
  }

  /** Writes to the replicated state; false when it may not have been kept. */
  async put(key: string, value: string): Promise<boolean> {
    try {
      const answer = await fetch(`${this.url}/api/state/${key}`, {
        method: "PUT",
        body: value,
        signal: AbortSignal.timeout(REQUEST_MS),
      });
      await answer.arrayBuffer();
      return answer.ok;
    } catch {
      return false;
    }
  }

  /** Reads from the replicated state. */
  async get(key: string): Promise<string | undefined> {
    const answer = await fetch(`${this.url}/api/state/${key}`, { signal: AbortSignal.timeout(REQUEST_MS) });
    const text = await answer.text();
    return answer.ok ? text : undefined;
  }

  async #request(path: string, init: RequestInit = {}): Promise<unknown> {
    return await (await fetch(`${this.url}${path}`, { ...init, signal: AbortSignal.timeout(REQUEST_MS) }))
      .json();
  }
}

/** All of them together. */
export class Demo {
  readonly nodes: DemoNode[] = [];
  readonly #blocked: readonly string[];
  readonly #ports = new Map<Runtime, number>();

  /** `blocked`: two nodes that must not hear each other. */
  constructor(blocked: readonly string[]) {
    this.#blocked = blocked;
  }

  async startNode(name: Runtime): Promise<void> {
    // All lists name all nodes, those too that start later: so they agree who is to form the cluster.
    for (const each of RUNTIMES) if (!this.#ports.has(each)) this.#ports.set(each, await freePort());
    this.nodes.push(await this.#start(name));
  }

  /** The same node in a new process. */
  async restart(node: DemoNode): Promise<void> {
    this.nodes.splice(this.nodes.indexOf(node), 1, await this.#start(node.name));
  }

  /** The node that all of `nodes` say leads, itself too; undefined while they do not. */
  async leader(nodes: readonly DemoNode[] = this.nodes): Promise<DemoNode | undefined> {
    const views = await Promise.all(nodes.map((node) => node.view()));
    const leaderId = views[0]?.leaderId;
    const agreed = views.every((view) => view.leaderId === leaderId) &&
      views.some(({ role }) => role === "leader");
    return agreed ? nodes.find(({ name }) => name === leaderId) : undefined;
  }

  async pause(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  async #start(name: Runtime): Promise<DemoNode> {
    const others = RUNTIMES.filter((each) => each !== name).map((each) => this.#ports.get(each) as number);
    return await DemoNode.start(name, this.#ports.get(name) as number, others, this.#blockedBy(name));
  }

  async connect(node: DemoNode): Promise<void> {
    await this.nodes.find(({ name }) => name === node.name)?.connect();
  }

  async isWhole(): Promise<boolean> {
    const views = await Promise.all(this.nodes.map((node) => node.view()));
    return views.every(({ nodes }) =>
      nodes.filter(({ status }) => status === "up").length === this.nodes.length
    );
  }

  async knowsAll(nodes: readonly DemoNode[]): Promise<boolean> {
    const views = await Promise.all(nodes.map((node) => node.view()));
    return views.every(({ connections }) => connections.total === nodes.length);
  }

  /** Whether `others` call `gone` down and know none of its connections. */
  async forgot(gone: DemoNode, others: readonly DemoNode[]): Promise<boolean> {
    const views = await Promise.all(others.map((node) => node.view()));
    return views.every(({ nodes, connections }) =>
      connections.total === others.length &&
      nodes.some(({ nodeId, status }) => nodeId === gone.name && status === "down")
    );
  }

  /** Polls until `condition` holds; returns after how many ms. Rejects with what did not come true. */
  async until(what: string, limitMs: number, condition: () => Promise<boolean>): Promise<number> {
    const from = performance.now();
    while (!await condition()) {
      if (performance.now() - from > limitMs) throw new Error(`${what}: not within ${limitMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return performance.now() - from;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  /** One side of a blocked link is enough. */
  #blockedBy(name: string): string | undefined {
    return this.#blocked[0] === name ? this.#blocked[1] : undefined;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}
