import type { Bytes } from "../lib/bytes.ts";
import { CONTROL, type Lane, MESSAGES, STREAMS } from "./contract.ts";
import type { LaneSender, OutboundFragment } from "./lane_sender.ts";
import {
  ackBytes,
  DATA_HEADER_BYTES,
  type Datagram,
  datagramBytes,
  FRAGMENT_BYTES_MAX,
  FRAGMENT_HEADER_BYTES_MAX,
  fragmentBytes,
  type PacketPlan,
  SEAL_BYTES,
} from "./packet.ts";
import type { PacketSpace } from "./packet_space.ts";

/** Packets are filled up to this, so that control waits behind little: one full fragment and some company. Bytes. */
const PACKET_FILL_BYTES = FRAGMENT_BYTES_MAX + 2_048;

function roomIn(packetBytesMax: number): number {
  return Math.min(PACKET_FILL_BYTES, packetBytesMax - DATA_HEADER_BYTES - SEAL_BYTES);
}

/** The longest payload of a fragment that fits one packet. */
export function fragmentBytesMaxIn(packetBytesMax: number): number {
  return Math.min(FRAGMENT_BYTES_MAX, roomIn(packetBytesMax) - FRAGMENT_HEADER_BYTES_MAX);
}

/**
 * Decides what travels in the next packet: acknowledgements and datagrams first, then control, then, while
 * congestion allows, messages and streams in turns.
 */
export class Packer {
  /** What fits between a packet's header and its seal. */
  readonly packetBytes: number;
  /** The other side is owed an acknowledgement. */
  ackOwed = false;
  /** The next packet must be one that is acknowledged. */
  pingOwed = false;
  readonly #senders: readonly LaneSender[];
  #datagrams: Datagram[] = [];
  #streamsFirst = false;

  constructor(packetBytesMax: number, senders: readonly LaneSender[]) {
    this.packetBytes = roomIn(packetBytesMax);
    this.#senders = senders;
  }

  /** False if it does not fit a packet of `space`. */
  addDatagram(port: number, payload: Bytes, space: PacketSpace): boolean {
    if (datagramBytes(payload.byteLength) > this.packetBytes - ackBytes(space.received.ranges)) return false;
    this.#datagrams.push({ port, payload });
    return true;
  }

  /** Forgets what only made sense in the packet space that is left. */
  reset(): void {
    this.ackOwed = false;
    this.#datagrams = [];
  }

  /** The next packet of `space`; undefined when there is nothing to send. Bulk only where it `mayFill`. */
  next(space: PacketSpace, mayFill: boolean): PacketPlan | undefined {
    const ack = this.ackOwed && space.received.ranges.length > 0 ? space.received.ranges.slice() : undefined;
    this.ackOwed = false;
    const ping = this.pingOwed;
    this.pingOwed = false;
    let room = this.packetBytes - ackBytes(ack) - (ping ? 1 : 0);
    const datagrams: Datagram[] = [];
    for (const datagram of this.#datagrams) {
      const bytes = datagramBytes(datagram.payload.byteLength);
      if (bytes > room) break;
      room -= bytes;
      datagrams.push(datagram);
    }
    this.#datagrams = this.#datagrams.slice(datagrams.length);
    const fragments: OutboundFragment[] = [];
    room = this.#fill(CONTROL, fragments, room, space.nextNumber);
    if (mayFill) {
      this.#streamsFirst = !this.#streamsFirst;
      const [first, second] = this.#streamsFirst ? [STREAMS, MESSAGES] : [MESSAGES, STREAMS];
      room = this.#fill(first, fragments, room, space.nextNumber);
      this.#fill(second, fragments, room, space.nextNumber);
    }
    if (ack === undefined && !ping && datagrams.length === 0 && fragments.length === 0) return undefined;
    return { ack, ping, end: undefined, datagrams, fragments };
  }

  #fill(lane: Lane, fragments: OutboundFragment[], room: number, number: number): number {
    const sender = this.#senders[lane] as LaneSender;
    for (let next = sender.peek(); next !== undefined; next = sender.peek()) {
      const bytes = fragmentBytes(next);
      if (bytes > room) break;
      room -= bytes;
      sender.take(next, number);
      fragments.push(next);
    }
    return room;
  }
}
