/** The processes of one contender on one runtime, ready to be measured again and again. */
import { ROOT, type Runtime } from "../../test/support/runtimes.ts";
import { startOn } from "../support/start.ts";
import type { Worker } from "../support/worker.ts";
import type { BatchesOrder, Order, Sent, Urls } from "./process.ts";

const FILE = `${ROOT}/bench/fanout/process.ts`;

export type Contender = "flotilla" | "bare";
export const CONTENDERS: readonly Contender[] = ["flotilla", "bare"];

export interface Plan {
  readonly connections: number;
  readonly payloadBytes: number;
  /** How many of them a batch addresses, in turns. */
  readonly addressed: readonly number[];
  readonly window: number;
  readonly ms: number;
}

/** One stretch of one contender. */
export interface Round {
  /** Messages to one connection each, from the first call to the last arrival. */
  readonly deliveriesPerSecond: number;
  /** Processor microseconds a delivery; the bare loop has no sender of its own. */
  readonly cpuUs: { readonly sender: number; readonly owner: number; readonly clients: number };
}

export interface TrialOptions {
  readonly contender: Contender;
  readonly runtime: Runtime;
  readonly plan: Plan;
  readonly profileIn: string | undefined;
}

export class Trial implements AsyncDisposable {
  readonly #plan: Plan;
  readonly #owner: Worker;
  readonly #clients: Worker;
  readonly #sender: Worker;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    plan: Plan,
    owner: Worker,
    clients: Worker,
    sender: Worker,
    stack: AsyncDisposableStack,
  ) {
    this.#plan = plan;
    this.#owner = owner;
    this.#clients = clients;
    this.#sender = sender;
    this.#stack = stack;
  }

  static async start({ contender, runtime, plan, profileIn }: TrialOptions): Promise<Trial> {
    await using started = new AsyncDisposableStack();
    const run = async (role: string, on: Runtime, url: string): Promise<Worker> => {
      const { connections, payloadBytes } = plan;
      const order: Order = { url, connections, payloadBytes };
      const profile = profileIn === undefined || role === "clients"
        ? undefined
        : { folder: profileIn, name: `fanout-${runtime}-${role}` };
      const args = [role, JSON.stringify(order)];
      return started.use(await startOn({ runtime: on, file: FILE, args, profile }));
    };
    const owner = await run(contender === "bare" ? "bare" : "owner", runtime, "");
    const { peerUrl, clientUrl } = owner.ready as Urls;
    const clients = await run("clients", "bun", clientUrl);
    const sender = contender === "bare" ? owner : await run("sender", runtime, peerUrl);
    return new Trial(plan, owner, clients, sender, started.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** Throws when the clients did not receive exactly what was sent. */
  async round(addressed: number): Promise<Round> {
    const { window, ms } = this.#plan;
    const before = await this.#cpu();
    const order: BatchesOrder = { addressed, window, ms };
    const { batches, began } = await this.#sender.ask("batches", order) as Sent;
    const deliveries = batches * addressed;
    const ended = await this.#clients.ask("take", deliveries) as number;
    const after = await this.#cpu();
    const us = (role: "sender" | "owner" | "clients"): number =>
      (after[role] - before[role]) * 1_000 / deliveries;
    return {
      deliveriesPerSecond: deliveries * 1_000 / (ended - began),
      cpuUs: {
        sender: this.#sender === this.#owner ? 0 : us("sender"),
        owner: us("owner"),
        clients: us("clients"),
      },
    };
  }

  async #cpu(): Promise<{ sender: number; owner: number; clients: number }> {
    return {
      sender: await this.#sender.ask("cpuMs") as number,
      owner: await this.#owner.ask("cpuMs") as number,
      clients: await this.#clients.ask("cpuMs") as number,
    };
  }
}
