import { afterAll, beforeAll, describe } from "bun:test";
import { startUpstashServer } from "../../examples/upstash_server.ts";
import type { Listener } from "../../mod.ts";
import { redisBroker } from "../../transports/redis.ts";
import { brokerWorld, onlyOn } from "../support/broker_worlds.ts";
import { transportConformance } from "../support/conformance.ts";
import { type SomeBroker, someRedis, withoutBrokers } from "../support/redis.ts";

const START_MS = 60_000;

describe.skipIf(withoutBrokers)("over Redis", () => {
  let redis: SomeBroker;
  let http: Listener;
  beforeAll(async () => {
    redis = await someRedis();
    http = await startUpstashServer({ port: 0, redis: redis.url, token: "T/0=" });
  }, START_MS);
  afterAll(async () => {
    await http?.close();
    await redis?.[Symbol.asyncDispose]();
  });

  const promises = { features: [], announcesStops: false } as const;
  transportConformance("redis over TCP", {
    ...promises,
    make: () => Promise.resolve(brokerWorld(onlyOn(redisBroker(redis.url)))),
  });
  transportConformance("redis over HTTP", {
    ...promises,
    make: () => {
      const url = http.url.replace("//", `//:${encodeURIComponent("T/0=")}@`);
      return Promise.resolve(brokerWorld(onlyOn(redisBroker(url))));
    },
  });
});
