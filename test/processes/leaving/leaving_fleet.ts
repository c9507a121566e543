/** Real nodes that come and go, clients that follow them, and numbered messages to all of these. */
import { type Cluster, type ClusterView, createCluster, type Outcome } from "../../../mod.ts";
import { type Child, startChild } from "../../support/child.ts";
import { freePort } from "../../support/free_port.ts";
import type { Mesh, MeshKind, MeshPeer } from "../../support/meshes.ts";
import { commandFor, ROOT, type Runtime } from "../../support/runtimes.ts";
import { until } from "../../support/until.ts";
import { type Follower, PlainFollower, SdkFollower, type Told } from "./followers.ts";

/** How many of the clients are any WebSockets, not the SDK's. */
export const PLAIN_SHARE: number = 1 / 3;
/** How long all clients may take to be where they belong. */
export const BACK_MS = 20_000;
/** How long a test may take. */
export const PATIENCE_MS = 150_000;
/** Clients that connect at once. */
const CONNECTING = 100;
const START_MS = 20_000;
/** The 30 s that a node has by default for leaving, and a little. */
const LEAVES_MS = 40_000;
/** No test is longer. */
const ENDS_MS = 300_000;

export class LeavingNode implements MeshPeer {
  readonly nodeId: string;
  readonly runtime: Runtime;
  readonly port: number;
  readonly #mesh: Mesh;
  #child: Child | undefined;
  #runs = false;

  constructor(nodeId: string, runtime: Runtime, port: number, mesh: Mesh) {
    this.nodeId = nodeId;
    this.runtime = runtime;
    this.port = port;
    this.#mesh = mesh;
  }

  /** Its process has not ended. */
  get runs(): boolean {
    return this.#runs;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  get child(): Child {
    if (this.#child === undefined) throw new Error(`${this.nodeId} does not run`);
    return this.#child;
  }

  async start(peers: readonly LeavingNode[]): Promise<void> {
    const args = ["--id", this.nodeId, "--port", String(this.port), ...this.#mesh.flags(peers)];
    this.#child = startChild(...commandFor(this.runtime, `${ROOT}/examples/node.ts`, args));
    await this.child.waitFor(/^listening on/m, START_MS);
    this.#runs = true;
    const ended = (): void => void (this.#runs = false);
    this.child.ended(ENDS_MS).then(ended, ended);
  }

  /** Whether it says that no client should be sent there. */
  async isLeaving(): Promise<boolean> {
    return (await fetch(`http://127.0.0.1:${this.port}/readyz`)).status === 503;
  }

  async view(): Promise<ClusterView> {
    return await (await fetch(`http://127.0.0.1:${this.port}/api/cluster`)).json() as ClusterView;
  }

  /** Writes to the replicated state through this node; the status of the answer. */
  async write(key: string, value: string): Promise<number> {
    const url = `http://127.0.0.1:${this.port}/api/state/${key}`;
    return (await fetch(url, { method: "PUT", body: value })).status;
  }

  /** Sends SIGTERM; resolves with how long it took to leave. */
  async leave(): Promise<number> {
    const startedAt = performance.now();
    this.child.signal("SIGTERM");
    await this.left();
    return performance.now() - startedAt;
  }

  /** Resolves when it, who was told to leave, has ended in good order. */
  async left(): Promise<void> {
    const { code, output } = await this.child.ended(LEAVES_MS);
    if (code !== 0) throw new Error(`${this.nodeId} ended with ${code}:\n${output}`);
  }

  async kill(): Promise<void> {
    this.child.signal("SIGKILL");
    await this.child.ended();
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
  /** Clients to whom a last message was not delivered. */
  readonly unreached: number;
}

export class LeavingFleet implements AsyncDisposable {
  readonly nodes: readonly LeavingNode[];
  /** What plain clients were told by nodes that left; right: 1001 and another node that ran. */
  readonly told: (Told & { readonly isRight: boolean })[] = [];
  readonly #mesh: Mesh;
  readonly #followers: Follower[] = [];
  /** In this process: it routes, and has no clients. */
  readonly #router: Cluster;
  /** By client, by number. */
  readonly #outcomes = new Map<string, Map<number, Outcome>>();
  #next = 0;
  /** That there have ever been. */
  #clients = 0;
  #sending: ReturnType<typeof setInterval> | undefined;
  #underWay = 0;

  private constructor(mesh: Mesh, nodes: readonly LeavingNode[], router: Cluster) {
    this.#mesh = mesh;
    this.nodes = nodes;
    this.#router = router;
  }

  static async start(kind: MeshKind, runtimes: readonly Runtime[]): Promise<LeavingFleet> {
    const mesh = await kind.open();
    const nodes: LeavingNode[] = [];
    for (const [index, runtime] of runtimes.entries()) {
      nodes.push(new LeavingNode(`${runtime}-${index}`, runtime, await freePort(), mesh));
    }
    await Promise.all(nodes.map((node) => node.start(nodes.filter((other) => other !== node))));
    const router = createCluster({ nodeId: "router", ...mesh.options(nodes), raft: false });
    await router.start();
    const fleet = new LeavingFleet(mesh, nodes, router);
    await fleet.whole();
    return fleet;
  }

  /** Until every process is up for the router. */
  async whole(): Promise<void> {
    await until("all nodes are up", () => {
      const up = this.#router.view().nodes.filter(({ status }) => status === "up").map(({ nodeId }) =>
        nodeId
      );
      return this.nodes.every(({ nodeId }) => up.includes(nodeId));
    }, START_MS);
  }

  /** Resolves with the one of `nodes` whom all of them call their leader. */
  async leader(nodes: readonly LeavingNode[] = this.nodes): Promise<LeavingNode> {
    let leader: LeavingNode | undefined;
    await until("all nodes have one leader", async () => {
      const ids = new Set((await Promise.all(nodes.map((node) => node.view()))).map((view) => view.leaderId));
      leader = nodes.find(({ nodeId }) => ids.size === 1 && ids.has(nodeId));
      return leader !== undefined;
    }, START_MS);
    return leader as LeavingNode;
  }

  others(node: LeavingNode): LeavingNode[] {
    return this.nodes.filter((other) => other !== node);
  }

  /** `count` clients, spread over all nodes, whom the router knows; `plainShare` of them are any WebSockets. */
  async connect(count: number, plainShare: number = 0): Promise<void> {
    const first = this.#clients;
    this.#clients += count;
    for (let from = 0; from < count; from += CONNECTING) {
      await Promise.all(Array.from({ length: Math.min(CONNECTING, count - from) }, async (_, offset) => {
        const index = first + from + offset;
        const isPlain = from + offset < count * plainShare;
        const follower = isPlain
          ? new PlainFollower(`plain-${index}`, (told) => this.#note(told))
          : new SdkFollower(`client-${index}`);
        this.#followers.push(follower);
        await follower.connect((this.nodes[index % this.nodes.length] as LeavingNode).url);
      }));
    }
    await until("the router knows all clients", () => this.countOn(this.nodes) === count, START_MS);
  }

  /** Until there are none any more; what has been sent to them is forgotten. */
  async disconnect(): Promise<void> {
    for (const follower of this.#followers.splice(0)) follower.close();
    this.#outcomes.clear();
    await until("the router knows no client", () => this.countOn(this.nodes) === 0, START_MS);
  }

  /** Clients on these nodes, as the router knows. */
  countOn(nodes: readonly LeavingNode[]): number {
    const counts = this.#router.view().nodes;
    return counts.filter(({ nodeId }) => nodes.some((node) => node.nodeId === nodeId))
      .reduce((sum, { connections }) => sum + connections, 0);
  }

  /** Whether a message to each client is delivered now. */
  async reachesAll(): Promise<boolean> {
    const outcomes = await this.#router.deliver(this.#followers.map(({ id }) => id), "-2");
    return [...outcomes.values()].every((outcome) => outcome === "delivered");
  }

  get connected(): number {
    return this.#followers.filter(({ connected }) => connected).length;
  }

  #note(told: Told): void {
    const isRight = told.code === 1001 && told.to !== told.from &&
      this.nodes.some(({ url, runs }) => url === told.to && runs);
    this.told.push({ ...told, isRight });
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
    const unreached = [...last.values()].filter((outcome) => outcome !== "delivered").length;
    return { messages: this.#next, outcomes, falselyDelivered, repeated, reordered, worstGapMs, unreached };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sending);
    for (const follower of this.#followers) follower.close();
    await this.#router.shutdown({ force: true });
    await Promise.all(this.nodes.map(({ child }) => child.kill()));
    await this.#mesh[Symbol.asyncDispose]();
  }
}
