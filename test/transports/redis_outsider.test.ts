/** Somebody reads everything that passes through Redis, and may publish what he likes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { hex, utf8 } from "../../src/lib/bytes.ts";
import { sleep, systemClock } from "../../src/lib/clock.ts";
import { randomBelow, seededRandom } from "../../src/lib/random.ts";
import { loadRedis } from "../../src/lib/redis.ts";
import { BrokerCluster, clientOf } from "../support/broker_cluster.ts";
import { demandRedis, type Redis, withoutBrokers } from "../support/redis.ts";
import { until } from "../support/until.ts";

const START_MS = 60_000;
const NAMES = ["tell-tale-node-a", "tell-tale-node-b"] as const;
const CLUSTER_NAME = "tell-tale-cluster";
const SECRET = "tell-tale-secret";
const PAYLOAD = "tell-tale-payload";

interface Recorded {
  readonly channel: string;
  readonly message: Buffer;
}

/** Reads all that is published, and every command, as an administrator of the Redis can. */
async function spyOn(url: string) {
  const { createClient } = await loadRedis();
  const subscriber = createClient({ url }),
    monitor = createClient({ url }),
    publisher = createClient({ url });
  for (const client of [subscriber, monitor, publisher]) await client.connect();
  const published: Recorded[] = [];
  let commands = "";
  await subscriber.pSubscribe(
    "*",
    (message, channel) => void published.push({ channel: channel.toString(), message }),
    true,
  );
  await monitor.monitor((line) => void (commands += `${line}\n`));
  return {
    published,
    commands: () => commands,
    publish: async ({ channel, message }: Recorded) => void await publisher.publish(channel, message),
    [Symbol.dispose]: () => [subscriber, monitor, publisher].forEach((client) => client.destroy()),
  };
}

describe.skipIf(withoutBrokers)("an outsider at the Redis of a cluster", () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await demandRedis();
  }, START_MS);
  afterAll(async () => {
    await redis?.[Symbol.asyncDispose]();
  });

  const start = async (cluster: BrokerCluster, secret = SECRET): Promise<void> => {
    for (const nodeId of NAMES) {
      await cluster.add(nodeId, {
        transportType: "redis",
        redisConnectionString: redis.url,
        clusterName: CLUSTER_NAME,
        secret,
        raft: true,
        bootstrapExpect: NAMES.length,
      });
    }
    await cluster.whole();
  };

  test("reads no payload, no id, no name and no secret", async () => {
    using spy = await spyOn(redis.url);
    await using cluster = new BrokerCluster();
    await start(cluster);
    cluster.talk();
    await cluster.more(20);
    const [{ cluster: a }, { cluster: b }] = cluster.nodes as [
      typeof cluster.nodes[0],
      typeof cluster.nodes[0],
    ];
    expect(await a.routeMessage(clientOf(b.nodeId), `${a.nodeId}|0 ${PAYLOAD}`)).toBe(true);
    await until("a leader", () => a.leaderId !== null && b.leaderId !== null, 10_000);
    await b.state.set("tell-tale-key", utf8("tell-tale-value"));
    await cluster.verdict();
    expect(spy.published.length).toBeGreaterThan(100);
    const forms = (text: string): string[] => [text, hex(utf8(text)), btoa(text).slice(0, -4)];
    const read = [
      spy.commands(),
      ...spy.published.flatMap(({ channel, message }) => [channel, message.toString("latin1")]),
    ].join("\n");
    const told = [
      "tell-tale",
      "client of",
      CLUSTER_NAME,
      SECRET,
      PAYLOAD,
      a.view().incarnation,
      b.view().incarnation,
    ]
      .filter((text) => forms(text).some((form) => read.includes(form)));
    expect(told).toEqual([]);
    // Two channels of nodes and one for discovery, all of one form.
    const channels = [...new Set(spy.published.map(({ channel }) => channel))];
    expect(channels.filter((channel) => !/^flotilla:[0-9a-f]{32}$/.test(channel))).toEqual([]);
    expect(channels.length).toBe(3);
  }, START_MS);

  test("repeats, shuffles, alters and makes up packets without any effect", async () => {
    using spy = await spyOn(redis.url);
    await using cluster = new BrokerCluster();
    await start(cluster);
    cluster.talk();
    await cluster.more(50);
    const random = seededRandom(11);
    const recorded = spy.published.slice(0, 2_000);
    const stats = () => cluster.nodes.map(({ cluster }) => cluster.stats().links.sessionsEnded);
    for (let count = 0; count < 3_000; count++) {
      const { channel, message } = recorded[randomBelow(random, recorded.length)] as Recorded;
      const other = recorded[randomBelow(random, recorded.length)] as Recorded;
      const altered = Buffer.from(message);
      switch (count % 4) {
        case 0:
          break;
        case 1: {
          const at = randomBelow(random, altered.length);
          altered[at] = (altered[at] as number) ^ (1 << randomBelow(random, 8));
          break;
        }
        case 2:
          // Behind a known sender's header.
          altered.set(random.bytes(Math.max(0, altered.length - 17)), 17);
          break;
        default:
          await spy.publish({ channel: other.channel, message });
      }
      await spy.publish({ channel, message: altered });
      if (count % 100 === 0) await sleep(systemClock, 10);
    }
    await cluster.more(50);
    expect(cluster.isWhole()).toBe(true);
    const { wrong, other } = await cluster.verdict();
    expect([wrong, other]).toEqual([[], 0]);
    expect(stats()).toEqual([0, 0]);
    const dropped = cluster.nodes.map(({ cluster }) => cluster.stats().links.dropped);
    expect(
      dropped.every(({ replayed, malformed, unsealed }) => replayed > 99 && malformed > 99 && unsealed > 9),
    )
      .toBe(true);
  }, START_MS);

  test("sees two clusters that never meet: other names, or other secrets", async () => {
    await using one = new BrokerCluster();
    await using two = new BrokerCluster();
    await start(one);
    await start(two, "another secret");
    for (const cluster of [one, two]) cluster.talk();
    await Promise.all([one.more(30), two.more(30)]);
    for (const cluster of [one, two]) {
      const { wrong, other } = await cluster.verdict();
      expect([wrong, other]).toEqual([[], 0]);
      for (const { cluster: node } of cluster.nodes) {
        expect(node.stats().links.refused).toEqual({
          "wrong-secret": 0,
          "wrong-cluster": 0,
          "wrong-version": 0,
          "id-in-use": 0,
        });
        // A sender that is not known yet may be one of its own, whose packet overtook its introduction.
        expect(node.stats().links.transport).toMatchObject({ forged: 0, "own-id": 0 });
      }
    }
  }, START_MS);
});
