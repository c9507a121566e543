/** Somebody reads everything that passes through the brokers, and may publish what he likes. */
import { describe, expect, test } from "bun:test";
import { hex, utf8 } from "../../src/lib/bytes.ts";
import { sleep, systemClock } from "../../src/lib/clock.ts";
import { randomBelow, seededRandom } from "../../src/lib/random.ts";
import { DATA_HEADER_BYTES, PACKET } from "../../src/link/packet.ts";
import { HEADER_BYTES } from "../../transports/broker_keys.ts";
import { BrokerCluster, type BrokerNode, clientOf } from "./broker_cluster.ts";
import type { Recorded, Spy } from "./broker_spies.ts";
import type { WaySettings } from "./broker_ways.ts";
import { until } from "./until.ts";

const PATIENCE_MS = 60_000;
const NAMES = ["tell-tale-node-a", "tell-tale-node-b"] as const;
const CLUSTER_NAME = "tell-tale-cluster";
const SECRET = "tell-tale-secret";
const PAYLOAD = "tell-tale-payload";

export interface Place {
  settings(): WaySettings;
  /** At each broker of it. */
  spies(): Promise<Spy>[];
}

/** Registers what holds of a cluster over `name`. */
export function withstandsOutsiders(name: string, place: Place): void {
  const start = async (
    cluster: BrokerCluster,
    place: Place,
    names: { readonly clusterName?: string; readonly secret?: string } = {},
  ): Promise<void> => {
    for (const nodeId of NAMES) {
      const raft = { raft: true, bootstrapExpect: NAMES.length };
      await cluster.add(nodeId, {
        ...place.settings(),
        clusterName: CLUSTER_NAME,
        secret: SECRET,
        ...raft,
        ...names,
      });
    }
    await cluster.whole();
  };

  describe(`an outsider at the brokers of a cluster over ${name}`, () => {
    test("reads no payload, no id, no name and no secret", async () => {
      await using held = new AsyncDisposableStack();
      const spies = (await Promise.all(place.spies())).map((spy) => held.use(spy));
      await using cluster = new BrokerCluster();
      await start(cluster, place);
      cluster.talk();
      await cluster.more(20);
      const [{ cluster: a }, { cluster: b }] = cluster.nodes as [BrokerNode, BrokerNode];
      expect(await a.routeMessage(clientOf(b.nodeId), `${a.nodeId}|0 ${PAYLOAD}`)).toBe(true);
      await until("a leader", () => a.leaderId !== null && b.leaderId !== null, 10_000);
      await b.state.set("tell-tale-key", utf8("tell-tale-value"));
      const texts = await Promise.all(spies.map((spy) => spy.text()));
      await cluster.verdict();
      const published = spies.flatMap((spy) => spy.published);
      expect(published.length).toBeGreaterThan(100);
      expect(texts.every((text) => text.includes("flotilla"))).toBe(true);
      const forms = (text: string): string[] => [text, hex(utf8(text)), btoa(text).slice(0, -4)];
      const read = [
        ...texts,
        ...published.flatMap(({ channel, message }) => [channel, message.toString("latin1")]),
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
      const channels = [...new Set(published.map(({ channel }) => channel))];
      expect(channels.filter((channel) => !/^flotilla:[0-9a-f]{32}$/.test(channel))).toEqual([]);
      expect(channels.length).toBe(3);
    }, PATIENCE_MS);

    test("repeats, shuffles, alters and makes up packets without any effect", async () => {
      await using held = new AsyncDisposableStack();
      const spies = (await Promise.all(place.spies())).map((spy) => held.use(spy));
      await using cluster = new BrokerCluster();
      await start(cluster, place);
      cluster.talk();
      await cluster.more(50);
      const random = seededRandom(11);
      const published = () => spies.flatMap((spy) => spy.published.slice(0, 2_000));
      await until("enough is recorded", () => published().length >= 200);
      const recorded = published();
      const stats = () => cluster.nodes.map(({ cluster }) => cluster.stats().links.sessionsEnded);
      for (let count = 0; count < 3_000; count++) {
        const { spy, channel, message } = recorded[randomBelow(random, recorded.length)] as Recorded;
        const other = recorded[randomBelow(random, recorded.length)] as Recorded;
        const altered = Buffer.from(message);
        switch (count % 5) {
          case 0:
            break;
          case 1: {
            const at = randomBelow(random, altered.length);
            altered[at] = (altered[at] as number) ^ (1 << randomBelow(random, 8));
            break;
          }
          case 2:
            // Behind a known sender's header.
            altered.set(random.bytes(Math.max(0, altered.length - HEADER_BYTES)), HEADER_BYTES);
            break;
          case 3:
            // A packet that would be new, and not sealed.
            altered[HEADER_BYTES] = PACKET.plain;
            if (altered.length >= HEADER_BYTES + DATA_HEADER_BYTES) {
              altered.writeUIntBE(1_000_000 + count, HEADER_BYTES + 6, 6);
            }
            break;
          default:
            // Perhaps on the other broker.
            await other.spy.publish(other.channel, message);
        }
        await spy.publish(channel, altered);
        if (count % 100 === 0) await sleep(systemClock, 10);
      }
      // They come to the nodes in between, and after them.
      await until(
        "the nodes have dropped many of each kind",
        () =>
          cluster.nodes.map(({ cluster }) => cluster.stats().links.dropped).every((
            { replayed, malformed, unsealed },
          ) => replayed > 99 && malformed > 99 && unsealed > 99),
        10_000,
      );
      await cluster.more(50);
      expect(cluster.isWhole()).toBe(true);
      const { wrong, other } = await cluster.verdict();
      const lost = cluster.nodes.flatMap(({ said }) => said.filter((line) => line.includes("the broker")));
      expect({ wrong, other, lost }).toEqual({ wrong: [], other: 0, lost: [] });
      expect(stats()).toEqual([0, 0]);
    }, PATIENCE_MS);

    test("sees three clusters that never meet: another name, another secret", async () => {
      await using one = new BrokerCluster();
      await using two = new BrokerCluster();
      await using three = new BrokerCluster();
      const clusters = [one, two, three];
      await start(one, place);
      await start(two, place, { secret: "another secret" });
      await start(three, place, { clusterName: "another name" });
      for (const cluster of clusters) cluster.talk();
      await Promise.all(clusters.map((cluster) => cluster.more(30)));
      for (const cluster of clusters) {
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
    }, PATIENCE_MS);
  });
}
