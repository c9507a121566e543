/** Real nodes that come and go, clients of the SDK that follow them, and numbered messages to all of these. */
import { type Cluster, connect, createCluster, type FlotillaClient, type Outcome } from "../../../mod.ts";
import { type Child, startChild } from "../../support/child.ts";
import { freePort } from "../../support/free_port.ts";
import { commandFor, ROOT, type Runtime } from "../../support/runtimes.ts";
import { until } from "../../support/until.ts";

/** Clients that connect at once. */
const CONNECTING = 100;
const START_MS = 20_000;

export class LeavingNode {
  readonly name: string;
  readonly runtime: Runtime;
  readonly port: number;
  #child: Child | undefined;

  constructor(name: string, runtime: Runtime, port: number) {
    this.name = name;
    this.runtime = runtime;
    this.port = port;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  get child(): Child {
    if (this.#child === undefined) throw new Error(`${this.name} does not run`);
    return this.#child;
  }

  async start(peers: readonly LeavingNode[]): Promise<void> {
    const nodes = peers.map(({ url }) => url).join(",");
    const args = ["--id", this.name, "--port", String(this.port), "--nodes", nodes];
    this.#child = startChild(...commandFor(this.runtime, `${ROOT}/examples/node.ts`, args));
    await this.child.waitFor(/^listening on/m, START_MS);
  }

  /** Sends SIGTERM; resolves with how long it took to leave. */
  async leave(): Promise<number> {
    const startedAt = performance.now();
    this.child.signal("SIGTERM");
    const { code, output } = await this.child.ended(60_000);
    if (code !== 0) throw new Error(`${this.name} ended with ${code}:\n${output}`);
    return performance.now() - startedAt;
  }
}

/** One client, and what it has got. */
class Follower {
  readonly id: string;
  readonly received: number[] = [];
  /** The longest it was without a connection, in ms. */
  worstGapMs = 0;
  client: FlotillaClient | undefined;
  #lostAt = 0;

  constructor(id: string) {
    this.id = id;
  }

  async connect(url: string): Promise<void> {
    const client = await connect(`${url}/ws?id=${this.id}`, {
      reconnectDelayMs: 100,
      reconnectDelayMsMax: 1_000,
    });
    this.client = client;
    client.on("message", (data) => void this.received.push(Number(data)));
    client.on("disconnect", () => void (this.#lostAt = performance.now()));
    client.on("reconnect", () => {
      this.worstGapMs = Math.max(this.worstGapMs, performance.now() - this.#lostAt);
    });
  }
}

/** What became of every message. */
export interface Account {
  readonly messages: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Reported delivered, but not received. */
  readonly falselyDelivered: number;
  readonly repeated: number;
  readonly reordered: number;
  readonly worstGapMs: number;
}

export class LeavingFleet implements AsyncDisposable {
  readonly nodes: readonly LeavingNode[];
  readonly #followers: Follower[] = [];
  /** In this process: it routes, and has no clients. */
  readonly #router: Cluster;
  /** By client, by number. */
  readonly #outcomes = new Map<string, Map<number, Outcome>>();
  #next = 0;
  #sending: ReturnType<typeof setInterval> | undefined;
  #underWay = 0;

  private constructor(nodes: readonly LeavingNode[], router: Cluster) {
    this.nodes = nodes;
    this.#router = router;
  }

  static async start(runtimes: readonly Runtime[]): Promise<LeavingFleet> {
    const nodes: LeavingNode[] = [];
    for (const [index, runtime] of runtimes.entries()) {
      nodes.push(new LeavingNode(`${runtime}-${index}`, runtime, await freePort()));
    }
    await Promise.all(nodes.map((node) => node.start(nodes.filter((other) => other !== node))));
    const router = createCluster({ nodeId: "router", nodes: nodes.map(({ url }) => url), raft: false });
    await router.start();
    const fleet = new LeavingFleet(nodes, router);
    await fleet.whole();
    return fleet;
  }

  /** Until every process is up for the router. */
  async whole(): Promise<void> {
    await until("all nodes are up", () => {
      const up = this.#router.view().nodes.filter(({ status }) => status === "up").map(({ nodeId }) =>
        nodeId
      );
      return this.nodes.every(({ name }) => up.includes(name));
    }, START_MS);
  }

  others(node: LeavingNode): LeavingNode[] {
    return this.nodes.filter((other) => other !== node);
  }

  /** `count` clients, spread over all nodes, whom the router knows. */
  async connect(count: number): Promise<void> {
    for (let from = 0; from < count; from += CONNECTING) {
      await Promise.all(Array.from({ length: Math.min(CONNECTING, count - from) }, async (_, offset) => {
        const follower = new Follower(`client-${from + offset}`);
        this.#followers.push(follower);
        await follower.connect((this.nodes[(from + offset) % this.nodes.length] as LeavingNode).url);
      }));
    }
    await until("the router knows all clients", () => this.countOn(this.nodes) === count, START_MS);
  }

  /** Clients on these nodes, as the router knows. */
  countOn(nodes: readonly LeavingNode[]): number {
    const counts = this.#router.view().nodes;
    return counts.filter(({ nodeId }) => nodes.some(({ name }) => name === nodeId))
      .reduce((sum, { connections }) => sum + connections, 0);
  }

  get connected(): number {
    return this.#followers.filter(({ client }) => client?.connected === true).length;
  }

  /** Begins to send numbered messages: each client gets one every `rounds` × `everyMs`. */
  send({ everyMs = 10, rounds = 1 }: { everyMs?: number; rounds?: number } = {}): void {
    this.#sending = setInterval(() => {
      const number = this.#next++;
      this.#underWay++;
      const ids = this.#followers.filter((_, index) => index % rounds === number % rounds).map(({ id }) =>
        id
      );
      void this.#router.deliver(ids, String(number)).then((outcomes) => {
        for (const [id, outcome] of outcomes) {
          const own = this.#outcomes.get(id) ?? new Map<number, Outcome>();
          this.#outcomes.set(id, own.set(number, outcome));
        }
        this.#underWay--;
      });
    }, everyMs);
  }

  /** Ends the sending and waits for the last outcomes and messages. */
  async account(): Promise<Account> {
    clearInterval(this.#sending);
    await until("every message has its outcomes", () => this.#underWay === 0, 10_000);
    const [follower] = this.#followers;
    const last = await this.#router.deliver(this.#followers.map(({ id }) => id), "-1");
    await until(
      "the last message is there",
      () =>
        this.#followers.every(({ id, received }) => last.get(id) !== "delivered" || received.at(-1) === -1),
      10_000,
    );
    if (follower === undefined) throw new Error("there are no clients");
    const outcomes: Record<string, number> = {};
    let [falselyDelivered, repeated, reordered, worstGapMs] = [0, 0, 0, 0];
    for (const { id, received, ...rest } of this.#followers) {
      const numbers = received.filter((number) => number >= 0);
      const got = new Set(numbers);
      repeated += numbers.length - got.size;
      reordered += numbers.filter((number, at) => at > 0 && number < (numbers[at - 1] as number)).length;
      worstGapMs = Math.max(worstGapMs, rest.worstGapMs);
      for (const [number, outcome] of this.#outcomes.get(id) ?? []) {
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        if (outcome === "delivered" && !got.has(number)) falselyDelivered++;
      }
    }
    return { messages: this.#next, outcomes, falselyDelivered, repeated, reordered, worstGapMs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sending);
    for (const { client } of this.#followers) client?.close();
    await this.#router.shutdown({ force: true });
    await Promise.all(this.nodes.map(({ child }) => child.kill()));
  }
}
