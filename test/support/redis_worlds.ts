/** Ways to one Redis, as tests use them: over its own protocol, and over HTTP. */
import { hex } from "../../src/lib/bytes.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/logger.ts";
import { seededRandom, systemRandom } from "../../src/lib/random.ts";
import { loadRedis } from "../../src/lib/redis.ts";
import { redisTransport } from "../../transports/redis.ts";
import { type World } from "./conformance.ts";
import { until } from "./until.ts";

let worlds = 0;

/** A cluster of its own on the Redis at `transportUrl`; `redisUrl` is the same one, for an outsider's hands. */
export function redisWorld(transportUrl: string, redisUrl: string): World {
  const options = {
    url: transportUrl,
    clusterName: `world ${worlds++}`,
    secret: "known to all",
    allowInsecure: false,
  };
  const context = { clock: systemClock, random: systemRandom, logger: silentLogger };
  return {
    clock: systemClock,
    transport: (nodeId) => Promise.resolve(redisTransport(options, { ...context, nodeId })),
    until: (what, condition) => until(what, condition, 10_000),
    harass: () => harass(redisUrl),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Nonsense on every channel: of every kind and length, and as if it came from those who listen there. */
async function harass(url: string): Promise<void> {
  const { createClient } = await loadRedis();
  const client = createClient({ url });
  await client.connect();
  const channels = await client.pubSubChannels("flotilla:*");
  const random = seededRandom(7);
  for (let round = 0; round < 200; round++) {
    for (const channel of channels) {
      const name = channels[round % channels.length] ?? channel;
      const address = round % 3 === 0 ? hex(random.bytes(16)) : name.replace("flotilla:", "");
      const kind = hex(Uint8Array.of(0x10 + round % 6));
      const message = round % 7 === 0
        ? hex(random.bytes(round % 20))
        : kind + address + hex(random.bytes(round));
      // A packet in a known node's name would be believed by whoever stands where the links stand in this suite.
      if (!message.startsWith("11") || !channels.includes(`flotilla:${address}`)) {
        await client.publish(channel, Buffer.from(message, "hex"));
      }
    }
  }
  client.destroy();
}
