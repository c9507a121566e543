import { type Bytes, viewOf } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/logger.ts";
import type { Path } from "../transport.ts";
import type { ClusterKeys } from "./cluster_keys.ts";
import type { LinkStats, RefusalReason } from "./contract.ts";
import { openHandshake, type Signed } from "./handshake_wire.ts";
import { PACKET, PROTOCOL_VERSION } from "./packet.ts";
import { RateLimit } from "./rate_limit.ts";

export interface GateContext {
  readonly keys: ClusterKeys;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stats: LinkStats;
  send(nodeId: string, packet: Bytes, path: Path | undefined): void;
}

const STRANGERS = Symbol("all that are not known");

/** Refusals as they travel: the index is the code on the wire. Append only. */
const REFUSALS: readonly RefusalReason[] = ["wrong-secret", "wrong-cluster", "wrong-version", "id-in-use"];

/**
 * What strangers can make this node do, and how often: open a handshake packet, say why it cannot be opened, say
 * that a tag is unknown. Nothing that is said here without proof is believed by anything but the log.
 */
export class Gate {
  readonly #context: GateContext;
  /** Opening costs one decryption; all that are not known share one allowance. */
  readonly #openings = new RateLimit<string | typeof STRANGERS>({
    burst: 512,
    perSecond: 1_024,
    keysMax: 4_096,
  });
  /** A hello costs a key exchange, and may be a replay. By incarnation, so that dead ones use up their own. */
  readonly #hellos = new RateLimit<string>({ burst: 32, perSecond: 16, keysMax: 4_096 });
  /** A node heard of for the first time, by a hint that proves nothing, is said hello to. */
  readonly #newcomers = new RateLimit<typeof STRANGERS>({ burst: 256, perSecond: 32, keysMax: 1 });
  readonly #resets = new RateLimit<unknown>({ burst: 4, perSecond: 2, keysMax: 4_096 });
  readonly #logLines = new RateLimit<string>({ burst: 1, perSecond: 0.1, keysMax: 1_024 });

  constructor(context: GateContext) {
    this.#context = context;
  }

  /** Whether one more node that is only said to exist may be tried now. */
  admitsNewcomer(): boolean {
    return this.#within(this.#newcomers, STRANGERS);
  }

  /**
   * The handshake message in `packet`, if whoever sealed it knows the cluster's secret and is who `from` says.
   * `known`: the node proved itself before, on this way.
   */
  async open(
    from: string,
    packet: Bytes,
    path: Path | undefined,
    known: boolean,
  ): Promise<Signed | undefined> {
    if (!this.#within(this.#openings, known ? from : STRANGERS)) return undefined;
    const opened = await openHandshake(this.#context.keys, packet);
    if (typeof opened === "string") {
      this.#refuse(from, opened, packet[1], path);
      return undefined;
    }
    const { message } = opened;
    if (message.from !== from) return undefined;
    if (message.kind !== "hello") return opened;
    return this.#within(this.#hellos, `${from} ${message.incarnation}`) ? opened : undefined;
  }

  /** A packet came for a tag that no session here uses: its sender should shake hands again. */
  unknownTag(from: string, tag: number, path: Path | undefined): void {
    if (!this.#resets.allows(path ?? from, this.#context.clock.now())) return;
    const reset = new Uint8Array(5);
    reset[0] = PACKET.reset;
    viewOf(reset).setUint32(1, tag);
    this.#context.send(from, reset, path);
  }

  /** Somebody says that it refuses this node. */
  refusedBy(from: string, packet: Bytes): void {
    const reason = REFUSALS[packet[2] ?? REFUSALS.length];
    if (packet.byteLength !== 3 || reason === undefined) {
      this.#context.stats.dropped.malformed++;
      return;
    }
    this.#warn("a node refuses this one", from, reason, packet[1]);
  }

  #within<Key>(limit: RateLimit<Key>, key: Key): boolean {
    if (limit.allows(key, this.#context.clock.now())) return true;
    this.#context.stats.dropped.flood++;
    return false;
  }

  #refuse(
    from: string,
    reason: RefusalReason,
    itsVersion: number | undefined,
    path: Path | undefined,
  ): void {
    this.#context.stats.refused[reason]++;
    this.#warn("refused a node", from, reason, itsVersion);
    this.#context.send(from, Uint8Array.of(PACKET.refuse, PROTOCOL_VERSION, REFUSALS.indexOf(reason)), path);
  }

  #warn(
    message: string,
    peer: string,
    reason: RefusalReason,
    itsVersion: number | undefined,
  ): void {
    if (!this.#logLines.allows(`${message} ${peer} ${reason}`, this.#context.clock.now())) return;
    this.#context.logger.warn(message, { peer, reason, itsVersion, ourVersion: PROTOCOL_VERSION });
  }
}
