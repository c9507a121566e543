/**
 * Random calls, moves, cuts and slow clients against what the router promises: every message arrives exactly
 * once or has an honest outcome; the order of the calls holds for each caller and connection; every call is
 * answered by its deadline; and nothing is left when all is quiet.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { SlowConsumerPolicy } from "../../src/connection/outbox.ts";
import { seededRandom } from "../../src/lib/random.ts";
import type { Outcome } from "../../src/router/outcome.ts";
import { FakeSink } from "../support/fake_sink.ts";
import { firstSeed, report } from "../support/measure.ts";
import { scale } from "../support/scale.ts";
import { FakeCluster } from "./fake_cluster.ts";

const NODES = 3;
const CONNECTIONS = ["x", "y", "z"];
/** Deadlines fire in steps of a few milliseconds. */
const SLACK_MS = 5;

type Step =
  | {
    readonly kind: "send";
    readonly from: number;
    readonly to: readonly string[];
    readonly bytes: number;
    readonly timeoutMs: number;
  }
  | { readonly kind: "move"; readonly id: string; readonly to: number; readonly rate: number }
  | { readonly kind: "leave"; readonly id: string }
  | { readonly kind: "rate"; readonly id: string; readonly rate: number }
  | { readonly kind: "cut"; readonly a: number; readonly b: number; readonly laterMs: number }
  | { readonly kind: "join" }
  | { readonly kind: "pass"; readonly ms: number };

const node = fc.nat({ max: NODES - 1 });
const id = fc.constantFrom(...CONNECTIONS);
const rate = fc.constantFrom(Infinity, Infinity, 200, 20, 0);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("send" as const),
      from: node,
      to: fc.uniqueArray(id, { minLength: 1, maxLength: 3 }),
      bytes: fc.nat({ max: 600 }),
      timeoutMs: fc.constantFrom(40, 200, 1_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("move" as const), id, to: node, rate }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("leave" as const), id }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("rate" as const), id, rate }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("cut" as const),
      a: node,
      b: node,
      laterMs: fc.constantFrom(0, 30),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("join" as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(0, 1, 3, 20) }),
  },
);
const world = fc.record({
  seed: fc.nat(),
  policy: fc.constantFrom<SlowConsumerPolicy>("close", "drop", "wait", "wait"),
  laneBytes: fc.constantFrom(700, 3_000, 1_000_000),
  waitingBytesMax: fc.constantFrom(2_000, 1_000_000),
  delayMs: fc.constantFrom(0, 2, 15),
  steps: fc.array(step, { minLength: 5, maxLength: 60 }),
});
type World = typeof world extends fc.Arbitrary<infer Value> ? Value : never;

interface Sent {
  readonly number: number;
  readonly from: number;
  readonly to: string;
  readonly expiresAt: number;
  outcome: Outcome | undefined;
  answeredAt: number;
}

class Simulation {
  readonly cluster: FakeCluster;
  readonly sent: Sent[] = [];
  /** Numbers in the order of arrival, by connection. */
  readonly arrived: Map<string, number[]> = new Map(CONNECTIONS.map((id) => [id, []]));

  constructor({ seed, policy, laneBytes, waitingBytesMax, delayMs }: World) {
    this.cluster = new FakeCluster(NODES, {
      router: { waitingBytesMax },
      outbox: { slowConsumer: policy, outboxBytesMax: 1_500, sinkBytesMax: 400 },
    });
    const random = seededRandom(seed);
    this.cluster.network.laneBytes = laneBytes;
    this.cluster.network.delayMs = () => Math.floor(random.float() * (delayMs + 1));
  }

  async apply(step: Step): Promise<void> {
    const { cluster } = this;
    switch (step.kind) {
      case "send":
        return this.#send(step.from, step.to, step.bytes, step.timeoutMs);
      case "move": {
        const sink = cluster.node(step.to).connect(step.id, step.rate);
        const note = (data: unknown): void =>
          void this.arrived.get(step.id)?.push(parseInt(String(data), 10));
        // What had waited for the connection is there already.
        for (const data of sink.received) note(data);
        sink.onReceived = note;
        return;
      }
      case "leave":
        for (const node of cluster.nodes) {
          if (node.outboxes.get(step.id) !== undefined) node.disconnect(step.id);
        }
        return;
      case "rate":
        for (const sink of this.sinks(step.id)) sink.bytesPerMs = step.rate;
        return;
      case "cut": {
        const session = cluster.node(step.a).links.session(cluster.node(step.b).nodeId);
        if (session !== undefined) cluster.network.end(session, "timeout", step.laterMs);
        return;
      }
      case "join":
        return cluster.network.joinAll();
      case "pass":
        return await cluster.clock.advance(step.ms);
    }
  }

  sinks(id: string): FakeSink[] {
    return this.cluster.nodes.map((node) => node.outboxes.get(id)?.sink).filter((sink) =>
      sink instanceof FakeSink
    );
  }

  #send(from: number, to: readonly string[], bytes: number, timeoutMs: number): void {
    const number = this.sent.length;
    const expiresAt = this.cluster.clock.now() + timeoutMs;
    const entries = to.map((id): Sent => ({
      number,
      from,
      to: id,
      expiresAt,
      outcome: undefined,
      answeredAt: 0,
    }));
    this.sent.push(...entries);
    const data = `${number} `.padEnd(bytes, "x");
    void this.cluster.node(from).router.deliver(to, data, { timeoutMs }).then((outcomes) => {
      for (const entry of entries) {
        entry.outcome = outcomes.get(entry.to);
        entry.answeredAt = this.cluster.clock.now();
      }
    });
  }
}

describe("the router, whatever happens", () => {
  test(
    "delivers exactly once or says what it knows, in order, in time, and leaves nothing behind",
    async () => {
      const seed = firstSeed(20_261_122);
      const numRuns = scale(300, 5_000);
      await fc.assert(fc.asyncProperty(world, check), { numRuns, seed });
      report("router model", { seed, worlds: numRuns });
    },
    scale(20_000, 600_000),
  );
});

async function check(world: World): Promise<void> {
  const simulation = new Simulation(world);
  const { cluster, sent, arrived } = simulation;
  for (const [index, id] of CONNECTIONS.entries()) {
    await simulation.apply({ kind: "move", id, to: index, rate: Infinity });
  }
  await cluster.clock.advance(50);
  for (const step of world.steps) await simulation.apply(step);
  await cluster.clock.advance(1_000 + SLACK_MS);
  for (const entry of sent) {
    expect(entry.outcome).not.toBe(undefined);
    expect(entry.answeredAt).toBeLessThanOrEqual(entry.expiresAt + SLACK_MS);
  }
  // With every client reading again nothing may be left.
  for (const id of CONNECTIONS) await simulation.apply({ kind: "rate", id, rate: Infinity });
  await cluster.clock.advance(1_000);
  expect(cluster.network.faults).toEqual([]);
  expect(cluster.idle).toBe(true);
  for (const { outboxes } of cluster.nodes) expect(outboxes.counters.queuedBytes).toBe(0);

  for (const id of CONNECTIONS) {
    const numbers = arrived.get(id) ?? [];
    const times = new Map<number, number>();
    for (const number of numbers) times.set(number, (times.get(number) ?? 0) + 1);
    const known = new Map(sent.filter(({ to }) => to === id).map((entry) => [entry.number, entry]));
    for (const { number, outcome } of known.values()) {
      const count = times.get(number) ?? 0;
      if (outcome === "delivered") expect({ number, outcome, count }).toEqual({ number, outcome, count: 1 });
      else if (outcome === "timeout" || outcome === "node-lost") expect(count).toBeLessThanOrEqual(1);
      else expect({ number, outcome, count }).toEqual({ number, outcome, count: 0 });
    }
    for (let from = 0; from < NODES; from++) {
      const own = numbers.filter((number) => {
        const entry = known.get(number);
        return entry?.from === from && entry.outcome === "delivered";
      });
      expect(own).toEqual([...own].sort((a, b) => a - b));
    }
  }
  // And everybody reaches everybody again.
  cluster.network.joinAll();
  for (const [index, id] of CONNECTIONS.entries()) {
    await simulation.apply({ kind: "move", id, to: index, rate: Infinity });
  }
  await cluster.clock.advance(100);
  const calls = cluster.nodes.map(({ router }) => router.deliver(CONNECTIONS, "0"));
  for (const outcomes of await cluster.run(Promise.all(calls))) {
    expect([...outcomes.values()]).toEqual(["delivered", "delivered", "delivered"]);
  }
  for (const { router } of cluster.nodes) router.stop();
}
