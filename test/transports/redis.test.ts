import { afterAll, beforeAll, describe } from "bun:test";
import { silentLogger } from "../../src/lib/logger.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { redisTransport } from "../../transports/redis.ts";
import { transportConformance } from "../support/conformance.ts";
import { demandRedis, type Redis, withoutBrokers } from "../support/redis.ts";
import { until } from "../support/until.ts";

const START_MS = 60_000;

describe.skipIf(withoutBrokers)("over Redis", () => {
  let redis: Redis;
  let worlds = 0;
  beforeAll(async () => {
    redis = await demandRedis();
  }, START_MS);
  afterAll(async () => {
    await redis?.[Symbol.asyncDispose]();
  });

  transportConformance("redis over TCP", {
    features: [],
    announcesStops: false,
    make() {
      const options = {
        url: redis.url,
        clusterName: `world ${worlds++}`,
        secret: "known to all",
        allowInsecure: false,
      };
      const context = { clock: systemClock, random: systemRandom, logger: silentLogger };
      return Promise.resolve({
        clock: systemClock,
        transport: (nodeId) => Promise.resolve(redisTransport(options, { ...context, nodeId })),
        until: (what, condition) => until(what, condition, 4_000),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      });
    },
  });
});
