/** RabbitMQ as a broker: over TCP, or over a WebSocket where there is none. */
import { FlotillaError } from "../src/lib/errors.ts";
import type { TransportContext } from "../src/transport.ts";
import type { OpenPipe } from "./amqp_pipe.ts";
import { type BrokerOptions, BrokerTransport } from "./broker.ts";
import type { Broker } from "./broker_contract.ts";

const PACKET_BYTES_MAX = 131_072;
const FORMS = "amqp://user:password@host:port/virtualHost, amqps:// the same, or ws:// or wss:// of a relay";
const GUEST = "guest";

export interface RabbitMqTransportOptions extends BrokerOptions {
  /**
   * `amqp://` or `amqps://` (TLS), with user and password (default `guest`) and the virtual host as its path (default `/`);
   * or `ws://` or `wss://` of a relay to RabbitMQ's port for AMQP, whose path is the relay's, with `?vhost=` for another
   * virtual host.
   */
  readonly url: string;
}

/** @throws FlotillaError `invalid-option` for a URL that names no RabbitMQ, or without a secret (see `BrokerOptions`). */
export function rabbitMqTransport(
  options: RabbitMqTransportOptions,
  context: TransportContext,
): BrokerTransport {
  const broker = rabbitMqBroker(options.url);
  return new BrokerTransport({ name: "rabbitmq", discovers: broker, carries: broker }, options, context);
}

/** @throws FlotillaError `invalid-option` for a URL that names no RabbitMQ. */
export function rabbitMqBroker(text: string): Broker {
  const url = URL.parse(text);
  if (url === null || url.hostname === "") throw wrong(`must be ${FORMS}`);
  const { protocol, pathname, searchParams } = url;
  const user = decoded(url.username) || GUEST;
  const password = decoded(url.password) || GUEST;
  const overTcp = protocol === "amqp:" || protocol === "amqps:";
  const overWebSocket = protocol === "ws:" || protocol === "wss:";
  if (!overTcp && !overWebSocket) throw wrong(`must be ${FORMS}`);
  const virtualHost = overTcp ? decoded(pathname.slice(1)) : searchParams.get("vhost");
  const login = { user, password, virtualHost: virtualHost || "/" };
  const pipeOf = overTcp ? tcpPipe(url) : webSocketPipe(url);
  return {
    address: `${protocol}//${url.host}`,
    packetBytesMax: PACKET_BYTES_MAX,
    silenceMs: 1_500,
    answerMs: 2_000,
    async open(channels, events, signal) {
      const { openAmqp } = await import("./amqp.ts");
      return await openAmqp(pipeOf, login, channels, events, signal);
    },
  };
}

function tcpPipe({ protocol, hostname, port }: URL): OpenPipe {
  const tls = protocol === "amqps:";
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const end = { host, port: Number(port) || (tls ? 5_671 : 5_672), tls };
  return async (events, signal) => {
    const { openTcpPipe } = await import("./amqp_tcp.ts");
    return await openTcpPipe(end, events, signal);
  };
}

function webSocketPipe(url: URL): OpenPipe {
  const relay = new URL(url);
  relay.username = relay.password = "";
  relay.searchParams.delete("vhost");
  return async (events, signal) => {
    const { openWebSocketPipe } = await import("./amqp_websocket.ts");
    return await openWebSocketPipe(relay.href, events, signal);
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong("has a % that encodes nothing");
  }
}

/** The value is not shown: it may hold a password. */
function wrong(why: string): FlotillaError {
  return new FlotillaError("invalid-option", `rabbitMQConnectionString ${why}`);
}
