/** Two nodes of different versions of the links' protocol, over real brokers: each says that it cannot talk to the other. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { PROTOCOL_VERSION } from "../../src/link/packet.ts";
import { startBrokers, WAYS } from "../support/broker_ways.ts";
import { emptyFolder, type Folder, shareNodeModules } from "../support/getting.ts";
import { withoutBrokers } from "../support/redis.ts";
import { ROOT } from "../support/runtimes.ts";
import { until } from "../support/until.ts";
import { BrokerNode, flagsOf } from "./broker_nodes.ts";

const START_MS = 120_000;
const PATIENCE_MS = 60_000;
const NEXT_VERSION = PROTOCOL_VERSION + 1;
const SOURCES = ["src", "transports", "examples", "mod.ts", "package.json", "deno.json"];

describe.skipIf(withoutBrokers)("two nodes of different versions", () => {
  let brokers: Awaited<ReturnType<typeof startBrokers>>;
  /** The repository as it may be some day. */
  let future: Folder;
  beforeAll(async () => {
    future = emptyFolder();
    for (const source of SOURCES) cpSync(join(ROOT, source), join(future.path, source), { recursive: true });
    shareNodeModules(future);
    const file = join(future.path, "src/link/packet.ts"), text = readFileSync(file, "utf8");
    const line = (version: number): string => `export const PROTOCOL_VERSION = ${version};`;
    expect(text).toContain(line(PROTOCOL_VERSION));
    writeFileSync(file, text.replace(line(PROTOCOL_VERSION), line(NEXT_VERSION)));
    brokers = await startBrokers();
  }, START_MS);
  afterAll(async () => {
    await brokers?.[Symbol.asyncDispose]();
    await future?.[Symbol.asyncDispose]();
  }, START_MS);

  test.each(WAYS.map((way) => [way.name, way] as const))(
    "refuse each other, count it, and name both versions in both logs: %s",
    async (_name, way) => {
      const args = [...flagsOf(way.settings(brokers.urls)), "--cluster-name", randomUUID()];
      await using old = await BrokerNode.start("node", args);
      await using young = await BrokerNode.start("bun", args, future.path);
      const sides = [[old, PROTOCOL_VERSION, NEXT_VERSION], [young, NEXT_VERSION, PROTOCOL_VERSION]] as const;
      for (const [node, ours, its] of sides) {
        const versions = `"reason":"wrong-version","itsVersion":${its},"ourVersion":${ours}`;
        await until(`the node on ${node.runtime} says so`, () => node.times(versions) > 0, 10_000);
        await until("it counts it", async () => (await node.stats()).links.refused["wrong-version"] !== 0);
        const { nodes } = await node.view();
        expect(nodes.filter(({ status }) => status === "up").length).toBe(1);
      }
    },
    PATIENCE_MS,
  );
});
