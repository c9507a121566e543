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
    if (message.type !== "snapshot") this.#transmit(message, from.index, to);
    const again = world.network.replayed();
    if (again !== undefined) {
      const target = world.machineOf(again.message.to);
      if (target !== undefined) this.#transmit(again.message, again.from, target);
    }
  }

  /** Snapshots travel by a stream, whose end the sender's driver learns, though perhaps late or wrongly. */
  #stream(from: Machine, message: Message, to: Machine | undefined): void {
    const world = this.#world;
    const { run } = from;
    const arrives = to !== undefined && this.#transmit(message, from.index, to);
    const report = (): void => {
      if (from.run !== run || from.raw === undefined) return;
      if (from.pausedUntil > world.now) return world.after(from.pausedUntil - world.now, report);
      from.raw.reportSnapshot(message.to, arrives);
      world.settle(from);
    };
    world.after(world.exponential(10 * TICK_MS), report);
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
