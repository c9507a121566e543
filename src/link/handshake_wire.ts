/**
 * The four messages of the handshake. Each travels as `type | version | cluster tag | nonce | sealed [kind, core, proof]`;
 * `core` is the CBOR array of the message's fields and `proof` covers it, see handshaker.ts.
 */
import { type Bytes, concatBytes, equalBytes, hex } from "../lib/bytes.ts";
import { decodeCbor, encodeCbor } from "../lib/cbor.ts";
import { NODE_ID_BYTES_MAX } from "../lib/limits.ts";
import { asBytes, asText, asTuple, asWhole } from "../lib/shape.ts";
import { CLUSTER_TAG_BYTES, type ClusterKeys, NONCE_BYTES, PUBLIC_KEY_BYTES } from "./cluster_keys.ts";
import type { RefusalReason } from "./contract.ts";
import { PACKET, PROTOCOL_VERSION } from "./packet.ts";

const SESSION_ID_BYTES = 16;
const INCARNATION_BYTES = 8;
const HEADER_BYTES = 2 + CLUSTER_TAG_BYTES;
/** What each lane's receiver awaits next. */
export type LanePositions = readonly number[];

/** What both sides say of themselves. */
export interface Introduction {
  readonly from: string;
  readonly to: string;
  /** Hexadecimal. */
  readonly incarnation: string;
  /** Names this attempt; chosen by the initiator and echoed. */
  readonly attempt: Bytes;
  readonly publicKey: Bytes;
  /** To be written into packets for this side. */
  readonly tag: number;
  /** What this side's receivers hold of each bulk lane, bytes. */
  readonly windowBytes: number;
}

export interface Hello extends Introduction {
  readonly kind: "hello";
  /** The session this side would go on with. */
  readonly resume: { readonly sessionId: string; readonly received: LanePositions } | undefined;
}

/**
 * Whether a side is content without sealing on the way that its message takes: it is not; it opened or accepted the
 * way and sees it as private; or all ways are declared private.
 */
export type PlainOffer = "no" | "opened" | "accepted" | "declared";

export interface Reply extends Introduction {
  readonly kind: "reply";
  readonly nonce: Bytes;
  readonly plain: PlainOffer;
  readonly resumed: boolean;
  readonly sessionId: string;
  readonly received: LanePositions;
}

export interface Confirm {
  readonly kind: "confirm";
  readonly from: string;
  readonly to: string;
  readonly attempt: Bytes;
  readonly plain: PlainOffer;
  readonly received: LanePositions;
}

export interface Refuse {
  readonly kind: "refuse";
  readonly from: string;
  readonly to: string;
  readonly attempt: Bytes;
  readonly reason: "id-in-use" | "session-unknown";
}

export type HandshakeMessage = Hello | Reply | Confirm | Refuse;

/** A message with the bytes its proof covers. */
export interface Signed {
  readonly message: HandshakeMessage;
  readonly core: Bytes;
  readonly proof: Bytes;
}

const KINDS = ["hello", "reply", "confirm", "refuse"] as const;
const PLAIN_OFFERS = ["no", "opened", "accepted", "declared"] as const;
const REFUSALS = ["id-in-use", "session-unknown"] as const;

export function encodeCore(message: HandshakeMessage): Bytes {
  switch (message.kind) {
    case "hello": {
      const { resume } = message;
      return encodeCbor([
        ...introduction(message),
        resume === undefined ? null : [unhex(resume.sessionId), ...resume.received],
      ]);
    }
    case "reply":
      return encodeCbor([
        ...introduction(message),
        message.nonce,
        PLAIN_OFFERS.indexOf(message.plain),
        message.resumed ? 1 : 0,
        unhex(message.sessionId),
        ...message.received,
      ]);
    case "confirm":
      return encodeCbor([
        message.from,
        message.to,
        message.attempt,
        PLAIN_OFFERS.indexOf(message.plain),
        ...message.received,
      ]);
    case "refuse":
      return encodeCbor([message.from, message.to, message.attempt, REFUSALS.indexOf(message.reason)]);
  }
}

function introduction(message: Introduction): unknown[] {
  return [
    message.from,
    message.to,
    unhex(message.incarnation),
    message.attempt,
    message.publicKey,
    message.tag,
    message.windowBytes,
  ];
}

/** The whole packet. */
export async function sealHandshake(
  keys: ClusterKeys,
  kind: HandshakeMessage["kind"],
  core: Bytes,
  proof: Bytes,
  nonce: Bytes,
): Promise<Bytes> {
  const header = concatBytes(Uint8Array.of(PACKET.handshake, PROTOCOL_VERSION), keys.tag);
  return concatBytes(
    header,
    await keys.sealHandshake(header, encodeCbor([KINDS.indexOf(kind), core, proof]), nonce),
  );
}

/** A refusal when the sender is of another version, cluster or secret. Throws `malformed` for what nobody sends. */
export async function openHandshake(keys: ClusterKeys, packet: Bytes): Promise<Signed | RefusalReason> {
  if (packet.byteLength < HEADER_BYTES + 28 || packet.byteLength > 4_096) return asRefusal(packet);
  const early = asRefusal(packet, keys);
  if (early !== "wrong-secret") return early;
  const body = await keys.openHandshake(packet.slice(0, HEADER_BYTES), packet.subarray(HEADER_BYTES));
  return body === undefined ? "wrong-secret" : decodeBody(body);
}

/** What the clear header alone gives away; `wrong-secret` when it is as it should be. */
function asRefusal(packet: Bytes, keys?: ClusterKeys): RefusalReason {
  if (packet[1] !== PROTOCOL_VERSION) return "wrong-version";
  if (keys !== undefined && !equalBytes(packet.subarray(2, HEADER_BYTES), keys.tag)) return "wrong-cluster";
  return "wrong-secret";
}

function decodeBody(body: Bytes): Signed {
  const [kind, coreField, proofField] = asTuple(decodeCbor(body), 3, "a handshake message");
  const core = asBytes(coreField, "a core");
  const proof = asBytes(proofField, "a proof");
  const fields = decodeCbor(core);
  return {
    message: decodeCore(KINDS[asWhole(kind, 0, 3, "a handshake kind")] as HandshakeMessage["kind"], fields),
    core,
    proof,
  };
}

function decodeCore(kind: HandshakeMessage["kind"], value: unknown): HandshakeMessage {
  switch (kind) {
    case "hello": {
      const fields = asTuple(value, 8, "a hello");
      return { kind, ...asIntroduction(fields), resume: fields[7] === null ? undefined : asOffer(fields[7]) };
    }
    case "reply": {
      const fields = asTuple(value, 14, "a reply");
      return {
        kind,
        ...asIntroduction(fields),
        nonce: asBytes(fields[7], "a nonce", NONCE_BYTES),
        plain: asPlainOffer(fields[8]),
        resumed: asWhole(fields[9], 0, 1, "a decision") === 1,
        sessionId: hex(asBytes(fields[10], "a session id", SESSION_ID_BYTES)),
        received: asPositions(fields.slice(11)),
      };
    }
    case "confirm": {
      const fields = asTuple(value, 7, "a confirm");
      const plain = asPlainOffer(fields[3]);
      return { kind, ...asEnds(fields), plain, received: asPositions(fields.slice(4)) };
    }
    case "refuse": {
      const fields = asTuple(value, 4, "a refusal");
      const reason = REFUSALS[asWhole(fields[3], 0, REFUSALS.length - 1, "a reason")] as Refuse["reason"];
      return { kind, ...asEnds(fields), reason };
    }
  }
}

function asEnds(fields: readonly unknown[]): { from: string; to: string; attempt: Bytes } {
  return {
    from: asText(fields[0], NODE_ID_BYTES_MAX, "a nodeId"),
    to: asText(fields[1], NODE_ID_BYTES_MAX, "a nodeId"),
    attempt: asBytes(fields[2], "an attempt", NONCE_BYTES),
  };
}

function asIntroduction(fields: readonly unknown[]): Introduction {
  return {
    from: asText(fields[0], NODE_ID_BYTES_MAX, "a nodeId"),
    to: asText(fields[1], NODE_ID_BYTES_MAX, "a nodeId"),
    incarnation: hex(asBytes(fields[2], "an incarnation", INCARNATION_BYTES)),
    attempt: asBytes(fields[3], "an attempt", NONCE_BYTES),
    publicKey: asBytes(fields[4], "a public key", PUBLIC_KEY_BYTES),
    tag: asWhole(fields[5], 0, 0xffff_ffff, "a tag"),
    windowBytes: asWhole(fields[6], 1, 2 ** 40, "a window"),
  };
}

function asPlainOffer(value: unknown): PlainOffer {
  return PLAIN_OFFERS[asWhole(value, 0, PLAIN_OFFERS.length - 1, "an offer not to seal")] as PlainOffer;
}

function asOffer(value: unknown): { sessionId: string; received: LanePositions } {
  const fields = asTuple(value, 4, "an offer");
  return {
    sessionId: hex(asBytes(fields[0], "a session id", SESSION_ID_BYTES)),
    received: asPositions(fields.slice(1)),
  };
}

function asPositions(fields: readonly unknown[]): LanePositions {
  return fields.map((field) => asWhole(field, 0, 2 ** 48, "a lane position"));
}

function unhex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
