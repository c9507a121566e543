/** What goes wrong with a fleet, in random orders: two hands at once, each with a process or a socket of its own. */
import { type Random, randomBelow } from "../../src/lib/random.ts";
import { FAULTS } from "../support/tcp_proxy.ts";
import type { Fleet } from "./fleet.ts";
import type { Worker } from "./fleet_worker.ts";

const HANDS = 2;
/** A process or a socket is harmed for so long at the most, ms; mostly much shorter. */
const LASTING_MS_MAX = 4_000;
const BETWEEN_MS_MAX = 1_500;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Shares of all that happens to processes; the rest happens to sockets. */
const PROCESS_HARMS = [
  ["kill", 0.06],
  ["kill while paused", 0.02],
  ["restart", 0.08],
  ["pause", 0.14],
] as const;
type ProcessHarm = typeof PROCESS_HARMS[number][0];

export class Harm {
  /** How often each happened. */
  readonly counts: Record<string, number> = {};
  readonly #fleet: Fleet;
  readonly #random: Random;
  /** Processes that a hand has hold of. */
  readonly #victims = new Set<Worker>();
  /** What befell sockets is over then. */
  #lastsUntil = 0;

  constructor(fleet: Fleet, random: Random) {
    this.#fleet = fleet;
    this.#random = random;
  }

  /** Resolves when every process runs again and nothing is held up or slow any more. */
  async goOn(forMs: number): Promise<void> {
    const end = performance.now() + forMs;
    await Promise.all(Array.from({ length: HANDS }, async () => {
      while (performance.now() < end) {
        await this.#once();
        await sleep(this.#random.float() * BETWEEN_MS_MAX);
      }
    }));
    await sleep(Math.max(0, this.#lastsUntil - performance.now()));
  }

  async #once(): Promise<void> {
    const lastingMs = 50 + this.#random.float() ** 3 * LASTING_MS_MAX;
    let dice = this.#random.float();
    for (const [harm, share] of PROCESS_HARMS) {
      if (dice < share) return await this.#harmProcess(harm, lastingMs);
      dice -= share;
    }
    const fault = FAULTS[randomBelow(this.#random, FAULTS.length)] as typeof FAULTS[0];
    const proxy = this.#fleet.proxies[randomBelow(this.#random, this.#fleet.proxies.length)];
    if (proxy?.apply(fault, this.#random.float(), lastingMs) !== true) return;
    this.#count(fault);
    this.#lastsUntil = Math.max(this.#lastsUntil, performance.now() + lastingMs);
  }

  async #harmProcess(harm: ProcessHarm, lastingMs: number): Promise<void> {
    const free = this.#fleet.workers.filter((worker) => !this.#victims.has(worker));
    const victim = free[randomBelow(this.#random, free.length)] as Worker;
    this.#victims.add(victim);
    this.#count(harm);
    const again = async (): Promise<void> => {
      await sleep(lastingMs);
      await victim.start();
      await victim.connect();
    };
    switch (harm) {
      case "restart":
        await victim.leave();
        await again();
        break;
      case "pause":
        victim.child.signal("SIGSTOP");
        await sleep(lastingMs);
        victim.child.signal("SIGCONT");
        break;
      case "kill while paused":
        victim.child.signal("SIGSTOP");
        await sleep(lastingMs);
        await victim.killWithClient(this.#fleet.workers, again);
        break;
      case "kill":
        await victim.killWithClient(this.#fleet.workers, again);
    }
    this.#victims.delete(victim);
  }

  #count(harm: string): void {
    this.counts[harm] = (this.counts[harm] ?? 0) + 1;
  }
}
