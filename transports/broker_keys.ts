/**
 * What a cluster's nodes derive from its name and secret for their messages on a broker: names of channels that reveal
 * nothing, so that clusters never meet, and a key that hides who introduces itself.
 *
 * A message is `kind u8 | sender's address 16 | rest`. The kinds:
 * - `packet`: the rest is a packet of the links, which seal what must be sealed.
 * - `note`: the rest is `nonce 12 | sealed note`: the sender's id, and perhaps a packet for everybody.
 * - `echo`: no rest; what is on its channel hears that the channel works.
 */
import { type Bytes, concatBytes, fromUtf8, hex, utf8 } from "../src/lib/bytes.ts";
import { derivedBits, derivedNameKey } from "../src/lib/derived_bits.ts";
import { isNodeId } from "../src/lib/ids.ts";
import type { Random } from "../src/lib/random.ts";

/** The first half of the byte is the version of this format. */
export const MESSAGE = { packet: 0x11, note: 0x12, echo: 0x13 } as const;
export const ADDRESS_BYTES = 16;
export const HEADER_BYTES: number = 1 + ADDRESS_BYTES;
export const INSTANCE_BYTES = 8;
const NONCE_BYTES = 12;
const ASKS = 1;
const CARRIES = 2;

/** How a node introduces itself. */
export interface Note {
  readonly nodeId: string;
  /** Random for each transport: tells two processes under one id apart. */
  readonly instance: Bytes;
  /** Whoever hears it is asked to introduce itself. */
  readonly asks: boolean;
  /** A packet of the links; undefined for none. */
  readonly packet?: Bytes | undefined;
}

export class BrokerKeys {
  readonly #nameKey: CryptoKey;
  readonly #noteKey: CryptoKey;

  private constructor(nameKey: CryptoKey, noteKey: CryptoKey) {
    this.#nameKey = nameKey;
    this.#noteKey = noteKey;
  }

  /** The version of the links' protocol is no part of it: nodes of two versions shall meet, and say so. */
  static async derive(clusterName: string, secret: string): Promise<BrokerKeys> {
    const bits = await derivedBits(clusterName, secret, "notes on a broker");
    return new BrokerKeys(
      await derivedNameKey(clusterName, secret, "names on a broker"),
      await crypto.subtle.importKey("raw", bits, "AES-GCM", false, ["encrypt", "decrypt"]),
    );
  }

  /** Stands for a node on the broker. */
  async addressOf(nodeId: string): Promise<Bytes> {
    return await this.#name(`node ${nodeId}`);
  }

  async discoveryChannel(): Promise<string> {
    return channelOf(await this.#name("discovery"));
  }

  /** A whole message. The nonce is random: a cluster seals few notes under this key, and sends each often. */
  async sealNote(sender: Bytes, note: Note, random: Random): Promise<Bytes> {
    const head = header(MESSAGE.note, sender);
    const id = utf8(note.nodeId);
    const fixed = Uint8Array.of(
      (note.asks ? ASKS : 0) | (note.packet === undefined ? 0 : CARRIES),
      id.byteLength,
    );
    const plain = concatBytes(fixed, note.instance, id, note.packet ?? new Uint8Array(0));
    const iv = random.bytes(NONCE_BYTES);
    const parameters = { name: "AES-GCM", iv, additionalData: head };
    const sealed = await crypto.subtle.encrypt(parameters, this.#noteKey, plain);
    return concatBytes(head, iv, new Uint8Array(sealed));
  }

  /** Undefined unless a node of this cluster made it for the address it comes from. */
  async openNote(message: Bytes): Promise<Note | undefined> {
    const additionalData = message.subarray(0, HEADER_BYTES);
    const iv = message.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
    const sealed = message.subarray(HEADER_BYTES + NONCE_BYTES);
    let plain: Bytes;
    try {
      plain = new Uint8Array(
        await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData }, this.#noteKey, sealed),
      );
      const [flags = 0, idBytes = 0] = plain;
      const idAt = 2 + INSTANCE_BYTES;
      const nodeId = fromUtf8(plain.subarray(idAt, idAt + idBytes));
      if (plain.byteLength < idAt + idBytes || !isNodeId(nodeId)) return undefined;
      return {
        nodeId,
        instance: plain.slice(2, idAt),
        asks: (flags & ASKS) !== 0,
        packet: (flags & CARRIES) === 0 ? undefined : plain.slice(idAt + idBytes),
      };
    } catch {
      return undefined;
    }
  }

  async #name(text: string): Promise<Bytes> {
    const digest = await crypto.subtle.sign("HMAC", this.#nameKey, utf8(text));
    return new Uint8Array(digest, 0, ADDRESS_BYTES);
  }
}

/** Where the node behind `address` listens. */
export function channelOf(address: Uint8Array): string {
  return `flotilla:${hex(address)}`;
}

/** What every message of a kind from one node begins with. */
export function header(kind: number, sender: Bytes): Bytes {
  return concatBytes(Uint8Array.of(kind), sender);
}
