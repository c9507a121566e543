import { FlotillaError, shown } from "../src/lib/errors.ts";
import type { ClusterTransport, TransportContext, TransportName } from "../src/transport.ts";
import type { BrokerOptions } from "./broker.ts";
import { hybridTransport } from "./hybrid.ts";
import { parseNodeList } from "./node_list.ts";
import { rabbitMqTransport } from "./rabbitmq.ts";
import { redisTransport } from "./redis.ts";
import { WsTransport } from "./ws.ts";

/** Which transport, and what it must know. */
export interface TransportSettings {
  readonly transportType: TransportName | ClusterTransport;
  readonly nodes: readonly string[];
  readonly channelName: string;
  /** A broker's channels are named by the first two; see `BrokerOptions`. Sockets need none of the three. */
  readonly clusterName?: string;
  readonly secret?: string | undefined;
  readonly allowInsecure?: boolean;
  /** Where the brokers are that the transport needs. */
  readonly redisConnectionString?: string | undefined;
  readonly rabbitMQConnectionString?: string | undefined;
  /** Where peers can dial this node: `ws://host:port`, as soon as that is known. */
  readonly advertise?: () => string | undefined;
}

/**
 * The transport that the options name; one that is given ready-made is returned as it is.
 *
 * @throws FlotillaError `invalid-option` for an entry of `nodes` that the transport cannot use, a connection string that
 * is missing or names no broker, and a broker without a secret (unless `allowInsecure`).
 */
export function createTransport(settings: TransportSettings, context: TransportContext): ClusterTransport {
  const { transportType, channelName, advertise = () => undefined } = settings;
  switch (transportType) {
    case "ws": {
      const nodes = parseNodeList(settings.nodes, { self: context.nodeId, addressRequired: true });
      return new WsTransport({ nodes, channelName, advertise }, context);
    }
    case "redis":
      return redisTransport({ ...brokerOptions(settings, context), url: redisUrl(settings) }, context);
    case "rabbitmq":
      return rabbitMqTransport({ ...brokerOptions(settings, context), url: rabbitMqUrl(settings) }, context);
    case "hybrid": {
      const urls = { redisUrl: redisUrl(settings), rabbitMqUrl: rabbitMqUrl(settings) };
      return hybridTransport({ ...brokerOptions(settings, context), ...urls }, context);
    }
    default:
      return transportType;
  }
}

/** Over a broker nobody is dialled: an entry of the list can only say which node is expected. */
function brokerOptions(settings: TransportSettings, { nodeId: self }: TransportContext): BrokerOptions {
  const { nodes, clusterName, secret, allowInsecure = false } = settings;
  for (const { nodeId, url } of parseNodeList(nodes, { self, addressRequired: false })) {
    if (nodeId !== undefined) continue;
    throw new FlotillaError(
      "invalid-option",
      `nodes: entry ${shown(url)}: over a broker nodes find each other, and an entry must name a nodeId`,
    );
  }
  return { clusterName: needed(clusterName, "clusterName"), secret, allowInsecure };
}

function redisUrl({ redisConnectionString }: TransportSettings): string {
  return needed(redisConnectionString, "redisConnectionString");
}

function rabbitMqUrl({ rabbitMQConnectionString }: TransportSettings): string {
  return needed(rabbitMQConnectionString, "rabbitMQConnectionString");
}

function needed(value: string | undefined, name: string): string {
  if (value !== undefined) return value;
  throw new FlotillaError("invalid-option", `${name} must be given for this transport`);
}
