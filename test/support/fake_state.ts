import type {
  CompareResult,
  Lease,
  ReplicatedMap,
  StateChange,
  StateValue,
} from "../../src/raft/contract.ts";
import { utf8 } from "../../src/lib/bytes.ts";

/** A replicated map of one node: a Map with revisions. It holds no leases and is not watched. */
export class FakeState implements ReplicatedMap {
  /** What every call fails with. */
  failure: Error | undefined;
  /** The options of the last read. */
  lastRead: unknown;
  #revision = 0;
  readonly #values = new Map<string, StateValue>();

  get revision(): number {
    return this.#revision;
  }

  async get(key: string, options?: unknown): Promise<StateValue | undefined> {
    this.#failIfTold();
    this.lastRead = options;
    return this.#values.get(key);
  }

  async keys(): Promise<string[]> {
    this.#failIfTold();
    return [...this.#values.keys()].sort();
  }

  async set(key: string, value: string | Uint8Array): Promise<number> {
    this.#failIfTold();
    const bytes = typeof value === "string" ? utf8(value) : new Uint8Array(value);
    this.#values.set(key, { value: bytes, revision: ++this.#revision });
    return this.#revision;
  }

  async delete(key: string): Promise<number | undefined> {
    this.#failIfTold();
    return this.#values.delete(key) ? ++this.#revision : undefined;
  }

  async compareAndSet(
    key: string,
    expected: number,
    value: string | Uint8Array | null,
  ): Promise<CompareResult> {
    this.#failIfTold();
    const revision = this.#values.get(key)?.revision ?? 0;
    if (revision !== expected) return { done: false, revision };
    if (value === null) await this.delete(key);
    else await this.set(key, value);
    return { done: true, revision: this.#revision };
  }

  async *watch(): AsyncGenerator<StateChange, void, undefined> {}

  async acquireLease(): Promise<Lease | undefined> {
    return undefined;
  }

  #failIfTold(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}
