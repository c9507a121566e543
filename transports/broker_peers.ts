/** Which node is behind which address on the broker, as far as nodes have introduced themselves. */
import type { Bytes } from "../src/lib/bytes.ts";
import { channelOf } from "./broker_keys.ts";

/** Nodes that are remembered; over it the one that has not introduced itself for longest is forgotten. */
const PEERS_MAX = 4_096;

export interface BrokerPeer {
  readonly nodeId: string;
  readonly channel: string;
}

export class BrokerPeers {
  /** By channel, in the order of their latest introduction. */
  readonly #byChannel = new Map<string, BrokerPeer>();
  readonly #byNodeId = new Map<string, BrokerPeer>();

  get size(): number {
    return this.#byNodeId.size;
  }

  /** The channel of a node that has introduced itself. */
  channelTo(nodeId: string): string | undefined {
    return this.#byNodeId.get(nodeId)?.channel;
  }

  /** The node behind `channel`. */
  behind(channel: string): string | undefined {
    return this.#byChannel.get(channel)?.nodeId;
  }

  learn(nodeId: string, address: Bytes): BrokerPeer {
    const known = this.#byNodeId.get(nodeId);
    const peer = known ?? { nodeId, channel: channelOf(address) };
    this.#byChannel.delete(peer.channel);
    this.#byChannel.set(peer.channel, peer);
    this.#byNodeId.set(nodeId, peer);
    if (this.#byChannel.size > PEERS_MAX) {
      for (const oldest of this.#byChannel.values()) {
        this.#byChannel.delete(oldest.channel);
        this.#byNodeId.delete(oldest.nodeId);
        break;
      }
    }
    return peer;
  }
}

/** Lets each key through some times a second, and so many keys in all. */
export class PerSecond {
  readonly #keysMax: number;
  readonly #timesMax: number;
  readonly #times = new Map<string, number>();
  #second = Number.NEGATIVE_INFINITY;

  constructor(keysMax: number, timesMax: number) {
    this.#keysMax = keysMax;
    this.#timesMax = timesMax;
  }

  allows(key: string, now: number): boolean {
    if (now - this.#second >= 1_000) {
      this.#second = now;
      this.#times.clear();
    }
    const times = this.#times.get(key) ?? 0;
    if (times >= this.#timesMax || (times === 0 && this.#times.size >= this.#keysMax)) return false;
    this.#times.set(key, times + 1);
    return true;
  }
}
