/**
 * Random upheaval over whole nodes in virtual time: nodes are killed, wiped, cut off, paused and given old disks while
 * writers on all of them go on. What must hold whatever happens is checked as it happens.
 */
import { fromUtf8 } from "../../../src/lib/bytes.ts";
import { type Random, randomBelow, seededRandom } from "../../../src/lib/random.ts";
import type { RaftStorage } from "../../../src/raft/storage.ts";
import { SimRaft, type SimRaftNode } from "../../support/sim_raft.ts";

const WRITE_MS = 1_000;
const THINK_MS = 400;
/** With everything healed all nodes must serve again within so much virtual time. */
const HEAL_MS = 40_000;
const OPTIONS = { electionTimeoutMs: 600, heartbeatMs: 150, voterReplaceAfterMs: 8_000 };

export interface Upheaval {
  readonly seed: number;
  /** Nodes, 3 to 7. */
  readonly nodes: number;
  readonly disks: "all" | "none" | "some";
  /** They expect a number of nodes instead of listing each other. */
  readonly counted: boolean;
  /** Storages may be lost in any number at once; else a minority, and only while all nodes are well. */
  readonly reckless: boolean;
  readonly harms: number;
}

export interface Outcome {
  readonly virtualMs: number;
  readonly writes: number;
  readonly clusters: number;
  readonly longestHealMs: number;
  readonly harms: readonly string[];
}

/** Throws an error that names the seed when a promise was broken. */
export async function upheave(plan: Upheaval): Promise<Outcome> {
  const run = new Run(plan);
  try {
    return await run.through();
  } catch (thrown) {
    const what = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Error(`${JSON.stringify(plan)} after ${run.harms.join("; ")}: ${what}`, { cause: thrown });
  }
}

interface Writer {
  readonly node: SimRaftNode;
  /** Highest number whose write was acknowledged, and not to be lost. */
  acknowledged: number;
  attempted: number;
}

class Run {
  readonly harms: string[] = [];
  readonly #plan: Upheaval;
  readonly #sim: SimRaft;
  readonly #random: Random;
  readonly #writers: Writer[] = [];
  #nodes: SimRaftNode[] = [];
  /** By cluster and term. */
  readonly #leaders = new Map<string, string>();
  /** Clusters in the order in which they acknowledged, each with when the next one first did. */
  readonly #clusters: { readonly id: string; endedAt: number }[] = [];
  readonly #tokens: { readonly at: number; readonly token: number }[] = [];
  readonly #oldDisks = new Map<SimRaftNode, RaftStorage>();
  /** Storages lost since all nodes were well. */
  readonly #lost = new Set<SimRaftNode>();
  #fault: string | undefined;
  #writes = 0;
  #longestHealMs = 0;
  #over = false;

  constructor(plan: Upheaval) {
    this.#plan = plan;
    this.#sim = new SimRaft(plan.seed, { features: [], faults: {} });
    this.#random = seededRandom(plan.seed);
  }

  async through(): Promise<Outcome> {
    const { nodes, disks, counted, harms, seed } = this.#plan;
    const ids = ["a", "b", "c", "d", "e", "f", "g"].slice(0, nodes);
    for (const nodeId of ids) {
      const disk = disks === "all" || (disks === "some" && this.#random.float() < 0.5);
      const node = await this.#sim.node(nodeId, {
        ...OPTIONS,
        disk,
        ...counted ? { bootstrapExpect: nodes } : { nodes: ids.filter((id) => id !== nodeId) },
      });
      this.#nodes.push(node);
      this.#observe(node);
    }
    await this.#heal("begin");
    for (const node of this.#nodes) {
      const writer = { node, acknowledged: 0, attempted: 0 };
      this.#writers.push(writer);
      this.#write(writer, seededRandom(seed + this.#writers.length)).catch((error: unknown) => {
        this.#fault ??= `a writer: ${String(error)}`;
      });
    }
    for (let round = 0; round < harms; round++) {
      await this.#harm();
      await this.#sim.clock.advance(this.#random.float() * 1_500);
      this.#demand();
      if (!this.#plan.reckless || this.#random.float() < 0.15) await this.#heal(`round ${round}`);
    }
    await this.#heal("end");
    this.#over = true;
    await this.#sim.clock.advance(2 * WRITE_MS);
    await this.#sim.stop();
    this.#demand();
    return {
      virtualMs: this.#sim.clock.now(),
      writes: this.#writes,
      clusters: this.#clusters.length,
      longestHealMs: this.#longestHealMs,
      harms: this.harms,
    };
  }

  async #start(node: SimRaftNode): Promise<void> {
    await node.start();
    this.#observe(node);
  }

  #observe(node: SimRaftNode): void {
    node.raft.events.on("leaderchange", ({ leaderId, term }) => {
      const cluster = node.clusterId;
      if (leaderId === null || cluster === undefined) return;
      const key = `${cluster} ${term}`, known = this.#leaders.get(key);
      if (known !== undefined && known !== leaderId) {
        this.#fault ??= `${known} and ${leaderId} lead in ${key}`;
      }
      this.#leaders.set(key, leaderId);
    });
  }

  async #write(writer: Writer, random: Random): Promise<void> {
    const { node } = writer, { clock } = this.#sim;
    const pause = (ms: number): Promise<void> => new Promise((resolve) => void clock.timer(ms, resolve));
    while (!this.#over) {
      await pause(random.float() * THINK_MS);
      if (!node.runs) continue;
      const startedAt = clock.now();
      // A call to a node that is killed never ends by itself.
      const patience = pause(WRITE_MS + 500).then(() => undefined);
      if (random.float() < 0.1) {
        const lease = node.map.acquireLease(`${node.nodeId} ${startedAt}`, {
          ttlMs: 100,
          timeoutMs: WRITE_MS,
        });
        const granted = await Promise.race([lease.catch(() => undefined), patience]);
        if (granted !== undefined) this.#granted(granted.token, startedAt);
        continue;
      }
      const number = ++writer.attempted;
      const write = node.map.set(node.nodeId, `${number}`, { timeoutMs: WRITE_MS });
      const done = await Promise.race([write.then(() => node.clusterId, () => undefined), patience]);
      if (done === undefined) continue;
      writer.acknowledged = Math.max(writer.acknowledged, number);
      this.#writes++;
      this.#acknowledgedBy(done, startedAt);
    }
  }

  #granted(token: number, startedAt: number): void {
    const above = this.#tokens.find((one) => one.at < startedAt && one.token >= token);
    if (above !== undefined) this.#fault ??= `token ${token} was granted after ${above.token}`;
    this.#tokens.push({ at: this.#sim.clock.now(), token });
    this.#tokens.splice(0, this.#tokens.length - 100);
  }

  /** A cluster acknowledged a write that began at `startedAt`: none before it may do so again. */
  #acknowledgedBy(id: string, startedAt: number): void {
    const known = this.#clusters.find((cluster) => cluster.id === id);
    if (known !== undefined) {
      if (startedAt > known.endedAt) this.#fault ??= `${id} goes on beside ${this.#clusters.at(-1)?.id}`;
      return;
    }
    const last = this.#clusters.at(-1);
    if (last !== undefined) last.endedAt = this.#sim.clock.now();
    this.#clusters.push({ id, endedAt: Infinity });
  }

  #demand(): void {
    if (this.#fault !== undefined) throw new Error(this.#fault);
  }

  /** Everything is set right: all nodes must serve, and have what was acknowledged. */
  async #heal(when: string): Promise<void> {
    const { clock, hub } = this.#sim;
    hub.heal();
    hub.setFaults({});
    for (const node of this.#nodes) if (!node.runs) await this.#start(node);
    for (const node of this.#nodes) node.clock.resume();
    const before = clock.now();
    while (!this.#areWell() && clock.now() < before + HEAL_MS) {
      await clock.advance(50);
      await this.#setAsideOldDisks();
    }
    if (!this.#areWell()) {
      const views = this.#nodes.map(({ nodeId, raft, clusterId, complaints }) =>
        `${nodeId} ${JSON.stringify(raft.view())} in ${clusterId}, ${complaints.slice(-3).join(" | ")}`
      );
      throw new Error(`${when}: not well again after ${HEAL_MS} ms:\n${views.join("\n")}`);
    }
    this.#longestHealMs = Math.max(this.#longestHealMs, clock.now() - before);
    const isAllowed = this.#lost.size * 2 >= Math.min(5, this.#nodes.length);
    for (const writer of this.#writers) {
      const { acknowledged, node } = writer;
      const other = this.#nodes[randomBelow(this.#random, this.#nodes.length)] as SimRaftNode;
      const found = await this.#sim.settle(other.map.get(node.nodeId, { timeoutMs: 10_000 }));
      const value = found === undefined ? 0 : Number(fromUtf8(found.value));
      if (value < acknowledged) {
        if (!isAllowed) {
          throw new Error(`${when}: ${node.nodeId} wrote ${acknowledged}, ${other.nodeId} has ${value}`);
        }
        writer.acknowledged = value;
      }
    }
    this.#lost.clear();
    this.#demand();
  }

  /** Does as an operator is told to who put in the disk of a cluster that is no more. */
  async #setAsideOldDisks(): Promise<void> {
    for (const node of this.#nodes) {
      const isLed = this.#nodes.some(({ raft, clusterId }) => raft.isLeader && clusterId !== node.clusterId);
      if (!isLed || !node.complaints.splice(0).join().includes("the disk of one of them is old")) continue;
      await node.kill();
      node.wipe();
      this.#lost.add(node);
      await this.#start(node);
    }
  }

  #areWell(): boolean {
    const views = this.#nodes.map(({ raft }) => raft.view());
    const [first] = views;
    const led = views.every(({ leaderId, role }) =>
      leaderId !== null && leaderId === first?.leaderId && role !== null
    );
    const learners = views.filter(({ role }) => role === "learner").length;
    return led && learners === Math.max(0, this.#nodes.length - 5) &&
      this.#nodes.some(({ raft }) => raft.isLeader);
  }

  /** One random thing that goes wrong. */
  async #harm(): Promise<void> {
    const random = this.#random, { reckless } = this.#plan, { hub, clock } = this.#sim;
    const ids = this.#nodes.map(({ nodeId }) => nodeId);
    const node = this.#nodes[randomBelow(random, ids.length)] as SimRaftNode;
    const lastingMs = 50 + random.float() * (random.float() < 0.2 ? 12_000 : 3_000);
    const dice = random.float();
    const say = (what: string): void => void this.harms.push(`${Math.round(clock.now())} ${what}`);
    if (dice < 0.45) {
      const several = reckless && random.float() < 0.5 ? 1 + randomBelow(random, ids.length) : 1;
      const victims = [node, ...this.#nodes.filter((one) => one !== node && random.float() < 0.5)].slice(
        0,
        several,
      );
      for (const victim of victims) {
        const wiped = await this.#kill(victim);
        say(`kill ${victim.nodeId}${wiped}`);
      }
      await clock.advance(random.float() < 0.3 ? random.float() * 100 : lastingMs);
      for (const victim of victims) {
        if (victim.runs || (reckless && random.float() < 0.2)) continue;
        await this.#start(victim);
        if (random.float() < 0.5) await clock.advance(random.float() * 300);
      }
    } else if (dice < 0.65) {
      const side = ids.filter(() => random.float() < 0.5);
      say(`partition ${side.join("")}`);
      hub.partition([side, ids.filter((id) => !side.includes(id))], { cut: random.float() < 0.5 });
      await clock.advance(lastingMs);
      if (random.float() < 0.7) hub.heal();
    } else if (dice < 0.75) {
      const other = ids[randomBelow(random, ids.length)] as string;
      say(`block ${node.nodeId} ${other}`);
      if (other !== node.nodeId) hub.block(node.nodeId, other);
      await clock.advance(lastingMs);
      if (random.float() < 0.7) hub.heal();
    } else if (dice < 0.87) {
      say(`pause ${node.nodeId}`);
      if (node.runs) node.clock.pause();
      await clock.advance(lastingMs);
      if (node.runs) node.clock.resume();
    } else if (dice < 0.95) {
      say("loss");
      hub.setFaults({ lossProbability: 0.2, duplicationProbability: 0.1, latencyMs: 5, jitterMs: 60 });
      await clock.advance(lastingMs);
      if (random.float() < 0.7) hub.setFaults({});
    } else if (node.runs) {
      say(`transfer from ${node.nodeId}`);
      node.raft.transferLeadership(undefined, { timeoutMs: 1_000 }).catch(() => {});
      await clock.advance(lastingMs / 4);
    }
  }

  /** Kills, and does something to its disk perhaps; what. */
  async #kill(node: SimRaftNode): Promise<string> {
    const { reckless } = this.#plan, random = this.#random;
    if (node.runs) await node.kill();
    if (node.options.disk !== true) {
      this.#lost.add(node);
      return ", in memory";
    }
    const dice = random.float();
    const old = this.#oldDisks.get(node);
    if (reckless && old !== undefined && dice < 0.3) {
      this.#oldDisks.delete(node);
      this.#lost.add(node);
      node.wipe();
      node.giveDisk(old);
      return ", with an old disk";
    }
    if (dice < (reckless ? 0.4 : 0.25)) {
      this.#lost.add(node);
      if (reckless && dice < 0.15 && node.hasDisk) this.#oldDisks.set(node, node.takeDisk());
      node.wipe();
      return ", wiped";
    }
    return "";
  }
}
