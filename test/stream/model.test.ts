/**
 * Random streams between three nodes, with clients and nodes that come to harm, against what streams promise: what
 * arrives is in order and equal as far as it came; each call ends once, honestly, and in time; what is under way is
 * bounded; and nothing is left when all is quiet.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { StreamDelivery, StreamResult } from "../../src/stream/contract.ts";
import type { FaultPlan } from "../../transports/memory.ts";
import { bytesOf, type FakeSdk } from "../support/fake_sdk.ts";
import type { FakeSink } from "../support/fake_sink.ts";
import { firstSeed, report } from "../support/measure.ts";
import { scale } from "../support/scale.ts";
import type { SimClusterNode } from "../support/sim_cluster.ts";
import { parts, pattern, SILENCE, Source, StreamWorld } from "../support/stream_world.ts";

const NODES = 3;
const PLAIN = ["p0", "p1", "p2"];
const SDK = ["s0", "s1", "s2"];
const MESSAGE_BYTES_MAX = 400_000;
const WINDOW_BYTES = 262_144;
const STALL_MS = 800;
const IDLE_MS = 500;

type Ending = "whole" | "fails" | "silent" | "lies";

type Step =
  | {
    readonly kind: "stream";
    readonly from: number;
    readonly to: readonly string[];
    readonly size: number;
    readonly partBytes: number;
    readonly chunkSize: number;
    readonly delivery: StreamDelivery | undefined;
    readonly ending: Ending;
    readonly timeoutMs: number | undefined;
    /** When the caller's signal fires. */
    readonly abortAfterMs: number | undefined;
  }
  | { readonly kind: "rate"; readonly id: string; readonly rate: number }
  | { readonly kind: "reading"; readonly id: string; readonly reading: boolean }
  | { readonly kind: "cancel" | "close" | "replace" | "message"; readonly id: string }
  | { readonly kind: "cut"; readonly a: number; readonly b: number; readonly healAfterMs: number }
  | { readonly kind: "kill"; readonly node: number }
  | { readonly kind: "pass"; readonly ms: number };

const id = fc.constantFrom(...PLAIN, ...SDK, "nobody");
const size = fc.oneof(
  fc.constantFrom(0, 1, 65_535, 65_536, 65_537, 131_072, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1),
  fc.nat({ max: 800_000 }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant("stream" as const),
      from: fc.nat({ max: NODES - 1 }),
      to: fc.oneof(fc.tuple(id), fc.uniqueArray(id, { minLength: 1, maxLength: 5 })),
      size,
      partBytes: fc.constantFrom(7_001, 65_536, 300_000),
      chunkSize: fc.constantFrom(1_000, 65_536, 65_536, 200_000),
      delivery: fc.constantFrom<StreamDelivery | undefined>(undefined, "message", "chunks", "framed"),
      ending: fc.constantFrom<Ending>("whole", "whole", "whole", "fails", "silent", "lies"),
      timeoutMs: fc.constantFrom(undefined, undefined, 100),
      abortAfterMs: fc.constantFrom(undefined, undefined, undefined, 0, 5, 50),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("rate" as const),
      id: fc.constantFrom(...PLAIN, ...SDK),
      rate: fc.constantFrom(Infinity, 20_000, 1_000, 0),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("reading" as const),
      id: fc.constantFrom(...SDK),
      reading: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("cancel" as const), id: fc.constantFrom(...SDK) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("close" as const, "replace" as const, "message" as const, "message" as const),
      id: fc.constantFrom(...PLAIN, ...SDK),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("cut" as const),
      a: fc.nat({ max: NODES - 1 }),
      b: fc.nat({ max: NODES - 1 }),
      healAfterMs: fc.constantFrom(1, 50),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill" as const), node: fc.nat({ max: 2 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(0, 1, 10, 60) }),
  },
);
const worlds = fc.record({
  seed: fc.nat(),
  faults: fc.constantFrom<Partial<FaultPlan> | undefined>(
    undefined,
    { latencyMs: 5, jitterMs: 3 },
    { lossProbability: 0.03, duplicationProbability: 0.03, reorderProbability: 0.1, latencyMs: 2 },
  ),
  nodeStreamBytesMax: fc.constantFrom(500_000, 50_000_000),
  steps: fc.array(step, { minLength: 4, maxLength: 30 }),
});
type World = typeof worlds extends fc.Arbitrary<infer Value> ? Value : never;

/** One call, and all that is known of it. */
interface Called {
  readonly step: Extract<Step, { kind: "stream" }>;
  readonly whole: Uint8Array<ArrayBuffer>;
  readonly source: Source;
  readonly startedAt: number;
  /** How often it ended: with results, or rejecting. */
  ends: number;
  results: ReadonlyMap<string, StreamResult> | undefined;
}

class Simulation {
  readonly world: StreamWorld;
  readonly calls: Called[] = [];
  /** Every socket that a connection ever had. */
  readonly sinks: Map<string, (FakeSink | FakeSdk)[]> = new Map();
  readonly dead: Set<number> = new Set();

  constructor(world: StreamWorld) {
    this.world = world;
    for (const id of [...PLAIN, ...SDK]) this.connect(id);
  }

  get alive(): SimClusterNode[] {
    return [0, 1, 2].filter((index) => !this.dead.has(index)).map((index) => this.world.node(index));
  }

  /** The node of a connection says so itself: `p1` is on the second one. */
  home(id: string): SimClusterNode {
    return this.world.node(Number(id.slice(1)));
  }

  connect(id: string): void {
    const sink = id.startsWith("s") ? this.home(id).connectSdk(id) : this.home(id).connect(id);
    this.sinks.set(id, [...this.sinks.get(id) ?? [], sink]);
  }

  sink(id: string): FakeSink | FakeSdk {
    return this.sinks.get(id)?.at(-1) as FakeSink;
  }

  async apply(step: Step): Promise<void> {
    const { sim } = this.world;
    const at = "id" in step ? Number(step.id.slice(1)) : -1;
    if (this.dead.has(at)) return;
    switch (step.kind) {
      case "stream":
        return this.#stream(step);
      case "rate":
        this.sink(step.id).bytesPerMs = step.rate;
        return;
      case "reading":
        (this.sink(step.id) as FakeSdk).reading = step.reading;
        return;
      case "cancel": {
        const sdk = this.sink(step.id) as FakeSdk;
        const stream = sdk.streams.find(({ end, aborted }) => end === undefined && aborted === undefined);
        if (stream !== undefined) sdk.cancel(stream, "no more");
        return;
      }
      case "close":
        this.sink(step.id).cut();
        this.home(step.id).cluster.unregisterConnection(step.id, this.sink(step.id));
        return;
      case "replace": {
        const before = this.sink(step.id);
        this.connect(step.id);
        before.cut();
        this.home(step.id).cluster.unregisterConnection(step.id, before);
        return;
      }
      case "message":
        void this.alive[0]?.cluster.routeMessage(step.id, "a message");
        return;
      case "cut": {
        if (step.a === step.b || this.dead.has(step.a) || this.dead.has(step.b)) return;
        const [a, b] = [this.world.node(step.a).cluster.nodeId, this.world.node(step.b).cluster.nodeId];
        sim.hub.cut(a, b);
        await sim.clock.advance(step.healAfterMs);
        return sim.hub.heal(a, b);
      }
      case "kill":
        // One is left at least.
        if (this.dead.has(step.node) || this.dead.size === 1) return;
        this.dead.add(step.node);
        this.world.node(step.node).clock.pause();
        return sim.hub.partition([[this.world.node(step.node).cluster.nodeId]]);
      case "pass":
        return await sim.clock.advance(step.ms);
    }
  }

  #stream(step: Extract<Step, { kind: "stream" }>): void {
    if (this.dead.has(step.from)) return;
    const { sim } = this.world;
    const whole = pattern(step.size, this.calls.length);
    const data: unknown[] = [...parts(whole, step.partBytes)];
    if (step.ending === "fails") data.push(new Error("the source broke"));
    if (step.ending === "silent") data.push(SILENCE);
    const source = new Source(data);
    const called: Called = {
      step,
      whole,
      source,
      startedAt: sim.clock.now(),
      ends: 0,
      results: undefined,
    };
    this.calls.push(called);
    const controller = new AbortController();
    const { delivery, chunkSize, timeoutMs, abortAfterMs } = step;
    if (abortAfterMs !== undefined) {
      sim.clock.timer(abortAfterMs, () => controller.abort(new Error("enough")));
    }
    this.world.node(step.from).cluster.deliverStreams(step.to, source.readable, {
      delivery,
      chunkSize,
      timeoutMs,
      signal: controller.signal,
      idleTimeoutMs: IDLE_MS,
      stallTimeoutMs: STALL_MS,
      totalBytes: step.ending === "lies" ? step.size + 1 : undefined,
      metadata: this.calls.length - 1,
    }).then((results) => {
      called.ends++;
      called.results = results;
    }, () => {
      called.ends++;
    });
  }

  /** No node holds more for its clients than it may, whatever they do. */
  checkBounds(nodeStreamBytesMax: number): void {
    for (const { cluster } of this.alive) {
      const { streams, queuedBytes } = cluster.stats();
      // An empty budget grants anything once.
      const most = Math.max(nodeStreamBytesMax, MESSAGE_BYTES_MAX + WINDOW_BYTES) + WINDOW_BYTES;
      expect(streams.reservedBytes).toBeGreaterThanOrEqual(0);
      expect(streams.reservedBytes).toBeLessThanOrEqual(most);
      // Two clients a node, each with a message at most and what streams may have beside it.
      expect(queuedBytes).toBeLessThanOrEqual(2 * (MESSAGE_BYTES_MAX + 600_000));
    }
  }
}

describe("streams, whatever happens", () => {
  test(
    "arrive in order and equal as far as they come, end once and honestly, and leave nothing behind",
    async () => {
      const seed = firstSeed(20_270_119);
      const numRuns = scale(40, 3_000);
      await fc.assert(fc.asyncProperty(worlds, check), { numRuns, seed });
      report("stream model", { seed, worlds: numRuns });
    },
    scale(60_000, 3_600_000),
  );
});

async function check({ seed, faults, nodeStreamBytesMax, steps }: World): Promise<void> {
  const streamWorld = await StreamWorld.of(NODES, {
    seed,
    hub: faults === undefined ? {} : { faults },
    messageBytesMax: MESSAGE_BYTES_MAX,
    streamWindowBytes: WINDOW_BYTES,
    nodeStreamBytesMax,
    peerTimeoutMs: 3_000,
    slowConsumer: "drop",
  });
  const simulation = new Simulation(streamWorld);
  await streamWorld.ready();
  for (const step of steps) {
    await simulation.apply(step);
    simulation.checkBounds(nodeStreamBytesMax);
  }
  // What stands still ends now; then everybody reads again, so that outboxes empty.
  await streamWorld.sim.clock.advance(10_000);
  for (const sinks of simulation.sinks.values()) for (const sink of sinks) sink.bytesPerMs = Infinity;
  await streamWorld.sim.clock.advance(3_000);
  for (const [number, called] of simulation.calls.entries()) {
    if (simulation.dead.has(called.step.from)) continue;
    expect({ number, ends: called.ends }).toEqual({ number, ends: 1 });
    expect({ number, over: called.source.ended || called.source.cancelled !== undefined }).toEqual({
      number,
      over: true,
    });
    checkResults(simulation, number, called);
  }
  for (const id of SDK) {
    for (const sink of simulation.sinks.get(id) ?? []) checkSdk(simulation, sink as FakeSdk);
  }
  for (const { cluster } of simulation.alive) {
    expect(Object.values(cluster.stats().streams)).toEqual([0, 0, 0, 0, 0]);
    expect(cluster.stats().queuedBytes).toBe(0);
  }
}

function checkResults(simulation: Simulation, number: number, { step, whole, results }: Called): void {
  if (step.ending === "fails" || step.ending === "lies") {
    // It rejects, unless it was over before the source came to that.
    for (const { outcome } of results?.values() ?? []) {
      expect(["delivered", "acknowledged"].includes(outcome)).toBe(false);
    }
    return;
  }
  expect([...results?.keys() ?? []]).toEqual([...step.to]);
  for (const [id, { outcome, bytes, ms }] of results ?? []) {
    const what = { number, id, outcome };
    expect(ms).toBeLessThanOrEqual(10_000);
    if (id === "nobody") expect(["not-found", "timeout"].includes(outcome)).toBe(true);
    const arrived = outcome === "delivered" || outcome === "acknowledged";
    if (step.ending === "silent") expect({ ...what, arrived }).toEqual({ ...what, arrived: false });
    if (!arrived) continue;
    expect({ ...what, bytes }).toEqual({ ...what, bytes: whole.byteLength });
    expect({ ...what, got: got(simulation, id, number, step, whole) }).toEqual({ ...what, got: true });
  }
}

/** Whether some socket of `id` got all of it, in the way it was to be delivered. */
function got(
  simulation: Simulation,
  id: string,
  number: number,
  { delivery }: Extract<Step, { kind: "stream" }>,
  whole: Uint8Array<ArrayBuffer>,
): boolean {
  return (simulation.sinks.get(id) ?? []).some((sink) => {
    const isSdk = "messages" in sink;
    if (isSdk && (delivery === undefined || delivery === "framed")) {
      return sink.streams.some((stream) =>
        stream.head.metadata === number && stream.verified && equal(bytesOf(stream), whole)
      );
    }
    const binary = (isSdk ? sink.messages : sink.received).filter((data) => typeof data !== "string");
    if (delivery !== "chunks") return binary.some((data) => equal(data, whole));
    // Others may have come between its chunks: what is left of them in order must be there.
    return contains(binary, whole);
  });
}

/** Whether the messages, some left out, are `whole` in a row. */
function contains(messages: readonly Uint8Array[], whole: Uint8Array): boolean {
  let at = 0;
  for (const message of messages) {
    if (at < whole.byteLength && equal(message, whole.subarray(at, at + message.byteLength))) {
      at += message.byteLength;
    }
  }
  return at === whole.byteLength;
}

/** Whatever an SDK client has of a stream is its beginning, and every stream has an end of some kind. */
function checkSdk(simulation: Simulation, sdk: FakeSdk): void {
  for (const stream of sdk.streams) {
    const called = simulation.calls[stream.head.metadata as number] as Called;
    const bytes = bytesOf(stream);
    expect(equal(bytes, called.whole.subarray(0, bytes.byteLength))).toBe(true);
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index]);
}
