import { type Bytes, concatBytes, utf8 } from "../lib/bytes.ts";
import { PROTOCOL_VERSION } from "./packet.ts";

export const NONCE_BYTES = 16;
/** Raw X25519 public key. */
export const PUBLIC_KEY_BYTES = 32;
const IV_BYTES = 12;
export const CLUSTER_TAG_BYTES = 8;

/** One side's one-time key pair. */
export interface Ephemeral {
  readonly privateKey: CryptoKey;
  /** Raw. */
  readonly publicKey: Bytes;
}

/** The secrets of the two directions of one handshake. */
export interface TrafficSecrets {
  readonly initiator: Bytes;
  readonly responder: Bytes;
}

/**
 * What a node derives from the cluster's secret, name and protocol version (HKDF, RFC 5869): a key that hides the
 * handshake from outsiders and a key that proves membership. Without a secret the same code runs on a public key.
 */
export class ClusterKeys {
  /** Names the cluster to others without naming it: differs for another name. */
  readonly tag: Bytes;
  readonly #handshakeKey: CryptoKey;
  readonly #proofKey: CryptoKey;

  private constructor(tag: Bytes, handshakeKey: CryptoKey, proofKey: CryptoKey) {
    this.tag = tag;
    this.#handshakeKey = handshakeKey;
    this.#proofKey = proofKey;
  }

  static async derive(clusterName: string, secret: string): Promise<ClusterKeys> {
    const name = new Uint8Array(
      await crypto.subtle.digest("SHA-256", utf8(`flotilla cluster ${clusterName}`)),
    );
    const root = await crypto.subtle.importKey("raw", utf8(`flotilla secret ${secret}`), "HKDF", false, [
      "deriveBits",
    ]);
    const expand = (use: string): Promise<Bytes> => hkdf(root, name, `flotilla/${PROTOCOL_VERSION} ${use}`);
    const handshakeKey = await aesKey(await expand("handshake"));
    const proofKey = await crypto.subtle.importKey(
      "raw",
      await expand("proof"),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["sign", "verify"],
    );
    return new ClusterKeys(name.slice(0, CLUSTER_TAG_BYTES), handshakeKey, proofKey);
  }

  /** `nonce | ciphertext`; the nonce is random, since a cluster seals few handshakes under this key. */
  async sealHandshake(header: Bytes, body: Bytes, nonce: Bytes): Promise<Bytes> {
    return concatBytes(nonce, await gcmSeal(this.#handshakeKey, nonce, header, body));
  }

  /** Undefined when it was sealed with another secret, or altered. */
  async openHandshake(header: Bytes, sealed: Bytes): Promise<Bytes | undefined> {
    return await gcmOpen(this.#handshakeKey, sealed.subarray(0, IV_BYTES), header, sealed.subarray(IV_BYTES));
  }

  async prove(role: ProofRole, transcript: Bytes): Promise<Bytes> {
    return new Uint8Array(await crypto.subtle.sign("HMAC", this.#proofKey, proofInput(role, transcript)));
  }

  /** Compares in constant time. */
  verify(role: ProofRole, transcript: Bytes, proof: Bytes): Promise<boolean> {
    return crypto.subtle.verify("HMAC", this.#proofKey, proof, proofInput(role, transcript));
  }

  /** X25519 (RFC 7748), salted by everything both sides said and by the cluster's secret. */
  async trafficSecrets(own: Ephemeral, peerPublicKey: Bytes, transcript: Bytes): Promise<TrafficSecrets> {
    const peerKey = await crypto.subtle.importKey("raw", peerPublicKey, "X25519", false, []);
    const shared = await crypto.subtle.deriveBits({ name: "X25519", public: peerKey }, own.privateKey, 256);
    const root = await crypto.subtle.importKey("raw", shared, "HKDF", false, ["deriveBits"]);
    const salt = await this.prove("traffic", transcript);
    return {
      initiator: await hkdf(root, salt, "flotilla initiator"),
      responder: await hkdf(root, salt, "flotilla responder"),
    };
  }
}

/** What a proof is for; part of what is proven, so that a proof cannot be reflected or reused. */
export type ProofRole = "initiator" | "responder" | "refusal" | "traffic";

function proofInput(role: ProofRole, transcript: Bytes): Bytes {
  return concatBytes(utf8(`flotilla/${PROTOCOL_VERSION} ${role}\0`), transcript);
}

export async function generateEphemeral(): Promise<Ephemeral> {
  const pair = await crypto.subtle.generateKey("X25519", false, ["deriveBits"]) as CryptoKeyPair;
  return {
    privateKey: pair.privateKey,
    publicKey: new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)),
  };
}

export async function sha256(...parts: readonly Bytes[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concatBytes(...parts)));
}

/** One direction's key for one key phase; the next phase's secret comes from this one's. */
export interface PacketKey {
  readonly key: CryptoKey;
  readonly iv: Bytes;
  readonly secret: Bytes;
}

export async function packetKey(secret: Bytes): Promise<PacketKey> {
  const root = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const none = new Uint8Array(0);
  return {
    key: await aesKey(await hkdf(root, none, "flotilla key")),
    iv: await hkdf(root, none, "flotilla iv", IV_BYTES),
    secret: await hkdf(root, none, "flotilla next"),
  };
}

/** The nonce of packet `number`: the phase's IV with the number added in (RFC 9001, 5.3). */
export function packetNonce(iv: Bytes, number: number): Bytes {
  const nonce = iv.slice();
  const view = new DataView(nonce.buffer);
  view.setUint32(8, view.getUint32(8) ^ (number >>> 0));
  view.setUint16(6, view.getUint16(6) ^ Math.floor(number / 4_294_967_296));
  return nonce;
}

export async function gcmSeal(
  key: CryptoKey,
  iv: Bytes,
  additionalData: Bytes,
  plain: Bytes,
): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, key, plain));
}

/** Undefined when the tag does not fit. */
export async function gcmOpen(
  key: CryptoKey,
  iv: Bytes,
  additionalData: Bytes,
  sealed: Bytes,
): Promise<Bytes | undefined> {
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData }, key, sealed));
  } catch {
    return undefined;
  }
}

function aesKey(raw: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
}

async function hkdf(root: CryptoKey, salt: Bytes, info: string, bytes = 32): Promise<Bytes> {
  const parameters = { name: "HKDF", hash: "SHA-256", salt, info: utf8(info) };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, root, bytes * 8));
}
