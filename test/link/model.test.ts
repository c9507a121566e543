/** Random schedules of faults against what a session promises. A failure names the seed that repeats it. */
import { describe, expect, test } from "bun:test";
import { type Random, randomBelow, seededRandom } from "../../src/lib/random.ts";
import { LANES } from "../../src/link/contract.ts";
import { LinkHistory } from "../support/link_history.ts";
import { firstSeed, report } from "../support/measure.ts";
import { scale } from "../support/scale.ts";
import { SimLinks, type SimNode } from "../support/sim_links.ts";

interface Outcome {
  readonly breaches: readonly string[];
  readonly delivered: number;
  readonly ended: number;
}

/** Two nodes through one random schedule, then a healed network. */
class Schedule {
  readonly #random: Random;
  readonly #sim: SimLinks;
  readonly #history = new LinkHistory();
  readonly #lossless: boolean;
  readonly #seal: "always" | "never";
  /** The running nodes; undefined while one is stopped or killed. */
  readonly #nodes = new Map<string, SimNode | undefined>();
  #started = 0;
  #ended = 0;
  readonly #all: SimNode[] = [];

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#lossless = this.#random.float() < 0.4;
    this.#seal = this.#random.float() < 0.3 ? "always" : "never";
    this.#sim = new SimLinks(seed, {
      features: this.#lossless ? ["lossless"] : [],
      packetBytesMax: this.#random.float() < 0.3 ? 1_200 : 262_144,
      faults: { latencyMs: randomBelow(this.#random, 3) === 0 ? 0 : this.#random.float() * 40 },
    });
  }

  async run(steps: number): Promise<Outcome> {
    for (const nodeId of ["a", "b"]) await this.#begin(nodeId);
    for (let step = 0; step < steps; step++) await this.#step();
    await this.#settle();
    const breaches = [...this.#history.check(true)];
    const [a, b] = [this.#node("a"), this.#node("b")];
    const [one, two] = [a?.links.session("b"), b?.links.session("a")];
    if (one === undefined || one.id !== two?.id) {
      breaches.push(`no common session: ${one?.id} and ${two?.id}`);
    }
    for (const lane of LANES) {
      if (one?.pendingBytes(lane) !== 0 || two?.pendingBytes(lane) !== 0) {
        breaches.push(`lane ${lane} holds bytes that were never acknowledged`);
      }
    }
    await this.#sim.stop();
    for (const node of this.#all) this.#count(node);
    if (this.#sim.clock.timers !== 0) breaches.push(`${this.#sim.clock.timers} timers are left after stop`);
    breaches.push(...this.#history.breaches.filter((breach) => !breaches.includes(breach)));
    if (this.#history.live !== this.#started - this.#ended) {
      breaches.push(`${this.#started} sessions began and ${this.#ended} ended, by the counters`);
    }
    return { breaches, delivered: this.#history.delivered, ended: this.#ended };
  }

  async #step(): Promise<void> {
    const roll = this.#random.float();
    const hub = this.#sim.hub;
    const [from, to] = this.#random.float() < 0.5 ? ["a", "b"] as const : ["b", "a"] as const;
    if (roll < 0.5) this.#send(from, to);
    else if (roll < 0.7) hub.heal();
    else if (roll < 0.76) hub.cut("a", "b");
    else if (roll < 0.82) hub.block(from, to);
    else if (roll < 0.88 && !this.#lossless) this.#spoil();
    else if (roll < 0.93) this.#pauseOrResume(from);
    else if (roll < 0.96) await this.#end(from);
    else if (this.#nodes.get(from) === undefined) await this.#begin(from);
    await this.#sim.clock.advance(this.#random.float() ** 4 * 3_000);
  }

  #send(from: string, to: string): void {
    const session = this.#nodes.get(from)?.links.session(to);
    if (session === undefined) return;
    for (let left = 1 + randomBelow(this.#random, 8); left > 0; left--) {
      const bytes = randomBelow(this.#random, this.#random.float() < 0.05 ? 200_000 : 300);
      this.#history.send(session, LANES[randomBelow(this.#random, 3)] ?? 0, bytes);
    }
  }

  #spoil(): void {
    this.#sim.hub.setFaults({
      lossProbability: this.#random.float() * 0.3,
      duplicationProbability: this.#random.float() * 0.3,
      reorderProbability: this.#random.float() * 0.3,
      reorderMs: this.#random.float() * 100,
      latencyMs: this.#random.float() * 50,
      jitterMs: this.#random.float() * 30,
    });
  }

  #pauseOrResume(nodeId: string): void {
    const clock = this.#nodes.get(nodeId)?.clock;
    if (clock?.paused === true) clock.resume();
    else clock?.pause();
  }

  async #begin(nodeId: string): Promise<void> {
    const node = this.#sim.node(nodeId, {
      seal: this.#seal,
      laneQueueBytes: 400_000,
      laneWindowBytes: 150_000,
    });
    this.#history.watch(node);
    this.#all.push(node);
    this.#nodes.set(nodeId, node);
    await this.#sim.start(node);
  }

  /** Stops a node, or kills it: then its ends never hear down. */
  async #end(nodeId: string): Promise<void> {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    this.#nodes.set(nodeId, undefined);
    if (this.#random.float() < 0.5) {
      this.#history.killed(node);
      return await node.kill();
    }
    node.clock.resume();
    const stopped = node.links.stop();
    await this.#sim.clock.advance(0);
    await stopped;
  }

  #node(nodeId: string): SimNode | undefined {
    return this.#nodes.get(nodeId);
  }

  async #settle(): Promise<void> {
    for (const nodeId of ["a", "b"]) {
      this.#nodes.get(nodeId)?.clock.resume();
      if (this.#nodes.get(nodeId) === undefined) await this.#begin(nodeId);
    }
    this.#sim.hub.setFaults({});
    this.#sim.hub.heal();
    await this.#sim.clock.advance(30_000);
  }

  #count(node: SimNode): void {
    const stats = node.links.stats();
    this.#started += stats.sessionsStarted;
    this.#ended += stats.sessionsEnded;
  }
}

describe("a session under random schedules", () => {
  test("keeps its promises through cuts, blocks, loss, pauses, restarts and stops", async () => {
    const schedules = scale(30, 2_000);
    const first = firstSeed(1);
    let delivered = 0;
    let ended = 0;
    for (let seed = first; seed < first + schedules; seed++) {
      const outcome = await new Schedule(seed).run(40);
      expect({ seed, breaches: outcome.breaches }).toEqual({ seed, breaches: [] });
      delivered += outcome.delivered;
      ended += outcome.ended;
    }
    expect(delivered).toBeGreaterThan(schedules * 10);
    report("link model", { seed: first, schedules, delivered, sessionsEnded: ended });
  }, scale(60_000, 900_000));
});
