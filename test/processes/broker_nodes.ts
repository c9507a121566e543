/** `examples/node.ts` over a broker, as a process on any runtime. */
import { createHash } from "node:crypto";
import { type Child, startChild } from "../support/child.ts";
import type { WaySettings } from "../support/broker_ways.ts";
import { commandFor, ROOT, type Runtime } from "../support/runtimes.ts";
import { until } from "../support/until.ts";
import { OPCODE, RawClient } from "../server/raw_client.ts";

const FLAGS = {
  transportType: "--transport",
  redisConnectionString: "--redis",
  rabbitMQConnectionString: "--rabbitmq",
} as const;

interface View {
  readonly leaderId: string | null;
  readonly nodes: readonly { readonly nodeId: string; readonly status: string }[];
}

/** What `examples/node.ts` is told to go that way. */
export function flagsOf(settings: WaySettings): string[] {
  return (Object.keys(FLAGS) as (keyof typeof FLAGS)[]).flatMap((name) => {
    const value = settings[name];
    return typeof value === "string" ? [FLAGS[name], value] : [];
  });
}

export class BrokerNode implements AsyncDisposable {
  readonly runtime: Runtime;
  readonly child: Child;
  readonly #port: number;

  private constructor(runtime: Runtime, child: Child, port: number) {
    this.runtime = runtime;
    this.child = child;
    this.#port = port;
  }

  /** Resolves when it listens, which does not wait for a broker. `folder`: where its sources are. */
  static async start(runtime: Runtime, args: readonly string[], folder: string = ROOT): Promise<BrokerNode> {
    const all = ["--port", "0", "--id", `on-${runtime}`, "--secret", "s", ...args];
    const child = startChild(...commandFor(runtime, "examples/node.ts", all), { cwd: folder });
    try {
      const [, port] = await child.waitFor(/^listening on http:\/\/127\.0\.0\.1:(\d+) as .+$/m);
      return new BrokerNode(runtime, child, Number(port));
    } catch (thrown) {
      await child.kill();
      throw thrown;
    }
  }

  async view(): Promise<View> {
    return await this.#json("/api/cluster") as View;
  }

  async stats(): Promise<{ links: { refused: Record<string, number> } }> {
    return await this.#json("/api/stats") as { links: { refused: Record<string, number> } };
  }

  /** How often it has said a line that has `text`. */
  times(text: string): number {
    return this.child.output.split("\n").filter((line) => line.includes(text)).length;
  }

  async route(connectionId: string, body: string): Promise<string> {
    const answer = await this.#json(`/api/messages/${connectionId}`, { method: "POST", body });
    return (answer as { outcome: string }).outcome;
  }

  async stream(connectionId: string, body: Uint8Array<ArrayBuffer>): Promise<unknown> {
    return await this.#json(`/api/streams/${connectionId}?delivery=chunks`, { method: "PUT", body });
  }

  async client(connectionId: string): Promise<RawClient> {
    const client = await RawClient.connect(this.#port, `/ws?id=${connectionId}`);
    await until("the client is in", () => client.status === 101);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.kill();
  }

  async #json(path: string, init: RequestInit = {}): Promise<unknown> {
    const signal = AbortSignal.timeout(30_000);
    return await (await fetch(`http://127.0.0.1:${this.#port}${path}`, { ...init, signal })).json();
  }
}

/** The digest of the next `bytes` bytes that came to `client` in binary frames, which are taken out. */
export async function receivedDigest(client: RawClient, bytes: number): Promise<string> {
  const binary = () => client.frames.filter(({ opcode }) => opcode === OPCODE.binary);
  const length = (): number => binary().reduce((sum, { payload }) => sum + payload.byteLength, 0);
  await until(`${bytes} bytes have come`, () => length() >= bytes);
  const digest = digestOf(binary().map(({ payload }) => payload));
  client.frames.length = 0;
  return digest;
}

export function digestOf(parts: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
