/** Clients of the SDK, and what they notice of their node's leaving. */
import { connect, type FlotillaClient } from "../mod.ts";
import type { Demo, DemoNode } from "./start_nodes.ts";

const MOVE_MS = 20_000;

/** Some of the clients that follow their node's redirects. */
export class Visitors {
  readonly #clients: FlotillaClient[] = [];
  #worstGapMs = 0;

  async come(node: DemoNode, count: number): Promise<void> {
    const url = node.url.replace("http", "ws");
    this.#clients.push(
      ...await Promise.all(
        Array.from({ length: count }, (_, index) => connect(`${url}/ws?id=visitor-${index}`)),
      ),
    );
    for (const client of this.#clients) {
      let lostAt = 0;
      client.on("disconnect", () => void (lostAt = performance.now()));
      client.on("reconnect", () => {
        this.#worstGapMs = Math.max(this.#worstGapMs, performance.now() - lostAt);
      });
    }
  }

  /** The node leaves; says where its clients went, how fast, and what the worst of them noticed. */
  async watch(
    demo: Demo,
    leaving: DemoNode,
  ): Promise<{ readonly where: string; readonly lines: readonly string[] }> {
    const lines: string[] = [];
    const startedAt = performance.now();
    const left = leaving.leave();
    let before = "";
    await demo.until("all clients are elsewhere", MOVE_MS, async () => {
      const where = this.where(leaving);
      const line = `  after ${(performance.now() - startedAt).toFixed(0).padStart(4)} ms: ${where}`;
      if (where !== before) lines.push(line);
      before = where;
      return await Promise.resolve(
        this.#clients.every((client) => client.connected && client.nodeId !== leaving.name),
      );
    });
    lines.push(`  ${await left}`);
    lines.push(`  the worst of them was without a connection for ${this.#worstGapMs.toFixed(0)} ms`);
    return { where: before, lines };
  }

  /** How many are where: `bun 0, deno 100, node 100`. */
  where(leaving: DemoNode): string {
    const counts = new Map<string, number>([[leaving.name, 0]]);
    for (const { nodeId, connected } of this.#clients) {
      const place = connected ? nodeId : "on the way";
      counts.set(place, (counts.get(place) ?? 0) + 1);
    }
    return [...counts].sort().map(([place, count]) => `${place} ${count}`).join(", ");
  }

  leave(): void {
    for (const client of this.#clients) client.close();
  }
}
