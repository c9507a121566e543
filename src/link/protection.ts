import { type Bytes, concatBytes, getUint48, viewOf } from "../lib/bytes.ts";
import { gcmOpen, gcmSeal, type PacketKey, packetKey, packetNonce } from "./cluster_keys.ts";
import { DATA_HEADER_BYTES, encodePacket, PACKET, type PacketPlan } from "./packet.ts";

/** How the packets of one space are protected on their way. */
export interface Protection {
  readonly sealed: boolean;
  /** The packet as it travels. */
  seal(tag: number, number: number, plan: PacketPlan): Bytes | Promise<Bytes>;
  /** The items of a packet that came in; undefined when it was not made by the peer for this space. */
  open(packet: Bytes): Bytes | undefined | Promise<Bytes | undefined>;
}

/** For ways that are private by themselves. */
export const plainProtection: Protection = {
  sealed: false,
  seal: (tag, number, plan) => encodePacket(PACKET.plain, 0, tag, number, plan),
  open: (packet) => packet[0] === PACKET.plain ? packet.subarray(DATA_HEADER_BYTES) : undefined,
};

/** Packets sealed under one key before the next is used: well within what AES-GCM bears (RFC 9001, 6.6: 2^23). */
export const KEY_PACKETS_MAX: number = 2 ** 22;

/**
 * AES-256-GCM, one key a direction; the header is authenticated too. Each direction rolls its key by itself: the
 * phase in the header names it, and the receiver follows when a packet of the next phase proves genuine.
 */
export class SealedProtection implements Protection {
  readonly sealed = true;
  readonly #keyPacketsMax: number;
  #sendKey: Promise<PacketKey>;
  #sendPhase = 0;
  #sealedPackets = 0;
  #previousKey: Promise<PacketKey> | undefined;
  #receiveKey: Promise<PacketKey>;
  #nextKey: Promise<PacketKey> | undefined;
  #receivePhase = 0;

  constructor(sendSecret: Bytes, receiveSecret: Bytes, keyPacketsMax: number = KEY_PACKETS_MAX) {
    this.#sendKey = packetKey(sendSecret);
    this.#receiveKey = packetKey(receiveSecret);
    this.#keyPacketsMax = keyPacketsMax;
  }

  seal(tag: number, number: number, plan: PacketPlan): Promise<Bytes> {
    if (this.#sealedPackets === this.#keyPacketsMax) {
      this.#sendKey = this.#sendKey.then(({ secret }) => packetKey(secret));
      this.#sendPhase = (this.#sendPhase + 1) & 0xff;
      this.#sealedPackets = 0;
    }
    this.#sealedPackets++;
    const packet = encodePacket(PACKET.sealed, this.#sendPhase, tag, number, plan);
    return sealWith(this.#sendKey, number, packet);
  }

  async open(packet: Bytes): Promise<Bytes | undefined> {
    if (packet[0] !== PACKET.sealed) return undefined;
    const phase = packet[1] as number;
    const ahead = (phase - this.#receivePhase) & 0xff;
    if (ahead === 0) return await openWith(this.#receiveKey, packet);
    if (ahead === 0xff && this.#previousKey !== undefined) return await openWith(this.#previousKey, packet);
    if (ahead !== 1) return undefined;
    const next = this.#nextKey ??= this.#receiveKey.then(({ secret }) => packetKey(secret));
    const items = await openWith(next, packet);
    if (items !== undefined && this.#nextKey === next) {
      this.#previousKey = this.#receiveKey;
      this.#receiveKey = next;
      this.#nextKey = undefined;
      this.#receivePhase = phase;
    }
    return items;
  }
}

async function sealWith(key: Promise<PacketKey>, number: number, packet: Bytes): Promise<Bytes> {
  const { key: aes, iv } = await key;
  const header = packet.subarray(0, DATA_HEADER_BYTES);
  return concatBytes(
    header,
    await gcmSeal(aes, packetNonce(iv, number), header, packet.subarray(DATA_HEADER_BYTES)),
  );
}

async function openWith(key: Promise<PacketKey>, packet: Bytes): Promise<Bytes | undefined> {
  const { key: aes, iv } = await key;
  const nonce = packetNonce(iv, getUint48(viewOf(packet), 6));
  return await gcmOpen(aes, nonce, packet.subarray(0, DATA_HEADER_BYTES), packet.subarray(DATA_HEADER_BYTES));
}
