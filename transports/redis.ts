/** Redis as a broker: publish and subscribe, over its own protocol or over HTTP. */
import { FlotillaError } from "../src/lib/errors.ts";
import type { TransportContext } from "../src/transport.ts";
import { type BrokerOptions, BrokerTransport } from "./broker.ts";
import type { Broker } from "./broker_contract.ts";

/** Far below what Redis takes; a packet that links fill is about half of it. */
const PACKET_BYTES_MAX = 131_072;

export interface RedisTransportOptions extends BrokerOptions {
  /** `redis://` or `rediss://` (TLS), with user and password where they are needed. */
  readonly url: string;
}

/** @throws FlotillaError `invalid-option` for a URL that names no Redis, or without a secret (see `BrokerOptions`). */
export function redisTransport(options: RedisTransportOptions, context: TransportContext): BrokerTransport {
  return new BrokerTransport(redisBroker(options.url), options, context);
}

function redisBroker(text: string): Broker {
  const url = URL.parse(text);
  if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === "") {
    // It may hold a password.
    throw new FlotillaError(
      "invalid-option",
      "redisConnectionString must be redis://host:port or rediss://host:port",
    );
  }
  return {
    name: "redis",
    address: `${url.protocol}//${url.host}`,
    packetBytesMax: PACKET_BYTES_MAX,
    silenceMs: 1_500,
    answerMs: 2_000,
    async open(channels, events, signal) {
      const { openRedisTcp } = await import("./redis_tcp.ts");
      return await openRedisTcp(text, channels, events, signal);
    },
  };
}
