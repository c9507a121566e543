/** Real nodes of several runtimes (`examples/node.ts`) with a replicated state, to be killed and brought back. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterView } from "../../../src/cluster/contract.ts";
import { reasonOf } from "../../../src/lib/errors.ts";
import { type Child, startChild } from "../../support/child.ts";
import { freePort } from "../../support/free_port.ts";
import { commandFor, ROOT, type Runtime } from "../../support/runtimes.ts";
import { until } from "../../support/until.ts";
import { agreedLeader, isSettled, type Leadership, viewText } from "./agreement.ts";

/** A node that answers at all answers `/api/cluster` at once. */
const VIEW_TIMEOUT_MS = 1_000;
/** For an election, or for a node to come back, on a busy machine. */
const PATIENCE_MS = 30_000;
/** What is shown of what a silent node has printed. */
const SHOWN_CHARS = 500;

interface NodeSpec {
  readonly nodeId: string;
  readonly runtime: Runtime;
  readonly port: number;
  /** Where it keeps its state; undefined: in memory. */
  readonly dataDir: string | undefined;
  readonly flags: readonly string[];
}

export class StateNode {
  readonly nodeId: string;
  readonly runtime: Runtime;
  #spec: NodeSpec;
  #child: Child | undefined;
  #paused = false;

  constructor(spec: NodeSpec) {
    this.nodeId = spec.nodeId;
    this.runtime = spec.runtime;
    this.#spec = spec;
  }

  /** Of its HTTP API: `http://127.0.0.1:port`. */
  get url(): string {
    return `http://127.0.0.1:${this.#spec.port}`;
  }

  /** From `start` to `kill`, even when it has ended by itself: a node that cannot live must not go unseen. */
  get running(): boolean {
    return this.#child !== undefined;
  }

  /** What the present process has printed. */
  get output(): string {
    return this.#child?.output ?? "";
  }

  /** Starts it, again after its end; resolves when it listens. */
  async start(): Promise<void> {
    if (this.#child !== undefined) throw new Error(`${this.nodeId} runs already`);
    const { nodeId, port, dataDir, flags } = this.#spec;
    const storage = dataDir === undefined ? [] : ["--data-dir", dataDir];
    const args = ["--id", nodeId, "--port", String(port), ...storage, ...flags];
    this.#child = startChild(...commandFor(this.runtime, `${ROOT}/examples/node.ts`, args));
    await this.#child.waitFor(/^listening on /m);
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    this.#paused = false;
    await child?.kill();
  }

  pause(): void {
    this.#child?.signal("SIGSTOP");
    this.#paused = this.running;
  }

  resume(): void {
    this.#child?.signal("SIGCONT");
    this.#paused = false;
  }

  /** Lets it listen elsewhere when it starts again; its own list still names the others. */
  moveTo(port: number): void {
    if (this.running) throw new Error(`${this.nodeId} runs: it cannot move`);
    this.#spec = { ...this.#spec, port };
  }

  /** Takes its disk away, as long as it does not run. */
  wipe(): void {
    if (this.running) throw new Error(`${this.nodeId} runs: its data must not be wiped`);
    const { dataDir } = this.#spec;
    if (dataDir === undefined) throw new Error(`${this.nodeId} keeps nothing on disk`);
    rmSync(dataDir, { recursive: true, force: true });
  }

  /** `/api/cluster`; undefined when it does not answer. */
  async view(): Promise<ClusterView | undefined> {
    if (!this.running || this.#paused) return undefined;
    try {
      const response = await fetch(`${this.url}/api/cluster`, {
        signal: AbortSignal.timeout(VIEW_TIMEOUT_MS),
      });
      return response.ok ? await response.json() as ClusterView : undefined;
    } catch {
      return undefined;
    }
  }
}

export interface StateFleetOptions {
  /** A data directory for each node. Default: in memory. */
  readonly storage?: boolean;
  /** More flags for `examples/node.ts`, the same for every node. */
  readonly flags?: readonly string[];
}

export class StateFleet implements AsyncDisposable {
  readonly nodes: readonly StateNode[];
  readonly #folder: string;

  private constructor(nodes: readonly StateNode[], folder: string) {
    this.nodes = nodes;
    this.#folder = folder;
  }

  /** One node on each of `runtimes`, named a, b, c in that order; each is told of all others. All listen. */
  static async start(
    runtimes: readonly Runtime[],
    { storage = false, flags = [] }: StateFleetOptions = {},
  ): Promise<StateFleet> {
    const folder = mkdtempSync(join(tmpdir(), "flotilla-state-"));
    const members: { readonly nodeId: string; readonly runtime: Runtime; readonly port: number }[] = [];
    for (const [index, runtime] of runtimes.entries()) {
      members.push({ nodeId: String.fromCharCode(97 + index), runtime, port: await freePort() });
    }
    const nodes = members.map((member) => {
      const others = members.filter((each) => each !== member);
      const list = others.map(({ nodeId, port }) => `ws://127.0.0.1:${port}/${nodeId}`).join(",");
      const nodeList = others.length === 0 ? [] : ["--nodes", list];
      const dataDir = storage ? join(folder, member.nodeId) : undefined;
      return new StateNode({ ...member, dataDir, flags: [...nodeList, ...flags] });
    });
    const fleet = new StateFleet(nodes, folder);
    try {
      await Promise.all(nodes.map((node) => node.start()));
      return fleet;
    } catch (thrown) {
      await fleet[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  node(nodeId: string): StateNode {
    const found = this.nodes.find((node) => node.nodeId === nodeId);
    if (found === undefined) throw new Error(`no node ${nodeId} in this fleet`);
    return found;
  }

  async views(): Promise<(ClusterView | undefined)[]> {
    return await Promise.all(this.nodes.map((node) => node.view()));
  }

  /** Waits until a majority agrees on a leader, which says so itself. */
  async leadership(): Promise<Leadership> {
    let found: Leadership | undefined;
    await this.until("a majority agrees on a leader", async () => {
      found = agreedLeader(await this.views(), this.nodes.length);
      return found !== undefined;
    });
    return found as Leadership;
  }

  async leader(): Promise<StateNode> {
    return this.node((await this.leadership()).leaderId);
  }

  /** Waits until every node runs, names the same leader and has committed the same: nothing may be writing. */
  async settled(): Promise<void> {
    await this.until("all nodes are settled", async () => isSettled(await this.views()));
  }

  /** Waits until `condition` holds; the error, also one that `condition` throws, tells what each node said last. */
  async until(
    what: string,
    condition: () => boolean | Promise<boolean>,
    limitMs: number = PATIENCE_MS,
  ): Promise<void> {
    try {
      await until(what, condition, limitMs);
    } catch (thrown) {
      const views = await this.views();
      const said = this.nodes.map(({ nodeId, output }, index) =>
        viewText(views[index]) ?? `${nodeId}: no answer; it printed: ${output.slice(-SHOWN_CHARS)}`
      );
      throw new Error(`${reasonOf(thrown)}\n${said.join("\n")}`, { cause: thrown });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
