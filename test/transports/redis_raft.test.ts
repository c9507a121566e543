/** A leader over Redis, where no node knows an address, in real time. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import type { ClusterOptions } from "../../src/cluster/options.ts";
import { BrokerCluster } from "../support/broker_cluster.ts";
import { type SomeBroker, someRedis, withoutBrokers } from "../support/redis.ts";
import { until } from "../support/until.ts";

const START_MS = 60_000;

describe.skipIf(withoutBrokers)("nodes over Redis agree on a leader", () => {
  let redis: SomeBroker;
  beforeAll(async () => {
    redis = await someRedis();
  }, START_MS);
  afterAll(async () => {
    await redis?.[Symbol.asyncDispose]();
  });

  const ways: [string, Partial<ClusterOptions>][] = [
    ["bootstrapExpect says how many there must be", { bootstrapExpect: 3 }],
    ["the list has their ids", { nodes: ["a", "b", "c"] }],
    ["nobody says anything: whoever comes joins the first", {}],
  ];
  test.each(ways)("where %s", async (what, options) => {
    await using cluster = new BrokerCluster();
    const settings = { transportType: "redis", redisConnectionString: redis.url, raft: true } as const;
    const clusterName = `${what} ${crypto.randomUUID()}`;
    for (const nodeId of ["a", "b", "c"]) {
      await cluster.add(nodeId, { ...settings, clusterName, ...options });
    }
    await cluster.whole();
    const one = (): boolean => {
      const leaders = new Set(cluster.nodes.map(({ cluster: { leaderId } }) => leaderId));
      const members = cluster.nodes.map(({ cluster: node }) => node.view().raft.members.length);
      return leaders.size === 1 && !leaders.has(null) && members.every((count) => count === 3);
    };
    await until("one leader of three members", one, 30_000);
    const [a, , c] = cluster.nodes;
    await a?.cluster.state.set("key", utf8("value"));
    expect((await c?.cluster.state.get("key"))?.value).toEqual(utf8("value"));
  }, START_MS);
});
