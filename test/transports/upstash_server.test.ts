/** `examples/upstash_server.ts`, spoken to by the official client and by hand. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startUpstashServer } from "../../examples/upstash_server.ts";
import type { Listener } from "../../mod.ts";
import { loadUpstash } from "../../src/lib/upstash.ts";
import { demandRedis, type Redis, withoutBrokers } from "../support/redis.ts";
import { until } from "../support/until.ts";

const START_MS = 60_000;

test("without Redis the server does not start, and says so", async () => {
  const redis = "redis://127.0.0.1:1";
  await expect(startUpstashServer({ port: 0, redis, token: "T" })).rejects.toThrow("ECONNREFUSED");
});

describe.skipIf(withoutBrokers)("the server of Redis over HTTP", () => {
  let redis: Redis;
  let server: Listener;
  beforeAll(async () => {
    redis = await demandRedis();
    server = await startUpstashServer({ port: 0, redis: redis.url, token: "T" });
  }, START_MS);
  afterAll(async () => {
    await server?.close();
    await redis?.[Symbol.asyncDispose]();
  });

  const post = async (path: string, body: string, token = "T"): Promise<[number, unknown]> => {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(server.url + path, { method: "POST", headers, body });
    return [response.status, await response.json()];
  };

  test("serves commands, pipelines and transactions to the official client", async () => {
    const { Redis: Client } = await loadUpstash();
    const client = new Client({ url: server.url, token: "T", enableTelemetry: false });
    expect(await client.set("key", { deep: ["ä", 1] })).toBe("OK");
    expect(await client.get("key")).toEqual({ deep: ["ä", 1] });
    expect(await client.get("none")).toBeNull();
    expect(await client.pipeline().incr("count").incr("count").lrange("list", 0, -1).exec()).toEqual([
      1,
      2,
      [],
    ]);
    expect(await client.multi().incr("count").get("key").exec()).toEqual([3, { deep: ["ä", 1] }]);
    expect(await client.lpush("key", 1).then(() => "done", (error) => String(error))).toContain("WRONGTYPE");
  });

  test("streams what is published to whoever subscribes", async () => {
    const { Redis: Client } = await loadUpstash();
    const client = new Client({ url: server.url, token: "T", enableTelemetry: false });
    const subscriber = client.subscribe<string>("odd/name with blanks");
    const heard: string[] = [];
    subscriber.on("message", ({ message }) => void heard.push(message));
    await until("a message is heard", async () => {
      await client.publish("odd/name with blanks", "hello");
      return heard.length > 0;
    });
    expect(heard[0]).toBe("hello");
    await subscriber.unsubscribe();
  });

  test.each([
    ["a wrong token", "/", '["PING"]', "wrong", 401, { error: "Unauthorized" }],
    ["an unknown command", "/", '["NONSENSE"]', "T", 400, undefined],
    ["a body that is no command", "/", '{"a":1}', "T", 400, undefined],
    ["a body that is no JSON", "/pipeline", "[[", "T", 400, undefined],
    ["another path", "/nowhere", "[]", "T", 404, undefined],
  ])("refuses %s", async (_what, path, body, token, status, answer) => {
    const [got, json] = await post(path, body, token);
    expect([got, typeof (json as { error: unknown }).error]).toEqual([status, "string"]);
    if (answer !== undefined) expect(json).toEqual(answer);
  });

  test("answers each command of a pipeline for itself", async () => {
    expect(await post("/pipeline", '[["SET","a","1"],["INCR","a"],["NONSENSE"]]')).toMatchObject([
      200,
      [{ result: "OK" }, { result: 2 }, { error: expect.stringContaining("NONSENSE") }],
    ]);
  });
});
