/**
 * Packets as they travel, and the items inside a data packet. As in QUIC (RFC 9000, 12), a packet is sent once
 * under a number of its own; what is sent again are fragments, in new packets.
 *
 * data packet:  type u8 | key phase u8 | receiver's tag u32 | packet number u48 | items (sealed or plain)
 * All integers are big-endian.
 */
import { type Bytes, getUint48, setUint48, viewOf } from "../lib/bytes.ts";
import { FlotillaError } from "../lib/errors.ts";
import type { Lane } from "./contract.ts";
import type { NumberRange } from "./ranges.ts";

/** Version of the node-to-node protocol; nodes of different versions refuse each other. */
export const PROTOCOL_VERSION = 1;

export const PACKET = {
  /** `type | version u8 | cluster tag 8 | nonce 12 | sealed body`, see handshake_wire.ts. */
  handshake: 1,
  plain: 2,
  sealed: 3,
  /** `type | version u8 | reason u8`: an unauthenticated refusal, believed only by the log. */
  refuse: 4,
  /** `type`: "I am here", a discovery hint. */
  announce: 5,
  /** `type | tag u32`: "I do not know this tag", a hint to shake hands again. */
  reset: 6,
} as const;

export const DATA_HEADER_BYTES = 12;
/** AES-GCM's authentication tag. */
export const SEAL_BYTES = 16;

/** The most payload one fragment carries: a 64 KiB chunk with its header fits one. */
export const FRAGMENT_BYTES_MAX: number = 65_536 + 512;

const ITEM_ACK = 1;
const ITEM_PING = 2;
const ITEM_DATAGRAM = 3;
const ITEM_END = 4;
const ITEM_FRAGMENT = 0x10;
const FRAGMENT_FIRST = 0x04;
const FRAGMENT_LAST = 0x08;

const ACK_RANGES_MAX = 64;
const DATAGRAM_HEADER_BYTES = 6;
const PING_BYTES = 1;
const END_BYTES = 2;

/** A piece of a frame: the unit that lanes number, acknowledge and send again. */
export interface Fragment {
  readonly lane: Lane;
  /** Counts up by one in the lane, from 0 for a new session. */
  readonly sequence: number;
  readonly port: number;
  /** Bytes of the whole frame. */
  readonly total: number;
  readonly first: boolean;
  readonly last: boolean;
  /** Stands before the payload; only where it goes out. */
  readonly head?: Bytes | undefined;
  readonly payload: Bytes;
}

/** What a fragment counts for in windows and queues: its payload and what it costs to hold it. */
export function weightOf(payloadBytes: number): number {
  return payloadBytes + 64;
}

export interface Datagram {
  readonly port: number;
  readonly payload: Bytes;
}

/** What goes into one data packet. */
export interface PacketPlan {
  readonly ack: readonly NumberRange[] | undefined;
  ping: boolean;
  readonly end: number | undefined;
  readonly datagrams: readonly Datagram[];
  readonly fragments: readonly Fragment[];
}

/** What comes out of one; called in the order of the items. */
export interface ItemHandler {
  ack(ranges: readonly NumberRange[]): void;
  ping(): void;
  datagram(port: number, payload: Bytes): void;
  fragment(fragment: Fragment): void;
  end(reason: number): void;
}

export function ackBytes(ranges: readonly NumberRange[] | undefined): number {
  return ranges === undefined ? 0 : 2 + Math.min(ranges.length, ACK_RANGES_MAX) * 12;
}

export function datagramBytes(payloadBytes: number): number {
  return DATAGRAM_HEADER_BYTES + payloadBytes;
}

export function fragmentBytes(fragment: Fragment): number {
  return 11 + (fragment.first ? 1 : 0) + (fragment.first && !fragment.last ? 4 : 0) +
    payloadBytes(fragment);
}

function payloadBytes({ head, payload }: Fragment): number {
  return head === undefined ? payload.byteLength : head.byteLength + payload.byteLength;
}

/** The longest header a fragment can have. */
export const FRAGMENT_HEADER_BYTES_MAX = 16;

/** Whether the other side must acknowledge the packet (RFC 9002, 2). */
export function isEliciting(plan: PacketPlan): boolean {
  return plan.ping || plan.datagrams.length > 0 || plan.fragments.length > 0;
}

export function planBytes(plan: PacketPlan): number {
  let bytes = DATA_HEADER_BYTES + ackBytes(plan.ack);
  if (plan.ping) bytes += PING_BYTES;
  if (plan.end !== undefined) bytes += END_BYTES;
  for (const datagram of plan.datagrams) bytes += datagramBytes(datagram.payload.byteLength);
  for (const fragment of plan.fragments) bytes += fragmentBytes(fragment);
  return bytes;
}

/** The unsealed packet in a buffer of its own, header included. */
export function encodePacket(
  type: number,
  phase: number,
  tag: number,
  number: number,
  plan: PacketPlan,
): Bytes {
  const out = new Uint8Array(planBytes(plan));
  const view = viewOf(out);
  out[0] = type;
  out[1] = phase;
  view.setUint32(2, tag);
  setUint48(view, 6, number);
  let at = DATA_HEADER_BYTES;
  if (plan.ack !== undefined) {
    const count = Math.min(plan.ack.length, ACK_RANGES_MAX);
    out[at] = ITEM_ACK;
    out[at + 1] = count;
    at += 2;
    for (let index = 0; index < count; index++) {
      const range = plan.ack[index] as NumberRange;
      setUint48(view, at, range.low);
      setUint48(view, at + 6, range.high);
      at += 12;
    }
  }
  if (plan.ping) out[at++] = ITEM_PING;
  if (plan.end !== undefined) {
    out[at] = ITEM_END;
    out[at + 1] = plan.end;
    at += END_BYTES;
  }
  for (const { port, payload } of plan.datagrams) {
    out[at] = ITEM_DATAGRAM;
    out[at + 1] = port;
    view.setUint32(at + 2, payload.byteLength);
    out.set(payload, at + DATAGRAM_HEADER_BYTES);
    at += datagramBytes(payload.byteLength);
  }
  for (const fragment of plan.fragments) {
    out[at] = ITEM_FRAGMENT | fragment.lane | (fragment.first ? FRAGMENT_FIRST : 0) |
      (fragment.last ? FRAGMENT_LAST : 0);
    setUint48(view, at + 1, fragment.sequence);
    view.setUint32(at + 7, payloadBytes(fragment));
    at += 11;
    if (fragment.first) out[at++] = fragment.port;
    if (fragment.first && !fragment.last) {
      view.setUint32(at, fragment.total);
      at += 4;
    }
    if (fragment.head !== undefined) {
      out.set(fragment.head, at);
      at += fragment.head.byteLength;
    }
    out.set(fragment.payload, at);
    at += fragment.payload.byteLength;
  }
  return out;
}

/** Hands every item from `at` on to `handler`. Throws `malformed`; items before the fault were handed over. */
export function decodeItems(packet: Bytes, at: number, handler: ItemHandler): void {
  const view = viewOf(packet);
  const need = (bytes: number): void => {
    if (at + bytes > packet.byteLength) throw malformed("an item is cut short", at);
  };
  while (at < packet.byteLength) {
    const kind = packet[at] as number;
    if ((kind & 0xf0) === ITEM_FRAGMENT) {
      need(11);
      const lane = kind & 0x03;
      if (lane > 2) throw malformed(`lane ${lane} does not exist`, at);
      const first = (kind & FRAGMENT_FIRST) !== 0;
      const last = (kind & FRAGMENT_LAST) !== 0;
      const sequence = getUint48(view, at + 1);
      const length = view.getUint32(at + 7);
      at += 11;
      let port = 0;
      let total = length;
      if (first) {
        need(last ? 1 : 5);
        port = packet[at++] as number;
        if (!last) {
          total = view.getUint32(at);
          at += 4;
        }
      }
      need(length);
      const payload = packet.subarray(at, at + length);
      at += length;
      handler.fragment({ lane: lane as Lane, sequence, port, total, first, last, payload });
    } else if (kind === ITEM_ACK) {
      need(2);
      const count = packet[at + 1] as number;
      at += 2;
      need(count * 12);
      handler.ack(decodeRanges(view, at, count));
      at += count * 12;
    } else if (kind === ITEM_PING) {
      at += PING_BYTES;
      handler.ping();
    } else if (kind === ITEM_DATAGRAM) {
      need(DATAGRAM_HEADER_BYTES);
      const port = packet[at + 1] as number;
      const length = view.getUint32(at + 2);
      at += DATAGRAM_HEADER_BYTES;
      need(length);
      handler.datagram(port, packet.subarray(at, at + length));
      at += length;
    } else if (kind === ITEM_END) {
      need(END_BYTES);
      handler.end(packet[at + 1] as number);
      at += END_BYTES;
    } else {
      throw malformed(`item kind ${kind} does not exist`, at);
    }
  }
}

/** Ranges come highest first and must neither touch nor overlap. */
function decodeRanges(view: DataView, at: number, count: number): NumberRange[] {
  if (count === 0 || count > ACK_RANGES_MAX) throw malformed(`${count} ack ranges`, at);
  const ranges: NumberRange[] = [];
  let above = Number.POSITIVE_INFINITY;
  for (let index = 0; index < count; index++, at += 12) {
    const low = getUint48(view, at);
    const high = getUint48(view, at + 6);
    if (low > high || high >= above - 1) throw malformed(`ack range ${low} to ${high} is out of order`, at);
    ranges.push({ low, high });
    above = low;
  }
  return ranges;
}

export function malformed(what: string, at: number): FlotillaError {
  return new FlotillaError("malformed", `cannot read the packet: ${what} (byte ${at})`);
}
