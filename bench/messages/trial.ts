/** The processes of one contender between two runtimes, ready to be measured again and again. */
import { commandFor, ROOT, type Runtime } from "../../test/support/runtimes.ts";
import { startWorker, type Worker } from "../support/worker.ts";
import type { PacedRun, Reception, Setup, ThroughputRun } from "./contract.ts";
import type { Order } from "./process.ts";

/** Clients are the same for everybody, on the runtime whose WebSocket costs the machine least. */
const CLIENT_RUNTIME: Runtime = "bun";

const PROCESS = `${ROOT}/bench/messages/process.ts`;

export interface Plan {
  readonly connections: number;
  readonly payloadBytes: number;
  readonly window: number;
  readonly throughputMs: number;
  readonly pacedMessages: number;
  readonly pacedIntervalMs: number;
}

/** Packets and bytes. */
export interface Wire {
  readonly packets: number;
  readonly bytes: number;
}

/** One round of one contender. */
export interface Round {
  readonly messagesPerSecond: number;
  /** Processor microseconds a message, by process. */
  readonly cpuUs: { readonly sender: number; readonly owner: number; readonly clients: number };
  /** What the sender put on the wire for a message, at full throughput and at a steady pace; null if it does not know. */
  readonly wire: { readonly full: Wire; readonly paced: Wire } | null;
  readonly paced: PacedRun & Pick<Reception, "arrivalMsP50" | "arrivalMsP99">;
}

export interface TrialOptions {
  readonly contender: string;
  readonly sender: Runtime;
  readonly owner: Runtime;
  readonly plan: Plan;
  readonly setup: Setup;
  /** Flags of the runtime for a process, by role: a profiler's. */
  readonly flags?: (role: string, runtime: Runtime) => readonly string[];
}

export class Trial implements AsyncDisposable {
  readonly #plan: Plan;
  readonly #owner: Worker;
  readonly #clients: Worker;
  readonly #sender: Worker;

  private constructor(plan: Plan, owner: Worker, clients: Worker, sender: Worker) {
    this.#plan = plan;
    this.#owner = owner;
    this.#clients = clients;
    this.#sender = sender;
  }

  static async start({ contender, sender, owner, plan, setup, flags }: TrialOptions): Promise<Trial> {
    await using started = new AsyncDisposableStack();
    const run = async (role: string, runtime: Runtime, url: string): Promise<Worker> => {
      const order: Order = { url, ...setup, connections: plan.connections, payloadBytes: plan.payloadBytes };
      const [command, args] = commandFor(runtime, PROCESS, [role, contender, JSON.stringify(order)]);
      // Before the file, after the runtime's own sub-command.
      args.splice(args.indexOf(PROCESS), 0, ...flags?.(role, runtime) ?? []);
      return started.use(await startWorker(command, args));
    };
    const owning = await run("owner", owner, "");
    const { peerUrl, clientUrl } = owning.ready as { peerUrl: string; clientUrl: string };
    const clients = await run("clients", CLIENT_RUNTIME, clientUrl);
    const sending = await run("sender", sender, peerUrl);
    const trial = new Trial(plan, owning, clients, sending);
    trial.#stack = started.move();
    return trial;
  }

  #stack: AsyncDisposableStack | undefined;

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack?.disposeAsync();
  }

  /** Throws when the clients did not receive exactly what the sender was told had been delivered. */
  async round(): Promise<Round> {
    const { window, throughputMs, pacedMessages, pacedIntervalMs } = this.#plan;
    const sentBefore = await this.#sent();
    const before = await this.#cpu();
    const full = await this.#sender.ask("throughput", { window, ms: throughputMs }) as ThroughputRun;
    await this.#received(full.messages);
    const after = await this.#cpu();
    const sentBetween = await this.#sent();
    const order = { intervalMs: pacedIntervalMs, messages: pacedMessages };
    const paced = await this.#sender.ask("paced", order) as PacedRun;
    const { arrivalMsP50, arrivalMsP99 } = await this.#received(paced.messages);
    const sentAfter = await this.#sent();
    const us = (ms: number): number => ms * 1_000 / full.messages;
    return {
      messagesPerSecond: full.messages * 1_000 / full.ms,
      cpuUs: {
        sender: us(full.cpuMs),
        owner: us(after.owner - before.owner),
        clients: us(after.clients - before.clients),
      },
      wire: sentBefore === null || sentBetween === null || sentAfter === null ? null : {
        full: wireBetween(sentBefore, sentBetween, full.messages),
        paced: wireBetween(sentBetween, sentAfter, paced.messages),
      },
      paced: { ...paced, arrivalMsP50, arrivalMsP99 },
    };
  }

  /** MiB/s of a stream of so many bytes; null if there are no streams. */
  async stream(bytes: number): Promise<number | null> {
    const ms = await this.#sender.ask("stream", bytes) as number | null;
    await this.#clients.ask("take", 0);
    return ms === null ? null : bytes / 1_048_576 / (ms / 1_000);
  }

  async #sent(): Promise<Wire | null> {
    return await this.#sender.ask("sent") as Wire | null;
  }

  async #received(messages: number): Promise<Reception> {
    const reception = await this.#clients.ask("take", messages) as Reception;
    if (reception.messages === messages) return reception;
    throw new Error(
      `${messages} messages were answered as delivered, the clients have ${reception.messages}`,
    );
  }

  async #cpu(): Promise<{ owner: number; clients: number }> {
    return {
      owner: await this.#owner.ask("cpuMs") as number,
      clients: await this.#clients.ask("cpuMs") as number,
    };
  }
}

/** For each of so many messages. */
function wireBetween(before: Wire, after: Wire, messages: number): Wire {
  return {
    packets: (after.packets - before.packets) / messages,
    bytes: (after.bytes - before.bytes) / messages,
  };
}
