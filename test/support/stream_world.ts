/** Whole nodes with streams between them, what they are fed with, and what must be left of it: nothing. */
import { expect } from "bun:test";
import type { ClusterOptions } from "../../src/cluster/options.ts";
import { type Bytes, concatBytes, utf8 } from "../../src/lib/bytes.ts";
import { FlotillaError, reasonOf } from "../../src/lib/errors.ts";
import type { StreamResult } from "../../src/stream/contract.ts";
import type { StreamData } from "../../src/stream/cutter.ts";
import type { MemoryHubOptions } from "../../transports/memory.ts";
import type { FakeSdk } from "./fake_sdk.ts";
import { SimCluster, type SimClusterNode } from "./sim_cluster.ts";

/** For `describe.each`: a client %s of the caller, in a world of %i nodes. */
export const PLACES = [["on another node", 2], ["on the caller's own node", 1]] as const;

const IDLE = { calls: 0, streams: 0, connections: 0, reservedBytes: 0, watches: 0 };

export interface WorldOptions extends Partial<ClusterOptions> {
  readonly nodes?: never;
  readonly seed?: number;
  readonly hub?: Omit<MemoryHubOptions, "clock" | "random">;
}

export class StreamWorld {
  readonly sim: SimCluster;
  #idleTimers = Infinity;

  private constructor(sim: SimCluster) {
    this.sim = sim;
  }

  /** So many nodes that know each other. Plain, so that it is not the ciphers that are tested. */
  static async of(
    count: number,
    { seed = 1, hub = {}, ...options }: WorldOptions = {},
  ): Promise<StreamWorld> {
    const world = new StreamWorld(new SimCluster(seed, hub));
    const plain = { allowInsecure: true, seal: "never" } as const;
    for (const nodeId of ["a", "b", "c"].slice(0, count)) {
      await world.sim.node(nodeId, { ...plain, ...options });
    }
    await world.sim.whole();
    return world;
  }

  /** Where streams are sent from. */
  get a(): SimClusterNode {
    return this.node(0);
  }

  /** Another node; the only one there is in a world of one. */
  get b(): SimClusterNode {
    return this.node(Math.min(1, this.sim.nodes.length - 1));
  }

  node(index: number): SimClusterNode {
    return this.sim.nodes[index] as SimClusterNode;
  }

  /** Call it when all clients are there: they are known everywhere, and what is idle now is idle later. */
  async ready(): Promise<void> {
    await this.sim.clock.advance(3_000);
    this.#idleTimers = 0;
    for (let look = 0; look < 40; look++) {
      this.#idleTimers = Math.max(this.#idleTimers, this.sim.clock.timers);
      await this.sim.clock.advance(50);
    }
  }

  run<Value>(promise: Promise<Value>, limitMs?: number): Promise<Value> {
    return this.sim.settle(promise, limitMs);
  }

  async until(predicate: () => boolean, limitMs?: number): Promise<void> {
    await this.sim.clock.runUntil(predicate, limitMs);
  }

  /** Of what ends now nothing is left: no stream, no byte, no timer. */
  async expectNothingLeft(limitMs = 100): Promise<void> {
    await this.sim.clock.advance(limitMs);
    for (const { cluster } of this.sim.nodes) {
      const { streams, queuedBytes } = cluster.stats();
      const what = { nodeId: cluster.nodeId, streams, queuedBytes };
      expect(what).toEqual({ nodeId: cluster.nodeId, streams: IDLE, queuedBytes: 0 });
    }
    // A deadline that was cancelled leaves its timer to fire for nothing.
    const leftTimers = (): boolean => this.sim.clock.timers > this.#idleTimers;
    await this.until(() => !leftTimers(), 70_000);
  }
}

/** So many nodes with a plain client and one of the SDK, `plain` and `sdk`. */
export async function both(
  count: number,
  options: WorldOptions = {},
): Promise<{ readonly world: StreamWorld; readonly sdk: FakeSdk }> {
  const world = await StreamWorld.of(count, options);
  world.b.connect("plain");
  const sdk = world.b.connectSdk("sdk");
  await world.ready();
  return { world, sdk };
}

/** A source, and what became of it. */
export class Source {
  readonly readable: ReadableStream<StreamData>;
  pulledBytes = 0;
  /** `Error: why` once it was cancelled. */
  cancelled: string | undefined;
  /** What it was cancelled with. */
  reason: unknown;
  /** It was read to its end, or failed. */
  ended = false;
  #fail: (error: unknown) => void = () => {};

  /**
   * Yields what `parts` does, promises when they resolve; what is no data is passed on as it is, and an Error fails
   * the source.
   */
  constructor(parts: Iterable<unknown>) {
    const iterator = parts[Symbol.iterator]();
    this.readable = new ReadableStream({
      start: (controller) => void (this.#fail = (error) => controller.error(error)),
      pull: async (controller) => {
        const next = iterator.next();
        this.ended = next.done === true || next.value instanceof Error;
        if (next.done === true) return controller.close();
        if (next.value instanceof Error) return controller.error(next.value);
        // Never settles: the source is silent from now on.
        if (next.value === SILENCE) return await new Promise<void>(() => {});
        const value: unknown = await next.value;
        if (this.cancelled !== undefined) return;
        if (value instanceof Uint8Array) this.pulledBytes += value.byteLength;
        controller.enqueue(value as StreamData);
      },
      cancel: (reason) => {
        this.cancelled = reasonOf(reason);
        this.reason = reason;
      },
    }, { highWaterMark: 0 });
  }

  fail(error: unknown): void {
    this.#fail(error);
  }
}

/** A part after which a source yields nothing more and does not end. */
export const SILENCE: unique symbol = Symbol("silence");

/** Bytes that differ wherever one may mistake them. */
export function pattern(length: number, seed = 0): Bytes {
  const bytes = new Uint8Array(length);
  let state = (seed * 2_654_435_761 + 12_345) >>> 0;
  for (let at = 0; at < length; at++) {
    if ((at & 3) === 0) state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> (8 * (at & 3));
  }
  return bytes;
}

/** `whole` in parts of `size`. */
export function* parts(whole: Bytes, size: number): Generator<Bytes> {
  for (let at = 0; at < whole.byteLength; at += size) yield whole.subarray(at, at + size);
}

/** So many parts of so many bytes, made as they are asked for. */
export function* zeros(count: number, size = 65_536): Generator<Bytes> {
  for (let index = 0; index < count; index++) yield new Uint8Array(size);
}

/** So many bytes every 20 ms, for ever. */
export function* endless(world: StreamWorld, bytes = 5_000): Generator<unknown> {
  const data = new Uint8Array(bytes);
  for (;;) yield new Promise((resolve) => void world.sim.clock.timer(20, () => resolve(data)));
}

/** What a call came to: its outcome, or the code and cause it rejects with. */
export async function cameTo(
  call: Promise<StreamResult>,
): Promise<{ readonly what: string; readonly cause: unknown; readonly reason: string }> {
  try {
    const { outcome, reason = "" } = await call;
    return { what: outcome, cause: undefined, reason };
  } catch (thrown) {
    if (!(thrown instanceof FlotillaError)) throw thrown;
    return { what: `rejects ${thrown.code}`, cause: thrown.cause, reason: thrown.message };
  }
}

/** All that a client got, as bytes. */
export function received(data: readonly (string | Bytes)[]): Bytes {
  return concatBytes(...data.map((each) => typeof each === "string" ? utf8(each) : each));
}

/** Equal, told without printing megabytes. */
export function expectBytes(actual: Bytes, wanted: Bytes): void {
  expect(actual.byteLength).toBe(wanted.byteLength);
  const at = actual.findIndex((byte, index) => byte !== wanted[index]);
  expect(at).toBe(-1);
}
