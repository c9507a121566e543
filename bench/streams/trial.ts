/** The processes of one contender between two runtimes, ready to be measured again and again. */
import { ROOT, type Runtime } from "../../test/support/runtimes.ts";
import { startOn } from "../support/start.ts";
import type { Worker } from "../support/worker.ts";
import type { Contender, Owner } from "./contract.ts";
import type { Order, Reception, Streamed, StreamOrder } from "./process.ts";

const FILE = `${ROOT}/bench/streams/process.ts`;

export interface TrialOptions {
  readonly contender: Contender;
  readonly source: Runtime;
  readonly owner: Runtime;
  readonly clients?: number;
  readonly bytesPerSecond?: number;
  readonly profileIn?: string | undefined;
}

/** One stretch of one contender. */
export interface Round {
  readonly mibPerSecond: number;
  /** Processor milliseconds a MiB, by process. */
  readonly cpuMs: { readonly source: number; readonly owner: number; readonly clients: number };
}

/** Bytes that the processes grew at most while they worked. */
export interface Growth {
  readonly source: number;
  readonly owner: number;
}

const MIB = 1_048_576;
const ONE_STREAM = { streams: 1, stopAfterMs: 0, messageEveryMs: 0 };

export class Trial implements AsyncDisposable {
  readonly #source: Worker;
  readonly #owner: Worker;
  readonly #clients: Worker;
  readonly #stack: AsyncDisposableStack;

  private constructor(source: Worker, owner: Worker, clients: Worker, stack: AsyncDisposableStack) {
    this.#source = source;
    this.#owner = owner;
    this.#clients = clients;
    this.#stack = stack;
  }

  static async start(options: TrialOptions): Promise<Trial> {
    const { contender, source, owner, clients = 1, bytesPerSecond = 0, profileIn } = options;
    await using started = new AsyncDisposableStack();
    const run = async (role: string, runtime: Runtime, url: string): Promise<Worker> => {
      const order: Order = { contender, url, clients, bytesPerSecond };
      const profile = profileIn === undefined || role === "clients"
        ? undefined
        : { folder: profileIn, name: `streams-${contender}-${source}-${owner}-${role}` };
      const args = [role, JSON.stringify(order)];
      return started.use(await startOn({ runtime, file: FILE, args, profile }));
    };
    const owning = await run("owner", owner, "");
    const { peerUrl, clientUrl } = owning.ready as Omit<Owner, "stop">;
    // The clients' process is the same for everybody, on the runtime whose sockets cost the machine least.
    const reading = await run("clients", "bun", clientUrl);
    const sending = await run("source", source, peerUrl);
    return new Trial(sending, owning, reading, started.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** One stream. Throws when the client did not receive exactly what was sent. */
  async round(order: Pick<StreamOrder, "delivery" | "bytes">): Promise<Round> {
    const before = await this.#cpu();
    const { ms } = await this.#stream({ ...order, ...ONE_STREAM });
    await this.#clients.ask("take", { bytes: order.bytes, messages: 0 });
    const after = await this.#cpu();
    const aMib = (role: keyof Round["cpuMs"]): number => (after[role] - before[role]) * MIB / order.bytes;
    return {
      mibPerSecond: order.bytes / MIB * 1_000 / ms,
      cpuMs: { source: aMib("source"), owner: aMib("owner"), clients: aMib("clients") },
    };
  }

  /** Small messages to the client of a stream. */
  async latency(order: Pick<StreamOrder, "delivery" | "bytes" | "messageEveryMs">): Promise<Reception> {
    const { messages } = await this.#stream({ ...ONE_STREAM, ...order });
    return await this.#clients.ask("take", { bytes: order.bytes, messages }) as Reception;
  }

  /** For fresh processes, once. */
  async growth(order: Pick<StreamOrder, "delivery" | "bytes" | "streams" | "stopAfterMs">): Promise<Growth> {
    await this.#source.ask("begin");
    await this.#owner.ask("begin");
    await this.#stream({ ...ONE_STREAM, ...order });
    return {
      source: await this.#source.ask("grown") as number,
      owner: await this.#owner.ask("grown") as number,
    };
  }

  async #stream(order: StreamOrder): Promise<Streamed> {
    return await this.#source.ask("stream", order) as Streamed;
  }

  async #cpu(): Promise<Round["cpuMs"]> {
    return {
      source: await this.#source.ask("cpuMs") as number,
      owner: await this.#owner.ask("cpuMs") as number,
      clients: await this.#clients.ask("cpuMs") as number,
    };
  }
}
