/** Nodes of one process in virtual time that run Raft over links over the memory transport; with disks if asked for. */
import { FlotillaError } from "../../src/lib/errors.ts";
import type { Logger } from "../../src/lib/logger.ts";
import { type Random, seededRandom } from "../../src/lib/random.ts";
import { ClusterLinks } from "../../src/link/links.ts";
import type { ReplicatedMap } from "../../src/raft/contract.ts";
import type { Expectation } from "../../src/raft/identity.ts";
import type { RaftNodeOptions } from "../../src/raft/options.ts";
import type { RaftPart } from "../../src/raft/part.ts";
import { RaftNode, type RaftNodeContext } from "../../src/raft/raft_node.ts";
import { type Keeper, MemoryRaftStorage, MirroredStorage, type RaftStorage } from "../../src/raft/storage.ts";
import { drawRaftId, memberWith } from "../../src/raft/stored_member.ts";
import { WitnessNode } from "../../src/raft/witness_node.ts";
import { WitnessStore } from "../../src/raft/witness_store.ts";
import type { ClusterTransport } from "../../src/transport.ts";
import { SimBase } from "./sim_base.ts";
import type { SimView } from "./sim_clock.ts";
import type { SimRedis } from "./sim_redis.ts";

/** A medium that keeps everything and fails when told to. */
class SimKeeper implements Keeper {
  broken = false;
  write(): void {
    this.#work();
  }
  replace(): void {
    this.#work();
  }
  compact(): void {
    this.#work();
  }
  close(): void {}

  #work(): void {
    if (this.broken) throw new FlotillaError("invalid-option", "the disk is broken");
  }
}

export interface SimRaftOptions extends Partial<RaftNodeOptions> {
  /** Other nodes it lists. Default: none. */
  readonly nodes?: readonly string[];
  /** It is nothing but a witness. */
  readonly witness?: boolean;
  /** Its storage outlives it. */
  readonly disk?: boolean;
  /** Where its witness is a record. */
  readonly redis?: SimRedis;
}

type Common = Omit<RaftNodeContext, "openStorage" | "options">;

/** One node through all its runs. */
export class SimRaftNode {
  readonly nodeId: string;
  readonly #sim: SimRaft;
  options: SimRaftOptions;
  #run:
    | { readonly raft: RaftPart; readonly links: ClusterLinks; readonly transport: ClusterTransport }
    | undefined;
  #clock: SimView | undefined;
  #storage: RaftStorage | undefined;
  #witness: WitnessStore | undefined;
  readonly keeper: SimKeeper = new SimKeeper();
  /** What it logged as warnings and errors, over all its runs. */
  readonly complaints: string[] = [];

  constructor(sim: SimRaft, nodeId: string, options: SimRaftOptions) {
    this.#sim = sim;
    this.nodeId = nodeId;
    this.options = options;
  }

  get raft(): RaftPart {
    if (this.#run === undefined) throw new FlotillaError("not-running", `${this.nodeId} does not run`);
    return this.#run.raft;
  }

  get map(): ReplicatedMap {
    return this.raft.map;
  }

  get links(): ClusterLinks {
    if (this.#run === undefined) throw new FlotillaError("not-running", `${this.nodeId} does not run`);
    return this.#run.links;
  }

  get clock(): SimView {
    if (this.#clock === undefined) throw new FlotillaError("not-running", `${this.nodeId} never ran`);
    return this.#clock;
  }

  /** The cluster its storage belongs to. */
  get clusterId(): string | undefined {
    return this.#storage?.clusterId;
  }

  get raftId(): number {
    return this.#storage?.raftId ?? 0;
  }

  get hasDisk(): boolean {
    return this.#storage !== undefined;
  }

  get runs(): boolean {
    return this.#run !== undefined;
  }

  async start(): Promise<void> {
    const { hub, clock: world } = this.#sim;
    const clock = this.#clock = world.view();
    const random = seededRandom(this.#sim.nextSeed());
    const logger = this.#logger();
    const transport = hub.transport(this.nodeId, clock);
    const links = new ClusterLinks(transport, { clusterName: "test", secret: "secret" }, {
      nodeId: this.nodeId,
      clock,
      random,
      logger,
    });
    const { nodes = [], disk = false, redis, ...options } = this.options;
    const common = {
      links,
      clock,
      random,
      logger,
      expected: (): Expectation =>
        options.bootstrapExpect === undefined
          ? { kind: "list", nodeIds: [this.nodeId, ...nodes].sort(), unresolved: [] }
          : { kind: "count", count: options.bootstrapExpect },
      openRecords: redis === undefined ? undefined : () => redis.records(this.nodeId),
    };
    const raft = options.witness === true
      ? this.#newWitness(disk, common)
      : this.#newMember(disk, options, common);
    this.#run = { raft, links, transport };
    await this.#sim.settle(raft.start());
    await this.#sim.settle(links.start());
  }

  #newWitness(disk: boolean, common: Common): WitnessNode {
    const { random } = common;
    const fresh = (): WitnessStore =>
      new WitnessStore(memberWith(drawRaftId(random), undefined, undefined), random, this.keeper);
    const store = disk ? this.#witness ??= fresh() : WitnessStore.inMemory(random);
    return new WitnessNode({ ...common, openStore: () => store });
  }

  #newMember(disk: boolean, options: Partial<RaftNodeOptions>, common: Common): RaftNode {
    const storage = this.#raftStorage(disk, common.random);
    return new RaftNode({ ...common, options, openStorage: () => unclosable(storage) });
  }

  #raftStorage(disk: boolean, random: Random): RaftStorage {
    if (!disk) this.#storage = new MemoryRaftStorage(random);
    else {this.#storage ??= new MirroredStorage(
        memberWith(drawRaftId(random), undefined, undefined),
        random,
        this.keeper,
      );}
    return this.#storage;
  }

  /** Ends as a killed process does. Its disk stays. */
  async kill(): Promise<void> {
    const run = this.#run;
    this.#run = undefined;
    this.#clock?.pause();
    await run?.transport.stop();
  }

  /** Ends as asked to. */
  async stop(leave = false): Promise<void> {
    const run = this.#run;
    if (run === undefined) return;
    if (leave) await this.#sim.settle(run.raft.leave());
    this.#run = undefined;
    await this.#sim.settle(run.links.stop());
    run.raft.stop();
  }

  /** Its disk is lost; to be called while it does not run. */
  wipe(): void {
    this.#storage = this.#witness = undefined;
  }

  /** Takes its disk out; to be called while it does not run. */
  takeDisk(): RaftStorage {
    const storage = this.#storage;
    if (storage === undefined) throw new FlotillaError("not-found", `${this.nodeId} has no disk`);
    this.#storage = undefined;
    return storage;
  }

  giveDisk(storage: RaftStorage): void {
    this.#storage = storage;
  }

  #logger(): Logger {
    const complain: Logger["warn"] = (message, fields) =>
      void this.complaints.push(`${message} ${JSON.stringify(fields ?? {})}`);
    return { debug() {}, info() {}, warn: complain, error: complain };
  }
}

export class SimRaft extends SimBase {
  readonly nodes: SimRaftNode[] = [];
  async node(nodeId: string, options: SimRaftOptions = {}): Promise<SimRaftNode> {
    const node = new SimRaftNode(this, nodeId, options);
    this.nodes.push(node);
    await node.start();
    return node;
  }

  /** Nodes that all list each other. */
  async listed(nodeIds: readonly string[], options: SimRaftOptions = {}): Promise<SimRaftNode[]> {
    const nodes: SimRaftNode[] = [];
    for (const nodeId of nodeIds) {
      nodes.push(await this.node(nodeId, { ...options, nodes: nodeIds.filter((other) => other !== nodeId) }));
    }
    return nodes;
  }

  /** Runs until all of `nodes` know the same leader, and that leader serves; the leader. */
  async led(nodes: readonly SimRaftNode[] = this.nodes, limitMs = 30_000): Promise<SimRaftNode> {
    await this.clock.runUntil(() => leaderOf(nodes) !== undefined, limitMs);
    return leaderOf(nodes) as SimRaftNode;
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) await node.stop();
  }
}

function leaderOf(nodes: readonly SimRaftNode[]): SimRaftNode | undefined {
  const running = nodes.filter(({ runs }) => runs);
  const [first] = running;
  const leaderId = first?.raft.leaderId ?? null;
  if (leaderId === null || !running.every(({ raft }) => raft.leaderId === leaderId)) return undefined;
  return running.find(({ nodeId, raft }) => nodeId === leaderId && raft.isLeader);
}

/** The same storage, which a run that ends does not close: the next run goes on with it. */
function unclosable(storage: RaftStorage): RaftStorage {
  return new Proxy(storage, {
    get: (target, name) => {
      if (name === "close") return () => {};
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
