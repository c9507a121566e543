/** Redis as a broker: publish and subscribe, over its own protocol or over HTTP. */
import { FlotillaError } from "../src/lib/errors.ts";
import type { TransportContext } from "../src/transport.ts";
import { type BrokerOptions, BrokerTransport } from "./broker.ts";
import type { Broker } from "./broker_contract.ts";
import { isLoopbackUrl } from "./node_list.ts";

/** A message of this size is far below what Redis takes, and a quarter of what a line of Upstash's streams may have. */
const PACKET_BYTES_MAX = 131_072;
const FORMS = "redis://host:port, rediss://host:port or https://:TOKEN@host";

export interface RedisTransportOptions extends BrokerOptions {
  /**
   * `redis://` or `rediss://` (TLS); over HTTP `https://:TOKEN@host`, and `http://:TOKEN@127.0.0.1` on this machine.
   * All nodes by one of the two ways: a message that goes as text by HTTP means nothing to the other.
   */
  readonly url: string;
}

/** @throws FlotillaError `invalid-option` for a URL that names no Redis, or without a secret (see `BrokerOptions`). */
export function redisTransport(options: RedisTransportOptions, context: TransportContext): BrokerTransport {
  const broker = redisBroker(options.url);
  return new BrokerTransport({ name: "redis", discovers: broker, carries: broker }, options, context);
}

/** @throws FlotillaError `invalid-option` for a URL that names no Redis. */
export function redisBroker(text: string): Broker {
  const url = URL.parse(text);
  if (url === null || url.hostname === "") throw wrong(`must be ${FORMS}`);
  const where = { address: `${url.protocol}//${url.host}`, packetBytesMax: PACKET_BYTES_MAX };
  switch (url.protocol) {
    case "redis:":
    case "rediss:":
      return {
        ...where,
        silenceMs: 1_500,
        answerMs: 2_000,
        async open(channels, events, signal) {
          const { openRedisTcp } = await import("./redis_tcp.ts");
          return await openRedisTcp(text, channels, events, signal);
        },
      };
    case "http:":
    case "https:": {
      const endpoint = httpEndpoint(url);
      // Commands cost money there; peers that talk to this node make it unnecessary to ask.
      return {
        ...where,
        silenceMs: 5_000,
        answerMs: 4_000,
        async open(channels, events, signal) {
          const { openRedisHttp } = await import("./redis_http.ts");
          return await openRedisHttp(endpoint, channels, events, signal);
        },
      };
    }
    default:
      throw wrong(`must be ${FORMS}`);
  }
}

function httpEndpoint({ protocol, host, href, password, pathname, search }: URL) {
  if (password === "") throw wrong("needs the token: https://:TOKEN@host");
  if (protocol === "http:" && !isLoopbackUrl(href)) {
    throw wrong("must be https:// but on this machine: the token would go in clear");
  }
  if (pathname !== "/" || search !== "") throw wrong("must not have a path");
  return { origin: `${protocol}//${host}`, token: decodeURIComponent(password) };
}

/** The value is not shown: it may hold a password. */
function wrong(why: string): FlotillaError {
  return new FlotillaError("invalid-option", `redisConnectionString ${why}`);
}
