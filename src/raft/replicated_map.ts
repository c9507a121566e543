/** The replicated map as an application uses it, over proposals and reads. */
import { type Bytes, utf8 } from "../lib/bytes.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { checkObject } from "../lib/option_rules.ts";
import type {
  CompareResult,
  Lease,
  LeaseOptions,
  ReadOptions,
  ReplicatedMap,
  StateChange,
  StateValue,
  WaitOptions,
  WatchOptions,
} from "./contract.ts";
import type { Proposer } from "./proposer.ts";
import type { Reads } from "./reads.ts";
import type { Command } from "./state/commands.ts";
import type { ReplicatedState } from "./state/replicated_state.ts";
import type { Result } from "./state/results.ts";
import type { Watches } from "./watches.ts";

const KEYS_PER_PAGE = 1_000;

export interface MapContext {
  readonly nodeId: string;
  readonly proposer: Pick<Proposer, "run">;
  readonly reads: Pick<Reads, "barrier">;
  readonly watches: Watches;
  /** What this node has applied; undefined while it belongs to no cluster. */
  state(): ReplicatedState | undefined;
}

export class NodeReplicatedMap implements ReplicatedMap {
  readonly #context: MapContext;

  constructor(context: MapContext) {
    this.#context = context;
  }

  get revision(): number {
    return this.#context.state()?.revision ?? 0;
  }

  async get(key: string, options: ReadOptions = {}): Promise<StateValue | undefined> {
    const found = (await this.#look(options))?.get(key);
    return found && { value: found.value, revision: found.revision };
  }

  async keys(
    options: ReadOptions & { prefix?: string; after?: string; limit?: number } = {},
  ): Promise<string[]> {
    const { prefix = "", after = "", limit = KEYS_PER_PAGE } = options;
    return (await this.#look(options))?.keys(prefix, after, limit) ?? [];
  }

  async set(key: string, value: string | Uint8Array, options?: WaitOptions): Promise<number> {
    const result = await this.#run({ kind: "set", key, value: bytesOf(value) }, options);
    if (result.kind === "done") return result.revision;
    throw this.#refused(`set ${shown(key)}`, result);
  }

  async delete(key: string, options?: WaitOptions): Promise<number | undefined> {
    const result = await this.#run({ kind: "delete", key }, options);
    if (result.kind === "done") return result.revision;
    if (result.kind === "not-found") return undefined;
    throw this.#refused(`delete ${shown(key)}`, result);
  }

  async compareAndSet(
    key: string,
    expected: number,
    value: string | Uint8Array | null,
    options?: WaitOptions,
  ): Promise<CompareResult> {
    const bytes = value === null ? null : bytesOf(value);
    const result = await this.#run({ kind: "compare-and-set", key, expected, value: bytes }, options);
    if (result.kind === "done") return { done: true, revision: result.revision };
    if (result.kind === "conflict") return { done: false, revision: result.revision };
    throw this.#refused(`compareAndSet ${shown(key)}`, result);
  }

  watch(options: WatchOptions = {}): AsyncIterableIterator<StateChange> {
    return this.#context.watches.watch(options, this.revision);
  }

  async acquireLease(name: string, options: LeaseOptions): Promise<Lease | undefined> {
    checkObject(options);
    const { ttlMs, holder = this.#context.nodeId } = options;
    const result = await this.#run({ kind: "acquire-lease", name, holder, ttlMs }, options);
    if (result.kind === "held") return undefined;
    if (result.kind !== "leased") throw this.#refused(`acquireLease ${shown(name)}`, result);
    const { token } = result;
    return this.#lease(name, token, ttlMs);
  }

  #lease(name: string, token: number, ttlMs: number): Lease {
    const release = async (options?: WaitOptions): Promise<boolean> => {
      const result = await this.#run({ kind: "release-lease", name, token }, options);
      return result.kind === "done";
    };
    return {
      name,
      token,
      renew: async (options) => {
        const result = await this.#run({ kind: "renew-lease", name, token, ttlMs }, options);
        return result.kind === "leased";
      },
      release,
      [Symbol.asyncDispose]: async () => void await release().catch(() => undefined),
    };
  }

  /** This node's state, once a look at it is as good as was asked for. */
  async #look(options: ReadOptions): Promise<ReplicatedState | undefined> {
    if (options.stale === true) return this.#context.state();
    await this.#context.reads.barrier(options);
    const state = this.#context.state();
    // Between the answer and here this node may have left its cluster.
    if (state === undefined) throw new FlotillaError("no-leader", "read: this node left its cluster");
    return state;
  }

  async #run(command: Command, options: WaitOptions | undefined): Promise<Result> {
    const [what, name] = "key" in command
      ? ["a key", command.key]
      : ["a lease", "name" in command ? command.name : ""];
    if (typeof name !== "string" || name === "" || !name.isWellFormed()) {
      throw new FlotillaError(
        "malformed",
        `${command.kind} ${shown(name)}: ${what} is well-formed text, not empty`,
      );
    }
    return await this.#context.proposer.run(command, options);
  }

  #refused(action: string, result: Result): FlotillaError {
    if (result.kind === "too-large" || result.kind === "malformed") {
      return new FlotillaError(result.kind, `${action}: ${result.message}`);
    }
    return new FlotillaError("malformed", `${action}: the replicated state answered ${result.kind}`);
  }
}

/** Bytes of its own: the caller may go on writing into what it gave. */
function bytesOf(value: string | Uint8Array): Bytes {
  if (typeof value === "string") return utf8(value);
  if (value instanceof Uint8Array) return new Uint8Array(value);
  throw new FlotillaError("malformed", `a value must be text or a Uint8Array, not ${shown(value)}`);
}
