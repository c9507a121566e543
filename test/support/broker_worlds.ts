/** Nodes that find each other over brokers, and outsiders who reach the same brokers, as tests use them. */
import { hex } from "../../src/lib/bytes.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/logger.ts";
import { seededRandom, systemRandom } from "../../src/lib/random.ts";
import { type Brokers, BrokerTransport } from "../../transports/broker.ts";
import type { Broker, BrokerConnection } from "../../transports/broker_contract.ts";
import { BrokerKeys, channelOf } from "../../transports/broker_keys.ts";
import { type World } from "./conformance.ts";
import { until } from "./until.ts";

const SECRET = "known to all";
let worlds = 0;

/** All on one broker. */
export function onlyOn(broker: Broker): Brokers {
  return { name: "under test", discovers: broker, carries: broker };
}

/** A cluster of its own. */
export function brokerWorld(brokers: Brokers): World {
  const clusterName = `world ${worlds++} of ${hex(systemRandom.bytes(4))}`;
  const options = { clusterName, secret: SECRET, allowInsecure: false };
  const context = { clock: systemClock, random: systemRandom, logger: silentLogger };
  return {
    clock: systemClock,
    transport: (nodeId) => Promise.resolve(new BrokerTransport(brokers, options, { ...context, nodeId })),
    until: (what, condition) => until(what, condition, 10_000),
    async harass(nodeId) {
      const keys = await BrokerKeys.derive(clusterName, SECRET);
      const channels = [channelOf(await keys.addressOf(nodeId)), await keys.discoveryChannel()];
      await harass(new Set([brokers.discovers, brokers.carries]), channels);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Nonsense on every channel: of every kind and length, and as if it came from those who listen there. */
async function harass(brokers: ReadonlySet<Broker>, channels: readonly string[]): Promise<void> {
  const random = seededRandom(7);
  for (const broker of brokers) {
    const outsider = await outsiderOf(broker);
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
          await outsider.publish(channel, new Uint8Array(Buffer.from(message, "hex")));
        }
      }
    }
    await outsider.close();
  }
}

/** Whoever reaches the broker can publish there. */
export function outsiderOf(broker: Broker): Promise<BrokerConnection> {
  const nothing = { message() {}, unheard() {}, lost() {} };
  return broker.open(["outsider:listens"], nothing, new AbortController().signal);
}
