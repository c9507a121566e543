import { OUTBOX_DEFAULTS, type OutboxOptions } from "../connection/outbox.ts";
import { DIRECTORY_DEFAULTS, type DirectoryOptions } from "../directory/options.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { FlotillaError } from "../lib/errors.ts";
import { type Logger, silentLogger } from "../lib/logger.ts";
import { isNodeId } from "../lib/ids.ts";
import { TIMER_MS_MAX } from "../lib/limits.ts";
import {
  checkOptions,
  CLOCK_RULE,
  having,
  LOGGER_RULE,
  oneOf,
  type OptionRules,
  text,
  whole,
} from "../lib/option_rules.ts";
import { type Random, systemRandom } from "../lib/random.ts";
import { LINK_DEFAULTS, type LinkOptions } from "../link/options.ts";
import { RAFT_NODE_DEFAULTS, type RaftNodeOptions, ticksOf } from "../raft/options.ts";
import { MEMBERS_MAX } from "../raft/identity.ts";
import { SHARED_WITNESS } from "../raft/shared_witness_id.ts";
import { ROUTER_DEFAULTS, type RouterOptions } from "../router/contract.ts";
import {
  CHUNK_BYTES_MAX,
  STREAM_DEFAULTS,
  type StreamsOptions,
  WINDOW_BYTES_FIRST,
} from "../stream/contract.ts";
import { type ClusterTransport, TRANSPORT_NAMES, type TransportName } from "../transport.ts";

/** What a user sets; everything but `nodeId` has a default. */
export interface ClusterOptions {
  /** Names this node in the cluster, stable across restarts: 1 to 128 bytes, no control characters. */
  readonly nodeId: string;
  /** Where other nodes reach this one. Default `127.0.0.1`. */
  readonly nodeAddress?: string | undefined;
  /** Default 0: known once the node listens. */
  readonly nodePort?: number | undefined;
  /**
   * How nodes reach each other: sockets to each other (`ws`), a broker (`redis`, `rabbitmq`; `hybrid`: they find each
   * other by Redis, and RabbitMQ carries), or a transport of your own. A broker needs a `secret`, or `allowInsecure`.
   * Default `ws`.
   */
  readonly transportType?: TransportName | ClusterTransport | undefined;
  /**
   * The Redis of `redis` and `hybrid`: `redis://` or `rediss://` (TLS), or over HTTP `https://:TOKEN@host` (`http://`
   * on this machine only); all nodes by one of the two ways. Default none.
   */
  readonly redisConnectionString?: string | undefined;
  /**
   * The RabbitMQ of `rabbitmq` and `hybrid`: `amqp://` or `amqps://user:password@host:port/virtualHost`, or `ws://` or
   * `wss://` of a relay to it (`?vhost=` for a virtual host). Default none.
   */
  readonly rabbitMQConnectionString?: string | undefined;
  /** The path nodes dial each other on. Default `/cluster`. */
  readonly channelName?: string | undefined;
  /**
   * Other nodes: `ws://host:port/nodeId`, `ws://host:port`, `nodeId@host:port`. Over a broker nodes find each other; there an
   * entry `nodeId` says that the node belongs to the first cluster. Default none.
   */
  readonly nodes?: readonly string[] | undefined;
  /** Clusters of different names never meet. Default `flotilla`. */
  readonly clusterName?: string | undefined;
  /** What all nodes of the cluster know and nobody else. Without one a node serves loopback only. */
  readonly secret?: string | undefined;
  /** Where clients reach this node: an origin `ws://host:port` or `wss://host`. Default: where it listens. */
  readonly publicUrl?: string | undefined;
  /** Accept that whoever reaches the port may join as a node and connect as anybody. Default false. */
  readonly allowInsecure?: boolean | undefined;
  /** Default `auto`: packets between nodes are sealed except over TLS and loopback. */
  readonly seal?: LinkOptions["seal"] | undefined;
  /** Milliseconds between two comparisons of sockets and directory, which repair what differs. Default 5,000. */
  readonly healthCheckIntervalMs?: number | undefined;
  /** A node that was silent for so many milliseconds is pinged. Default 1,000. */
  readonly pingIntervalMs?: number | undefined;
  /** Milliseconds of silence after which a node is down; at least three ping intervals. Default 5,000. */
  readonly peerTimeoutMs?: number | undefined;
  /** Milliseconds from a call to its last possible answer, where the call does not say. Default 5,000. */
  readonly deliveryTimeoutMs?: number | undefined;
  /** Bytes of the longest message, in and out. Default 16 MiB; from clients at most 64 MiB. */
  readonly messageBytesMax?: number | undefined;
  /** Bytes of a stream's chunk, where the call does not say; 1 to 1 MiB. Default 64 KiB. */
  readonly chunkSize?: number | undefined;
  /** Bytes of one stream that may be under way, whatever its length; at least 128 KiB. Default 1 MiB. */
  readonly streamWindowBytes?: number | undefined;
  /** Bytes that the streams to one client may hold at its node. Default 32 MiB. */
  readonly connectionStreamBytesMax?: number | undefined;
  /** Bytes that all streams to the clients of this node may hold here. Default 256 MiB. */
  readonly nodeStreamBytesMax?: number | undefined;
  /** Bytes that may wait for one client. Default 1 MiB. */
  readonly outboxBytesMax?: number | undefined;
  /** What happens to a client that reads too slowly. Default `close`. */
  readonly slowConsumer?: OutboxOptions["slowConsumer"] | undefined;
  /** Whether peers are asked about a connection nobody announced. Default `ask`. */
  readonly unknownConnection?: DirectoryOptions["unknownConnection"] | undefined;
  /** Milliseconds by which another node's clock may be ahead and still be followed. Default 60,000. */
  readonly clockSkewMaxMs?: number | undefined;
  /** Whether this node takes part in electing a leader and keeping the replicated state. Default true. */
  readonly raft?: boolean | undefined;
  /** The folder where the replicated state is kept, by SQLite. Default: in memory only. */
  readonly dataDir?: string | undefined;
  /** How many nodes must have found each other before the first leader. Default: those of `nodes`. */
  readonly bootstrapExpect?: number | undefined;
  /** Milliseconds without a leader after which an election begins, up to twice as many. Default 500. */
  readonly electionTimeoutMs?: number | undefined;
  /** Milliseconds between two signs of life of a leader; at most a third of the above. Default 100. */
  readonly heartbeatMs?: number | undefined;
  /** Milliseconds from a change of the replicated state to its last possible answer. Default 5,000. */
  readonly proposalTimeoutMs?: number | undefined;
  /** Milliseconds after which an absent voter is replaced by another member. Default 60,000. */
  readonly voterReplaceAfterMs?: number | undefined;
  /**
   * `true`: this node only gives two others their third vote: no state, no clients, never a leader. A URL `redis://` or
   * `rediss://`, the same on both of two nodes: their third vote is a record there. Default false.
   */
  readonly witness?: boolean | string | undefined;
  /** Default: says nothing. */
  readonly logger?: Logger | undefined;
  /** Default: the runtime's. */
  readonly clock?: Clock | undefined;
  /** Default: the runtime's. */
  readonly random?: Random | undefined;
}

type Optional = "secret" | "publicUrl" | "dataDir" | "bootstrapExpect" | BrokerUrl;
type BrokerUrl = "redisConnectionString" | "rabbitMQConnectionString";

/** Every option with its value, checked. */
export type ResolvedOptions =
  & {
    readonly [Name in Exclude<keyof ClusterOptions, Optional>]-?: Exclude<
      ClusterOptions[Name],
      undefined
    >;
  }
  & { readonly [Name in Optional]: ClusterOptions[Name] };

const DEFAULTS: Omit<ResolvedOptions, "nodeId"> = {
  nodeAddress: "127.0.0.1",
  nodePort: 0,
  transportType: "ws",
  redisConnectionString: undefined,
  rabbitMQConnectionString: undefined,
  channelName: "/cluster",
  nodes: [],
  clusterName: "flotilla",
  secret: undefined,
  publicUrl: undefined,
  allowInsecure: false,
  seal: LINK_DEFAULTS.seal,
  healthCheckIntervalMs: 5_000,
  pingIntervalMs: LINK_DEFAULTS.pingIntervalMs,
  peerTimeoutMs: LINK_DEFAULTS.peerTimeoutMs,
  deliveryTimeoutMs: ROUTER_DEFAULTS.deliveryTimeoutMs,
  messageBytesMax: ROUTER_DEFAULTS.messageBytesMax,
  ...STREAM_DEFAULTS,
  outboxBytesMax: OUTBOX_DEFAULTS.outboxBytesMax,
  slowConsumer: OUTBOX_DEFAULTS.slowConsumer,
  unknownConnection: DIRECTORY_DEFAULTS.unknownConnection,
  clockSkewMaxMs: DIRECTORY_DEFAULTS.clockSkewMaxMs,
  raft: true,
  dataDir: undefined,
  ...RAFT_NODE_DEFAULTS,
  witness: false,
  logger: silentLogger,
  clock: systemClock,
  random: systemRandom,
};

/** A frame carries one message and the handles of those it is for. */
const FRAME_HEADROOM_BYTES = 1_048_576;
/** What fits a frame's length and every runtime's WebSocket. */
const MESSAGE_BYTES_LIMIT = 1_073_741_824;

const BYTES_MAX = Number.MAX_SAFE_INTEGER;

const milliseconds = whole(1, TIMER_MS_MAX);

/** Options whose values are never shown: a URL may hold a password. */
const SECRETIVE: readonly string[] = [
  "secret",
  "witness",
  "redisConnectionString",
  "rabbitMQConnectionString",
];

/** What each option may be, as the error says it. */
const RULES: OptionRules<ClusterOptions> = {
  nodeId: [isNodeId, "1 to 128 bytes of text without control characters"],
  nodeAddress: [isHost, "a host name or address"],
  nodePort: [whole(0, 65_535), "a port from 0 to 65535"],
  transportType: [
    (value) => oneOf(...TRANSPORT_NAMES)(value) || having("start", "stop", "send")(value),
    `${TRANSPORT_NAMES.map((name) => `"${name}"`).join(", ")} or a ClusterTransport`,
  ],
  redisConnectionString: [text, "a URL"],
  rabbitMQConnectionString: [text, "a URL"],
  channelName: [(value) => typeof value === "string" && /^\/[\w\-./~]*$/.test(value), "a URL path"],
  nodes: [
    (value) =>
      Array.isArray(value) && value.length < MEMBERS_MAX && value.every((entry) => typeof entry === "string"),
    `a list of fewer than ${MEMBERS_MAX} strings`,
  ],
  clusterName: [text, "a name"],
  secret: [text, "text that is not empty"],
  publicUrl: [isSocketOrigin, "an origin ws://host:port or wss://host:port"],
  allowInsecure: [oneOf(true, false), "true or false"],
  seal: [oneOf("auto", "always", "never"), "auto, always or never"],
  healthCheckIntervalMs: [milliseconds, "milliseconds above 0"],
  pingIntervalMs: [milliseconds, "milliseconds above 0"],
  peerTimeoutMs: [milliseconds, "milliseconds above 0"],
  deliveryTimeoutMs: [milliseconds, "milliseconds above 0"],
  messageBytesMax: [whole(1, MESSAGE_BYTES_LIMIT), `bytes from 1 to ${MESSAGE_BYTES_LIMIT}`],
  chunkSize: [whole(1, CHUNK_BYTES_MAX), `bytes from 1 to ${CHUNK_BYTES_MAX}`],
  streamWindowBytes: [whole(WINDOW_BYTES_FIRST, BYTES_MAX), `bytes from ${WINDOW_BYTES_FIRST}`],
  connectionStreamBytesMax: [whole(WINDOW_BYTES_FIRST, BYTES_MAX), `bytes from ${WINDOW_BYTES_FIRST}`],
  nodeStreamBytesMax: [whole(WINDOW_BYTES_FIRST, BYTES_MAX), `bytes from ${WINDOW_BYTES_FIRST}`],
  outboxBytesMax: [whole(1, BYTES_MAX), "bytes above 0"],
  slowConsumer: [oneOf("close", "drop", "wait"), "close, drop or wait"],
  unknownConnection: [oneOf("ask", "fail"), "ask or fail"],
  clockSkewMaxMs: [whole(0, TIMER_MS_MAX), "milliseconds"],
  raft: [oneOf(true, false), "true or false"],
  dataDir: [text, "a folder"],
  bootstrapExpect: [whole(1, MEMBERS_MAX), `a number of nodes from 1 to ${MEMBERS_MAX}`],
  electionTimeoutMs: [milliseconds, "milliseconds above 0"],
  heartbeatMs: [milliseconds, "milliseconds above 0"],
  proposalTimeoutMs: [milliseconds, "milliseconds above 0"],
  voterReplaceAfterMs: [milliseconds, "milliseconds above 0"],
  witness: [
    (value) => typeof value === "boolean" || isRedisUrl(value),
    "true, false or a URL redis://host:port",
  ],
  logger: LOGGER_RULE,
  clock: CLOCK_RULE,
  random: [having("float", "bytes"), "a source of randomness"],
};

/**
 * Checks the options, applies the defaults and freezes the result.
 *
 * @throws FlotillaError `invalid-option` naming the option, its value and what it may be.
 */
export function resolveOptions(options: ClusterOptions): ResolvedOptions {
  checkOptions<ClusterOptions>(options, RULES, SECRETIVE);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const resolved = Object.freeze({ ...DEFAULTS, ...given }) as ResolvedOptions;
  if (!isNodeId(resolved.nodeId)) {
    throw new FlotillaError("invalid-option", `nodeId must be ${RULES.nodeId[1]}`);
  }
  const { pingIntervalMs, peerTimeoutMs, seal, allowInsecure } = resolved;
  if (peerTimeoutMs < pingIntervalMs * 3) {
    throw new FlotillaError(
      "invalid-option",
      `peerTimeoutMs ${peerTimeoutMs} must be at least three times pingIntervalMs ${pingIntervalMs}`,
    );
  }
  if (resolved.nodeId === SHARED_WITNESS) {
    throw new FlotillaError("invalid-option", `nodeId ${SHARED_WITNESS} is the name of a witness in Redis`);
  }
  ticksOf(resolved);
  if (seal === "never" && !allowInsecure) {
    throw new FlotillaError("invalid-option", "seal must not be never without allowInsecure");
  }
  return resolved;
}

/** What the links are told, for wiring by hand. */
export function linkOptionsOf(
  options: ResolvedOptions,
): Partial<LinkOptions> & Pick<LinkOptions, "clusterName"> {
  const { clusterName, secret, seal, pingIntervalMs, peerTimeoutMs, messageBytesMax } = options;
  return {
    clusterName,
    secret,
    seal,
    pingIntervalMs,
    peerTimeoutMs,
    frameBytesMax: Math.max(LINK_DEFAULTS.frameBytesMax, messageBytesMax + FRAME_HEADROOM_BYTES),
  };
}

/** What the router is told, for wiring by hand. */
export function routerOptionsOf(
  { deliveryTimeoutMs, messageBytesMax }: ResolvedOptions,
): Partial<RouterOptions> {
  return { deliveryTimeoutMs, messageBytesMax };
}

/** What the streams are told, for wiring by hand. */
export function streamOptionsOf(options: ResolvedOptions): StreamsOptions {
  const { chunkSize, streamWindowBytes, connectionStreamBytesMax, nodeStreamBytesMax } = options;
  const { messageBytesMax, deliveryTimeoutMs } = options;
  const budgets = { streamWindowBytes, connectionStreamBytesMax, nodeStreamBytesMax };
  return { chunkSize, ...budgets, messageBytesMax, deliveryTimeoutMs };
}

/** What Raft is told, for wiring by hand. */
export function raftOptionsOf(options: ResolvedOptions): RaftNodeOptions {
  const { electionTimeoutMs, heartbeatMs, proposalTimeoutMs, voterReplaceAfterMs, bootstrapExpect } = options;
  return { electionTimeoutMs, heartbeatMs, proposalTimeoutMs, voterReplaceAfterMs, bootstrapExpect };
}

/** A host as it stands in a URL: IPv6 in brackets. */
export function hostInUrl(address: string): string {
  return address.includes(":") && !address.startsWith("[") ? `[${address}]` : address;
}

function isHost(value: unknown): boolean {
  return typeof value === "string" && !/[\s/?#@\\]|\]:/.test(value) &&
    URL.canParse(`ws://${hostInUrl(value)}`);
}

function isRedisUrl(value: unknown): boolean {
  return typeof value === "string" && /^rediss?:\/\/./.test(value) && URL.canParse(value);
}

function isSocketOrigin(value: unknown): boolean {
  if (typeof value !== "string" || !URL.canParse(value)) return false;
  const { protocol, username, password, pathname, search, hash } = new URL(value);
  return (protocol === "ws:" || protocol === "wss:") && username === "" && password === "" &&
    pathname === "/" && search === "" && hash === "";
}
