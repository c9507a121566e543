/** Carries what members send: by the network, and what is large by a stream. */
import type { Message, RaftId } from "../../../src/raft/core/types.ts";
import type { Machine } from "./machine.ts";
import { TICK_MS } from "./plan.ts";
import type { Checker } from "./checker.ts";
import type { Network } from "./network.ts";
import type { Timeline } from "./timeline.ts";

/** What the post needs of the world around it. */
export interface Surroundings extends Timeline {
  readonly network: Network;
  readonly checker: Checker;
  readonly hooks: { readonly handedOver: (machine: Machine) => void };
  machineOf(raftId: RaftId): Machine | undefined;
  receive(machine: Machine, message: Message): void;
  settle(machine: Machine): void;
}

export class Post {
  readonly #world: Surroundings;

  constructor(world: Surroundings) {
    this.#world = world;
  }

  send(from: Machine, message: Message): void {
    const world = this.#world;
    world.checker.promises.sends(from, message);
    const to = world.machineOf(message.to);
    if (message.type === "timeout-now") {
      world.after(world.exponential(TICK_MS), () => world.hooks.handedOver(from));
    }
    if (message.type === "snapshot") this.#stream(from, message, to);
    if (to === undefined) return;
    const lost = message.type !== "snapshot" && !this.#transmit(message, from.index, to);
    // Most losses nobody notices.
    if (lost && world.chance(0.3)) {
      this.#later(from, () => from.raw?.reportUnreachable(message.to));
    }
    const again = world.network.replayed();
    if (again !== undefined) {
      const target = world.machineOf(again.message.to);
      if (target !== undefined) this.#transmit(again.message, again.from, target);
    }
  }

  /** Snapshots travel by a stream, whose end the sender's driver learns, though perhaps late or wrongly. */
  #stream(from: Machine, message: Message, to: Machine | undefined): void {
    const arrives = to !== undefined && this.#transmit(message, from.index, to);
    this.#later(from, () => from.raw?.reportSnapshot(message.to, arrives));
  }

  /** What the driver of `machine` gets to know after a while, if it runs until then. */
  #later(machine: Machine, tell: () => void): void {
    const world = this.#world;
    const { run } = machine;
    const act = (): void => {
      if (machine.run !== run || machine.raw === undefined) return;
      if (machine.pausedUntil > world.now) return world.after(machine.pausedUntil - world.now, act);
      tell();
      world.settle(machine);
    };
    world.after(world.exponential(10 * TICK_MS), act);
  }

  #transmit(message: Message, from: number, to: Machine): boolean {
    const { network, now } = this.#world;
    const at = network.arrival(now, from, to.index, message);
    if (at === undefined) return false;
    this.#world.after(at - now, () => {
      if (!network.isCut(this.#world.now, from, to.index)) this.#world.receive(to, message);
    });
    return true;
  }
}
