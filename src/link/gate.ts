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

/** Refusals as they travel: the index is the code on the wire. Append only. */
const REFUSALS: readonly RefusalReason[] = ["wrong-secret", "wrong-cluster", "wrong-version", "id-in-use"];

/**
 * What strangers can make this node do, and how often: open a handshake packet, say why it cannot be opened, say
 * that a tag is unknown. Nothing that is said here without proof is believed by anything but the log.
 */
export class Gate {
  readonly #context: GateContext;
  readonly #handshakes = new RateLimit<unknown>({ burst: 32, perSecond: 16, keysMax: 4_096 });
  readonly #resets = new RateLimit<unknown>({ burst: 4, perSecond: 2, keysMax: 4_096 });
  readonly #logLines = new RateLimit<string>({ burst: 1, perSecond: 0.1, keysMax: 1_024 });

  constructor(context: GateContext) {
    this.#context = context;
  }

  /** The handshake message in `packet`, if whoever sealed it knows the cluster's secret and is who `from` says. */
  async open(from: string, packet: Bytes, path: Path | undefined): Promise<Signed | undefined> {
    const { keys, clock, stats } = this.#context;
    if (!this.#handshakes.allows(path ?? from, clock.now())) {
      stats.dropped.flood++;
      return undefined;
    }
    const opened = await openHandshake(keys, packet);
    if (typeof opened !== "string") return opened.message.from === from ? opened : undefined;
    this.#refuse(from, opened, path);
    return undefined;
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
    const versions = { itsVersion: packet[1], ourVersion: PROTOCOL_VERSION };
    this.#warn("a node refuses this one", from, reason, versions);
  }

  #refuse(from: string, reason: RefusalReason, path: Path | undefined): void {
    this.#context.stats.refused[reason]++;
    this.#warn("refused a node", from, reason, {});
    this.#context.send(from, Uint8Array.of(PACKET.refuse, PROTOCOL_VERSION, REFUSALS.indexOf(reason)), path);
  }

  #warn(
    message: string,
    peer: string,
    reason: RefusalReason,
    fields: Record<string, number | undefined>,
  ): void {
    if (!this.#logLines.allows(`${message} ${peer} ${reason}`, this.#context.clock.now())) return;
    this.#context.logger.warn(message, { peer, reason, ...fields });
  }
}
