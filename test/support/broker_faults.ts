/** What a cluster must survive that has only brokers to be one by, whatever the brokers. */
import { describe, expect, test } from "bun:test";
import type { ClusterOptions } from "../../src/cluster/options.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { BrokerCluster } from "./broker_cluster.ts";
import { report } from "./measure.ts";
import { scale } from "./scale.ts";
import { until } from "./until.ts";

const ROUNDS = scale(1, 10);
const ROUND_MS = 60_000;
const BEFORE = 50;
const AFTER = 50;
/** A node says when it has lost its broker and when it has it again, for each of two; it does not go on about it. */
const LINES_MAX = 6;

export interface Fault {
  /** After "a cluster whose broker ...". */
  readonly what: string;
  /** Resolves when the broker is as it was, as far as it can be. */
  readonly harm: () => Promise<void>;
}

type BrokerSettings = Omit<ClusterOptions, "nodeId">;

/** Registers a test for each fault, over the brokers that `settings` names when they are up. */
export function survivesFaults(name: string, settings: () => BrokerSettings, faults: readonly Fault[]): void {
  describe(`a cluster over ${name}`, () => {
    for (const { what, harm } of faults) {
      test(
        `whose broker ${what} is whole again by itself; what it called delivered arrived once and in order`,
        async () => {
          for (let round = 0; round < ROUNDS; round++) await survive(`${name}: ${what}`, settings(), harm);
        },
        ROUND_MS * ROUNDS,
      );
    }
  });
}

async function survive(what: string, settings: BrokerSettings, harm: () => Promise<void>): Promise<void> {
  await using cluster = new BrokerCluster();
  for (const nodeId of ["a", "b", "c"]) await cluster.add(nodeId, settings);
  await cluster.whole();
  cluster.talk();
  await cluster.stream();
  await cluster.more(BEFORE);
  await harm();
  const from = systemClock.now();
  await cluster.more(AFTER);
  await cluster.whole();
  const wholeMs = Math.round(systemClock.now() - from);
  const { wrong, delivered, other, stream } = await cluster.verdict();
  report(what, { delivered, other, wholeMs, streamEnded: stream ?? "" });
  expect(wrong).toEqual([]);
  expect(delivered).toBeGreaterThan(BEFORE);
  expect(["delivered", "node-lost", "timeout"]).toContain(stream ?? "no outcome");
  for (const { said } of cluster.nodes) {
    expect(said.filter((line) => line.includes("the broker")).length).toBeLessThanOrEqual(LINES_MAX);
    expect(said.join().length).toBeLessThan(4_000);
  }
}

/** Registers a test in the middle of whose election `harm` befalls the broker. */
export function survivesElections(name: string, settings: () => BrokerSettings, { what, harm }: Fault): void {
  test(`a cluster over ${name} in the middle of whose election the broker ${what} goes on`, async () => {
    for (let round = 0; round < ROUNDS; round++) await elect(settings(), harm);
  }, ROUND_MS * ROUNDS);
}

async function elect(settings: BrokerSettings, harm: () => Promise<void>): Promise<void> {
  await using cluster = new BrokerCluster();
  for (const nodeId of ["a", "b", "c"]) {
    await cluster.add(nodeId, { ...settings, raft: true, bootstrapExpect: 3 });
  }
  await cluster.whole();
  const leader = () => cluster.nodes.find(({ cluster: node }) => node.view().role === "leader")?.cluster;
  await until("a leader", () => leader() !== undefined, 20_000);
  await leader()?.state.set("key", Uint8Array.of(1));
  await leader()?.shutdown({ force: true });
  await harm();
  const living = cluster.nodes.filter(({ cluster: node }) => node.running);
  await until(
    "another leader",
    () => living.some(({ cluster: node }) => node.view().role === "leader"),
    20_000,
  );
  expect((await living[0]?.cluster.state.get("key"))?.value).toEqual(Uint8Array.of(1));
}
