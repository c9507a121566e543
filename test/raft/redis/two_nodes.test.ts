/** Two nodes whose witness is a record in a real Redis, in real time. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { every, systemClock, type Timer } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/logger.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { loadRedis } from "../../../src/lib/redis.ts";
import { ClusterLinks } from "../../../src/link/links.ts";
import { RaftNode } from "../../../src/raft/raft_node.ts";
import { RedisRecords } from "../../../src/raft/redis_records.ts";
import { MemoryRaftStorage } from "../../../src/raft/storage.ts";
import { MemoryHub } from "../../../transports/memory.ts";
import { demandRedis, type Redis, withoutBrokers } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

const PATIENCE_MS = 80_000;
const NODES = ["a", "b"];
/** A minute of the defaults' 500 ms, scaled to elections of 150 ms, would be 18 s: what happens happens in the first. */
const APART_MS = 2_000;

class Pair implements AsyncDisposable {
  readonly hub: MemoryHub = new MemoryHub({ clock: systemClock, random: systemRandom });
  readonly nodes: RaftNode[] = [];
  readonly #links: ClusterLinks[] = [];
  readonly #leaders = new Map<number, Set<string>>();
  #watch: Timer | undefined;

  static async start(url: string): Promise<Pair> {
    const pair = new Pair();
    const common = { clock: systemClock, random: systemRandom, logger: silentLogger };
    for (const nodeId of NODES) {
      const options = { clusterName: "test", secret: "s" };
      const links = new ClusterLinks(pair.hub.transport(nodeId), options, { nodeId, ...common });
      const node = new RaftNode({
        links,
        ...common,
        options: { electionTimeoutMs: 150, heartbeatMs: 30 },
        openStorage: () => new MemoryRaftStorage(systemRandom),
        expected: () => ({ kind: "list", nodeIds: NODES, unresolved: [] }),
        openRecords: () => new RedisRecords({ url, ...options, clock: systemClock, logger: silentLogger }),
      });
      pair.nodes.push(node);
      pair.#links.push(links);
      await node.start();
      await links.start();
      node.events.on("leaderchange", () => pair.#look());
    }
    pair.#watch = every(systemClock, 2, () => pair.#look());
    return pair;
  }

  /** Terms that had two leaders. */
  get faults(): string[] {
    return [...this.#leaders].filter(([, who]) => who.size > 1).map(([term, who]) => `${term}: ${[...who]}`);
  }

  #look(): void {
    for (const { isLeader, term, nodeId } of this.nodes) {
      if (!isLeader) continue;
      const who = this.#leaders.get(term) ?? new Set();
      this.#leaders.set(term, who.add(nodeId));
    }
  }

  /** The nodes that take a write now. */
  async writable(): Promise<string[]> {
    const answers = await Promise.all(
      this.nodes.map((node) =>
        node.map.set("k", node.nodeId, { timeoutMs: 800 }).then(() => [node.nodeId], () => [])
      ),
    );
    return answers.flat();
  }

  /** Cuts them apart until it ends; who takes writes then. */
  async apart(): Promise<string[]> {
    this.hub.partition(NODES.map((nodeId) => [nodeId]));
    const end = systemClock.now() + APART_MS;
    let found: string[] = [];
    while (systemClock.now() < end) found = await this.writable();
    return found;
  }

  async together(): Promise<void> {
    this.hub.heal();
    await until("both take writes", async () => (await this.writable()).length === 2, 20_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch?.cancel();
    for (const links of this.#links) await links.stop();
    for (const node of this.nodes) node.stop();
  }
}

describe.skipIf(withoutBrokers)("two nodes with a witness in Redis", () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await demandRedis();
  }, PATIENCE_MS);
  afterAll(async () => {
    await redis?.[Symbol.asyncDispose]();
  });

  const ask = async (command: string[]): Promise<unknown> => {
    const { createClient } = await loadRedis();
    const client = createClient({ url: redis.url });
    client.on("error", () => undefined);
    await client.connect();
    const answer = await client.sendCommand(command);
    await client.close();
    return answer;
  };

  /** The record follows the log, so that it is a member. */
  const followed = async (pair: Pair): Promise<void> => {
    const values = async (): Promise<string> => {
      const keys = await ask(["KEYS", "flotilla:*"]) as string[];
      return keys.length === 0 ? "" : JSON.stringify(await ask(["MGET", ...keys]));
    };
    let rounds = 0;
    await until("the record follows the log", async () => {
      const before = await values();
      await pair.writable();
      if (before !== "" && await values() !== before) rounds++;
      return rounds >= 10;
    }, 20_000);
  };

  /** One goes on alone when they are cut apart, as soon as the record has its vote. */
  const witnessed = async (pair: Pair): Promise<void> => {
    await until("one goes on alone", async () => {
      await followed(pair);
      const found = await pair.apart();
      expect(found.length).toBeLessThan(2);
      await pair.together();
      return found.length === 1;
    }, 30_000);
  };

  test("cut apart go on on one side, and never on two", async () => {
    await using pair = await Pair.start(redis.url);
    await pair.together();
    await witnessed(pair);
    redis.pause();
    expect(await pair.apart()).toEqual([]);
    redis.resume();
    await pair.together();
    expect(pair.faults).toEqual([]);
  }, PATIENCE_MS);

  test.each([
    ["flushed", async () => void await ask(["FLUSHALL"])],
    ["restarted", async () => await redis.restart()],
  ])("get no vote from one that was %s, until they have replaced it together", async (_, spoil) => {
    await using pair = await Pair.start(redis.url);
    await pair.together();
    await witnessed(pair);
    pair.hub.partition(NODES.map((nodeId) => [nodeId]));
    await spoil();
    expect(await pair.apart()).toEqual([]);
    await pair.together();
    await witnessed(pair);
    expect(pair.faults).toEqual([]);
  }, PATIENCE_MS);
});
