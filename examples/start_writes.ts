/** Numbered writes to the replicated state, and whether each that was acknowledged is still there. */
import type { Demo, DemoNode } from "./start_nodes.ts";

const PAUSE_MS = 10;

export class Writes {
  readonly #demo: Demo;
  readonly #kept: number[] = [];
  #next = 0;
  #stopped = false;

  constructor(demo: Demo) {
    this.#demo = demo;
  }

  get acknowledged(): number {
    return this.#kept.length;
  }

  async isBeyond(count: number): Promise<boolean> {
    return await Promise.resolve(this.acknowledged > count);
  }

  async write(node: DemoNode): Promise<void> {
    const number = this.#next++;
    if (await node.put(`write-${number}`, `value ${number}`)) this.#kept.push(number);
  }

  /** Writes to all of `nodes` until `stop`. */
  goOn(nodes: readonly DemoNode[]): Promise<void>[] {
    return nodes.map(async (node) => {
      while (!this.#stopped) {
        await this.write(node);
        await this.#demo.pause(PAUSE_MS);
      }
    });
  }

  async stop(going: readonly Promise<void>[]): Promise<void> {
    this.#stopped = true;
    await Promise.all(going);
  }

  /** Throws when one of `nodes` lacks a write that was acknowledged. */
  async check(nodes: readonly DemoNode[]): Promise<void> {
    for (const node of nodes) {
      const values = await Promise.all(this.#kept.map((number) => node.get(`write-${number}`)));
      const lost = this.#kept.filter((number, index) => values[index] !== `value ${number}`);
      if (lost.length > 0) throw new Error(`the node on ${node.name} lacks writes ${lost.join(", ")}`);
    }
  }
}
