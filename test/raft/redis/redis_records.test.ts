import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { loadRedis } from "../../../src/lib/redis.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { RedisRecords } from "../../../src/raft/redis_records.ts";
import { demandRedis, type Redis, withoutBrokers } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

const CLUSTER = "00000000000000aa";
const START_MS = 60_000;

/** Says what was logged as a warning. */
function recordsAt(url: string, name = "test", warnings: string[] = []): RedisRecords {
  const logger = {
    debug() {},
    info() {},
    warn: (message: string) => void warnings.push(message),
    error() {},
  };
  return new RedisRecords({ url, clusterName: name, secret: "s", clock: systemClock, logger });
}

/** The answer, as soon as there is a connection. */
async function insist<Value>(ask: () => Promise<Value>): Promise<Value> {
  const found: Value[] = [];
  await until("Redis answers", async () => {
    const answer = await ask().then((value) => ({ value }), () => undefined);
    if (answer !== undefined) found.push(answer.value);
    return answer !== undefined;
  }, 10_000);
  return found[0] as Value;
}

describe.skipIf(withoutBrokers)("records in Redis", () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await demandRedis();
  }, START_MS);
  afterAll(async () => {
    await redis?.[Symbol.asyncDispose]();
  });

  const raw = async (command: string[]): Promise<unknown> => {
    const { createClient } = await loadRedis();
    const client = createClient({ url: redis.url });
    await client.connect();
    const answer = await client.sendCommand(command);
    await client.close();
    return answer;
  };

  test("are made once and changed by whoever knows what is there", async () => {
    const records = recordsAt(redis.url);
    expect(await insist(() => records.create(CLUSTER, 1, "1 0 0 0"))).toBe(true);
    expect(await records.create(CLUSTER, 1, "9 9 9 9")).toBe(false);
    expect(await records.read(CLUSTER, 1)).toBe("1 0 0 0");
    expect(await records.swap(CLUSTER, 1, "1 0 0 0", "2 7 1 1")).toBe("2 7 1 1");
    expect(await records.swap(CLUSTER, 1, "1 0 0 0", "3 8 1 1")).toBe("2 7 1 1");
    expect(await records.swap(CLUSTER, 1, "2 7 1 1", "2 7 1 1")).toBe("2 7 1 1");
    expect(await records.read(CLUSTER, 2)).toBeUndefined();
    records.close();
    const refused = await records.read(CLUSTER, 1).then(() => "answered", (error) => error.code);
    expect(refused).toBe("not-running");
  }, START_MS);

  test("of two who change one at the same time one learns what the other made of it", async () => {
    const [one, two] = [recordsAt(redis.url), recordsAt(redis.url)];
    await insist(() => two.read(CLUSTER, 3));
    await insist(() => one.create(CLUSTER, 3, "0 0 0 0"));
    let known = "0 0 0 0";
    for (let term = 1; term <= 200; term++) {
      const found = await Promise.all(
        [one, two].map((records, index) => records.swap(CLUSTER, 3, known, `${term} ${index + 1} 0 0`)),
      );
      expect(found[0]).toBe(found[1] as string);
      known = found[0] as string;
    }
    one.close();
    two.close();
  }, START_MS);

  test("of clusters with other names or secrets are others, and their names tell nothing", async () => {
    const [one, two] = [recordsAt(redis.url, "one"), recordsAt(redis.url, "two")];
    await insist(() => two.read(CLUSTER, 4));
    await insist(() => one.create(CLUSTER, 4, "1 0 0 0"));
    expect(await two.read(CLUSTER, 4)).toBeUndefined();
    for (const key of await raw(["KEYS", "*"]) as string[]) expect(key).toMatch(/^flotilla:[0-9a-f]{32}$/);
    one.close();
    two.close();
  }, START_MS);

  test("that are flushed or deleted are gone, and stay so for their raftId", async () => {
    const records = recordsAt(redis.url);
    await insist(() => records.create(CLUSTER, 5, "1 0 0 0"));
    await insist(() => records.create(CLUSTER, 6, "1 0 0 0"));
    await records.remove(CLUSTER, 6);
    expect(await records.read(CLUSTER, 6)).toBeUndefined();
    await raw(["FLUSHALL"]);
    expect(await records.swap(CLUSTER, 5, "1 0 0 0", "2 0 0 0")).toBeUndefined();
    expect(await records.read(CLUSTER, 5)).toBeUndefined();
    records.close();
  }, START_MS);

  test(
    "made in another run of Redis count as forgotten, also when a dump has brought them back",
    async () => {
      const records = recordsAt(redis.url);
      await insist(() => records.create(CLUSTER, 7, "1 0 0 0"));
      const [key] = await raw(["KEYS", "*"]) as [string];
      const value = await raw(["GET", key]) as string;
      await redis.restart();
      await insist(() => records.read(CLUSTER, 7));
      await raw(["SET", key, value]);
      expect(await records.read(CLUSTER, 7)).toBeUndefined();
      expect(await records.swap(CLUSTER, 7, "1 0 0 0", "2 0 0 0")).toBeUndefined();
      expect(await raw(["GET", key])).toBe(value);
      records.close();
    },
    START_MS,
  );

  test("are reached again after every loss, which is said once", async () => {
    const warnings: string[] = [];
    const records = recordsAt(redis.url, "test", warnings);
    await insist(() => records.create(CLUSTER, 8, "1 0 0 0"));
    redis.pause();
    const late = await records.read(CLUSTER, 8).then(() => "answered", (error) => error.code);
    expect(late).toBe("timeout");
    for (let round = 0; round < 5; round++) await records.read(CLUSTER, 8).catch(() => undefined);
    redis.resume();
    expect(await insist(() => records.read(CLUSTER, 8))).toBe("1 0 0 0");
    expect(warnings).toHaveLength(1);
    await redis.restart();
    expect(await insist(() => records.read(CLUSTER, 8))).toBeUndefined();
    expect(warnings.length).toBeLessThanOrEqual(2);
    records.close();
  }, START_MS);
});
