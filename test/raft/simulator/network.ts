/** Links between machines: each may be cut, one way or both, or clogged; what passes may be late, lost or again. */
import { type Random, randomBelow } from "../../../src/lib/random.ts";
import type { Message } from "../../../src/raft/core/types.ts";
import type { Plan } from "./plan.ts";

/** Old messages kept to be replayed. */
const REMEMBERED_MAX = 256;

export class Network {
  readonly #random: Random;
  readonly #size: number;
  /** Until when a link is cut, and until when what is sent waits. By sender and receiver. */
  readonly #cutUntil: number[];
  readonly #clogUntil: number[];
  readonly #remembered: { readonly message: Message; readonly from: number; readonly to: number }[] = [];
  #delayMs: number;
  #loss: number;
  #replay: number;

  constructor(random: Random, plan: Plan) {
    this.#random = random;
    this.#size = plan.machines;
    this.#cutUntil = new Array<number>(plan.machines * plan.machines).fill(0);
    this.#clogUntil = new Array<number>(plan.machines * plan.machines).fill(0);
    this.#delayMs = plan.delayMs;
    this.#loss = plan.loss;
    this.#replay = plan.replay;
  }

  /** When a message sent now arrives; undefined when it is lost. */
  arrival(now: number, from: number, to: number, message: Message): number | undefined {
    if (this.#replay > 0) this.#remember(message, from, to);
    const link = from * this.#size + to;
    if ((this.#cutUntil[link] ?? 0) > now || this.#random.float() < this.#loss) return undefined;
    return Math.max(now, this.#clogUntil[link] ?? 0) + 0.5 -
      this.#delayMs * Math.log(1 - this.#random.float());
  }

  /** Whether a link is cut for what arrives now. */
  isCut(now: number, from: number, to: number): boolean {
    return (this.#cutUntil[from * this.#size + to] ?? 0) > now;
  }

  /** An old message that happens to be delivered again now. */
  replayed(): { readonly message: Message; readonly from: number; readonly to: number } | undefined {
    if (this.#replay === 0 || this.#random.float() >= this.#replay) return undefined;
    return this.#remembered[randomBelow(this.#random, this.#remembered.length)];
  }

  cut(from: number, to: number, until: number): void {
    this.#cutUntil[from * this.#size + to] = until;
  }

  clog(from: number, to: number, until: number): void {
    this.#clogUntil[from * this.#size + to] = until;
  }

  /** Everything flows again, quickly and without loss. */
  heal(): void {
    this.#cutUntil.fill(0);
    this.#clogUntil.fill(0);
    this.#delayMs = 1;
    this.#loss = 0;
    this.#replay = 0;
  }

  #remember(message: Message, from: number, to: number): void {
    const item = { message, from, to };
    if (this.#remembered.length < REMEMBERED_MAX) this.#remembered.push(item);
    else this.#remembered[randomBelow(this.#random, REMEMBERED_MAX)] = item;
  }
}
