/**
 * What all transports over a broker are: each node listens to a channel of its own and to one for discovery, and
 * publishes to the channels of others. A kind of broker supplies the few verbs of `broker_contract.ts`.
 *
 * Discovery needs no list. A node introduces itself to all when it comes, and they to it; a node that hears
 * from an address it does not know asks who is there. Introductions are sealed under a key of the cluster, so
 * only its nodes can make them; the broker sees addresses that are HMACs. Whose a packet is, is only what its
 * header says: the link layer proves it.
 */
import { type Bytes, concatBytes, equalBytes } from "../src/lib/bytes.ts";
import { FlotillaError, shown } from "../src/lib/errors.ts";
import type {
  ClusterTransport,
  TransportContext,
  TransportFeature,
  TransportSink,
} from "../src/transport.ts";
import { type Broker, MESSAGE_OVERHEAD_BYTES_MAX } from "./broker_contract.ts";
import {
  ADDRESS_BYTES,
  BrokerKeys,
  channelOf,
  header,
  HEADER_BYTES,
  INSTANCE_BYTES,
  MESSAGE,
  type Note,
} from "./broker_keys.ts";
import { BrokerLine, type LineLoss } from "./broker_line.ts";
import { BrokerPeers, PerSecond } from "./broker_peers.ts";

/** Introductions opened in a second: each costs a decryption, and outsiders can repeat what they have read. */
const NOTES_PER_SECOND_MAX = 1_024;
/** Addresses that are asked, or answered, in a second, and how often each. */
const ANSWERED_PER_SECOND_MAX = 256;
const ANSWERS_EACH_MAX = 4;

/** Why something was dropped; counted. */
export type BrokerDrop =
  | LineLoss
  /** A packet for a node that has not introduced itself. */
  | "unknown-peer"
  /** A packet from an address that nobody has introduced himself under. */
  | "unknown-sender"
  | "malformed"
  | "too-large"
  /** An introduction that no node of this cluster made. */
  | "forged"
  /** More introductions than are looked at. */
  | "flood"
  /** An introduction of another process under this node's id. */
  | "own-id";

export interface BrokerOptions {
  /** Clusters of different names never meet. */
  readonly clusterName: string;
  /** What every node of the cluster knows; undefined for none, which needs `allowInsecure`. */
  readonly secret: string | undefined;
  /** Accept that whoever reaches the broker can join. */
  readonly allowInsecure: boolean;
}

/** One broker may do both. */
export interface Brokers {
  /** Of the transport, for logs and stats. */
  readonly name: string;
  /** Where nodes introduce themselves. */
  readonly discovers: Broker;
  /** Where packets go. While the other one is away, nodes that know each other go on. */
  readonly carries: Broker;
}

/** What is derived once, when the transport starts. */
interface Identity {
  readonly keys: BrokerKeys;
  readonly address: Bytes;
  readonly ownChannel: string;
  readonly discoveryChannel: string;
  /** What every packet's message begins with. */
  readonly head: Bytes;
  /** This node's introductions: with and without the question who else is there. */
  readonly asking: Bytes;
  readonly telling: Bytes;
}

export class BrokerTransport implements ClusterTransport {
  readonly name: string;
  readonly features: ReadonlySet<TransportFeature> = new Set();
  readonly packetBytesMax: number;
  readonly #brokers: Brokers;
  readonly #options: BrokerOptions;
  readonly #context: TransportContext;
  readonly #instance: Bytes;
  readonly #peers = new BrokerPeers();
  readonly #dropped: Record<BrokerDrop, number> = {
    "disconnected": 0,
    "queue-full": 0,
    "refused": 0,
    "unknown-peer": 0,
    "unknown-sender": 0,
    "malformed": 0,
    "too-large": 0,
    "forged": 0,
    "flood": 0,
    "own-id": 0,
  };
  readonly #answers = new PerSecond(ANSWERED_PER_SECOND_MAX, ANSWERS_EACH_MAX);
  readonly #openings = new PerSecond(1, NOTES_PER_SECOND_MAX);
  /** The latest broadcast: links say the same again and again. */
  #lastNote: { readonly packet: Bytes; readonly sealed: Promise<Bytes> } | undefined;
  #identity: Identity | undefined;
  #carrying: BrokerLine | undefined;
  /** The same one where one broker does both. */
  #discovering: BrokerLine | undefined;
  #sink: TransportSink | undefined;
  #state: "new" | "running" | "stopped" = "new";
  #ownIdSaid = false;

  /** @throws FlotillaError `invalid-option` without a secret, unless `allowInsecure`. */
  constructor(brokers: Brokers, options: BrokerOptions, context: TransportContext) {
    if (options.secret === undefined && !options.allowInsecure) {
      throw new FlotillaError(
        "invalid-option",
        `the transport ${brokers.name} needs a secret: without one whoever reaches the broker can join (allowInsecure)`,
      );
    }
    this.name = brokers.name;
    this.packetBytesMax = Math.min(brokers.discovers.packetBytesMax, brokers.carries.packetBytesMax);
    this.#brokers = brokers;
    this.#options = options;
    this.#context = context;
    this.#instance = context.random.bytes(INSTANCE_BYTES);
  }

  async start(sink: TransportSink): Promise<void> {
    if (this.#state !== "new") {
      throw new FlotillaError(
        "not-running",
        `start the ${this.name} transport of ${this.#context.nodeId}: it ran already`,
      );
    }
    this.#state = "running";
    const identity = this.#identity = await this.#derive();
    if (!this.#runs) return;
    this.#sink = sink;
    const { discovers, carries } = this.#brokers;
    const { ownChannel, discoveryChannel } = identity;
    if (discovers === carries) {
      this.#carrying = this.#discovering = this.#lineTo(carries, [ownChannel, discoveryChannel], identity);
    } else {
      this.#carrying = this.#lineTo(carries, [ownChannel], identity);
      this.#discovering = this.#lineTo(discovers, [discoveryChannel], identity);
    }
    for (const line of this.#lines) line.start();
  }

  async stop(): Promise<void> {
    this.#state = "stopped";
    this.#sink = undefined;
    await Promise.all([...this.#lines].map((line) => line.stop()));
  }

  send(nodeId: string, packet: Bytes): void {
    this.#checkSize(packet, `to ${shown(nodeId)}`);
    if (this.#identity === undefined || !this.#runs) return;
    const channel = this.#peers.channelTo(nodeId);
    if (channel === undefined) return this.#drop("unknown-peer");
    this.#carrying?.publish(channel, concatBytes(this.#identity.head, packet));
  }

  broadcast(packet: Bytes): void {
    this.#checkSize(packet, "to all");
    const identity = this.#identity;
    if (identity === undefined || !this.#runs) return;
    if (this.#lastNote === undefined || !equalBytes(this.#lastNote.packet, packet)) {
      this.#lastNote = { packet, sealed: this.#seal(identity.keys, identity.address, false, packet) };
    }
    void this.#lastNote.sealed.then((note) => {
      if (this.#runs) this.#discovering?.publish(identity.discoveryChannel, note);
    });
  }

  /** Counts the bytes of envelopes too. */
  queuedBytes(nodeId: string): number {
    const channel = this.#peers.channelTo(nodeId);
    return channel === undefined ? 0 : this.#carrying?.queuedBytes(channel) ?? 0;
  }

  counters(): Readonly<Record<BrokerDrop, number>> {
    return { ...this.#dropped };
  }

  /** There are no paths. */
  confirm(): void {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get #runs(): boolean {
    return this.#state === "running";
  }

  get #lines(): ReadonlySet<BrokerLine> {
    return new Set([this.#carrying, this.#discovering].filter((line) => line !== undefined));
  }

  #lineTo(broker: Broker, channels: readonly string[], identity: Identity): BrokerLine {
    return new BrokerLine({
      broker,
      channels,
      context: this.#context,
      echo: header(MESSAGE.echo, identity.address),
      opened: () => this.#introduce(identity),
      message: (channel, message) => this.#message(identity, channel, message),
      unheard: (channel) => {
        const nodeId = this.#peers.behind(channel);
        if (nodeId !== undefined) this.#sink?.peerGone(nodeId);
      },
      lost: (why) => this.#drop(why),
    });
  }

  async #derive(): Promise<Identity> {
    const { clusterName, secret = "" } = this.#options;
    const keys = await BrokerKeys.derive(clusterName, secret);
    const address = await keys.addressOf(this.#context.nodeId);
    return {
      keys,
      address,
      ownChannel: channelOf(address),
      discoveryChannel: await keys.discoveryChannel(),
      head: header(MESSAGE.packet, address),
      asking: await this.#seal(keys, address, true),
      telling: await this.#seal(keys, address, false),
    };
  }

  #seal(keys: BrokerKeys, address: Bytes, asks: boolean, packet?: Bytes): Promise<Bytes> {
    const { nodeId, random } = this.#context;
    return keys.sealNote(address, { nodeId, instance: this.#instance, asks, packet }, random);
  }

  /** Whoever knows others already, after a reconnect, need not have all of them answer. */
  #introduce({ discoveryChannel, asking, telling }: Identity): void {
    this.#discovering?.publish(discoveryChannel, this.#peers.size === 0 ? asking : telling);
  }

  #message(identity: Identity, channel: string, message: Uint8Array): void {
    if (message.byteLength > this.packetBytesMax + MESSAGE_OVERHEAD_BYTES_MAX) return this.#drop("too-large");
    if (message.byteLength < HEADER_BYTES) return this.#drop("malformed");
    const sender = channelOf(message.subarray(1, 1 + ADDRESS_BYTES));
    switch (message[0]) {
      case MESSAGE.echo:
        return;
      case MESSAGE.packet:
        if (channel !== identity.ownChannel) return this.#drop("malformed");
        return this.#packet(identity, sender, message);
      case MESSAGE.note:
        return void this.#note(identity, sender, new Uint8Array(message));
      default:
        return this.#drop("malformed");
    }
  }

  #packet(identity: Identity, sender: string, message: Uint8Array): void {
    const from = this.#peers.behind(sender);
    if (from !== undefined) return this.#sink?.packet(from, new Uint8Array(message.subarray(HEADER_BYTES)));
    if (sender === identity.ownChannel) return this.#drop("own-id");
    this.#drop("unknown-sender");
    if (this.#answers.allows(sender, this.#context.clock.now())) {
      this.#carrying?.publish(sender, identity.asking);
    }
  }

  async #note(identity: Identity, sender: string, message: Bytes): Promise<void> {
    if (!this.#openings.allows("", this.#context.clock.now())) return this.#drop("flood");
    const note = await identity.keys.openNote(message);
    if (this.#sink === undefined) return;
    if (note === undefined) return this.#drop("forged");
    if (sender === identity.ownChannel) return this.#ownNote(note);
    const address = message.slice(1, 1 + ADDRESS_BYTES);
    this.#peers.learn(note.nodeId, address);
    this.#sink.peerSeen(note.nodeId);
    if (note.asks && this.#answers.allows(sender, this.#context.clock.now())) {
      this.#carrying?.publish(sender, identity.telling);
    }
    if (note.packet !== undefined) this.#sink.packet(note.nodeId, note.packet);
  }

  /** What this node says comes back to it; what another process says under its id too. */
  #ownNote({ instance }: Note): void {
    if (equalBytes(instance, this.#instance)) return;
    this.#drop("own-id");
    if (this.#ownIdSaid) return;
    this.#ownIdSaid = true;
    const { nodeId, logger } = this.#context;
    logger.warn("another process uses, or has just used, this node's id", { nodeId });
  }

  #checkSize({ byteLength }: Bytes, to: string): void {
    if (byteLength <= this.packetBytesMax) return;
    const limit = `${byteLength} bytes is over packetBytesMax, ${this.packetBytesMax}`;
    throw new FlotillaError("too-large", `send a packet ${to}: ${limit}`);
  }

  #drop(why: BrokerDrop): void {
    this.#dropped[why]++;
  }
}
