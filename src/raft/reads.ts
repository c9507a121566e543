/** Linearizable reads: each waits until this node has applied what was committed when it was asked (thesis, 6.4). */
import { type Random, randomBelow } from "../lib/random.ts";
import type { StepResult } from "./core/types.ts";
import { type Wait, type WaitOptions, Waits, type WaitsHost } from "./waits.ts";

/** The first context is below it; one run never asks so often that it could get out of the whole numbers. */
const CONTEXT_MAX = 2 ** 48;
/** Reads that may wait at once. */
const READS_MAX = 16_384;

/** Reads that were asked for in one turn share one question to the leader. */
interface Round {
  readonly reads: readonly Wait<void>[];
  readonly askedAt: number;
}

export interface ReadsHost extends WaitsHost {
  readonly random: Random;
  /** Asks for the commit index; undefined while this node is no member. */
  readIndex(context: number): StepResult | undefined;
  /** The last entry applied here. */
  applied(): number;
  /** Has `flush` called at the end of this turn. */
  schedule(): void;
}

export class Reads {
  readonly #host: ReadsHost;
  readonly #waits: Waits;
  #fresh: Wait<void>[] = [];
  /** By context. */
  readonly #asked = new Map<number, Round>();
  /** Confirmed; to be answered once their index is applied here. */
  #ripening: { readonly index: number; readonly reads: readonly Wait<void>[] }[] = [];
  /** Leaders may still hold questions of this member's last run: none of this one has the same number. */
  #context: number;

  constructor(host: ReadsHost) {
    this.#host = host;
    this.#waits = new Waits("read", READS_MAX, host);
    this.#context = randomBelow(host.random, CONTEXT_MAX);
  }

  /**
   * Resolves when a look at this node's state is linearizable. Rejects `no-leader`, `aborted`, `backpressure`,
   * `not-running`.
   */
  async barrier(options: WaitOptions = {}): Promise<void> {
    const read = this.#waits.begin<void>(options);
    read.late = () =>
      this.#waits.error("no-leader", this.#host.obstacle() ?? "the leader did not answer in time");
    this.#fresh.push(read);
    this.#host.schedule();
    await read.promise;
  }

  /** Asks for what is new. */
  flush(): void {
    const reads = this.#fresh.filter(({ open }) => open);
    this.#fresh = reads;
    if (reads.length === 0 || this.#host.readIndex(++this.#context) !== "taken") return;
    this.#fresh = [];
    this.#asked.set(this.#context, { reads, askedAt: this.#host.clock.now() });
  }

  /** There is another leader: what the former one was asked is lost with it. */
  leaderChanged(): void {
    this.retry(0);
  }

  /** Asks again what has had no answer for `afterMs`, under a new context. */
  retry(afterMs: number): void {
    const before = this.#host.clock.now() - afterMs;
    for (const [context, { reads, askedAt }] of this.#asked) {
      if (askedAt > before) continue;
      this.#asked.delete(context);
      this.#fresh.push(...reads);
    }
    this.flush();
  }

  /** The leader answered. */
  readable(context: number, index: number): void {
    const round = this.#asked.get(context);
    if (round === undefined) return;
    this.#asked.delete(context);
    this.#ripening.push({ index, reads: round.reads });
    this.applied();
  }

  /** Something was applied here. */
  applied(): void {
    if (this.#ripening.length === 0) return;
    const applied = this.#host.applied();
    const ripe = this.#ripening.filter(({ index }) => index <= applied);
    this.#ripening = this.#ripening.filter(({ index }) => index > applied);
    for (const { reads } of ripe) for (const read of reads) read.resolve();
  }

  /** This node left its cluster: what is under way belongs to the former one. */
  reset(reason: string): void {
    this.#waits.endAll(this.#waits.error("no-leader", reason));
    this.#asked.clear();
    this.#ripening = [];
    this.#fresh = [];
  }

  stop(reason: string): void {
    this.#waits.stop(reason);
  }
}
