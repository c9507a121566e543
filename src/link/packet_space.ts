import { type Bytes, getUint48, viewOf } from "../lib/bytes.ts";
import { InOrder } from "../lib/in_order.ts";
import type { Path } from "../transport.ts";
import type { DropReason } from "./contract.ts";
import { DATA_HEADER_BYTES, type PacketPlan } from "./packet.ts";
import type { Protection } from "./protection.ts";
import { ReceivedNumbers } from "./ranges.ts";

/** Inbound packets that wait for their opening; more than any windows allow is a flood. Bytes. */
const OPENING_BYTES_MAX = 64 * 1_048_576;
/** What a waiting packet costs besides its bytes. */
const OPENING_OVERHEAD_BYTES = 512;

export interface PacketSpaceHost {
  send(packet: Bytes, path: Path | undefined): void;
  /** The items of a genuine packet that was not seen before. */
  opened(space: PacketSpace, number: number, items: Bytes): void;
  dropped(reason: DropReason): void;
}

export interface PacketSpaceOptions {
  /** What the peer writes into packets for us, and we into packets for it. */
  readonly tagIn: number;
  readonly tagOut: number;
  readonly path: Path | undefined;
  readonly protection: Protection;
}

/**
 * What one handshake agreed on: keys, tags, a way, and packet numbers from 0. A session that resumes goes on in
 * a new packet space; nothing of the old one is believed any more.
 */
export class PacketSpace {
  readonly tagIn: number;
  readonly tagOut: number;
  readonly path: Path | undefined;
  readonly received: ReceivedNumbers = new ReceivedNumbers();
  readonly #protection: Protection;
  readonly #host: PacketSpaceHost;
  readonly #outbound: InOrder<Bytes>;
  readonly #inbound: InOrder<{ number: number; weight: number; items: Bytes | undefined }>;
  #openingBytes = 0;
  #nextNumber = 0;
  #closed = false;

  constructor(options: PacketSpaceOptions, host: PacketSpaceHost) {
    this.tagIn = options.tagIn;
    this.tagOut = options.tagOut;
    this.path = options.path;
    this.#protection = options.protection;
    this.#host = host;
    this.#outbound = new InOrder((packet) => host.send(packet, this.path));
    this.#inbound = new InOrder(({ number, weight, items }) => {
      this.#openingBytes -= weight;
      this.#opened(number, items);
    });
  }

  get sealed(): boolean {
    return this.#protection.sealed;
  }

  /** The number the next packet will have. */
  get nextNumber(): number {
    return this.#nextNumber;
  }

  transmit(plan: PacketPlan): void {
    this.#outbound.push(this.#protection.seal(this.tagOut, this.#nextNumber++, plan));
  }

  receive(packet: Bytes): void {
    if (this.#closed) return this.#host.dropped("unknown-session");
    const number = getUint48(viewOf(packet), 6);
    if (this.received.has(number)) return this.#host.dropped("replayed");
    const weight = packet.byteLength + OPENING_OVERHEAD_BYTES;
    if (this.#openingBytes + weight > OPENING_BYTES_MAX) return this.#host.dropped("flood");
    this.#openingBytes += weight;
    const opening = this.#protection.open(packet);
    if (opening instanceof Promise) this.#inbound.push(opening.then((items) => ({ number, weight, items })));
    else this.#inbound.push({ number, weight, items: opening });
  }

  /** Calls `next` when all that came in so far has been opened: at once if nothing is being opened. */
  whenOpened(next: () => void): void {
    if (this.#openingBytes === 0) next();
    else void this.#inbound.idle().then(next);
  }

  /** Resolves when all that was handed over has gone to the transport. */
  flushed(): Promise<void> {
    return this.#outbound.idle();
  }

  /** Nothing that comes in is believed any more; what was handed over still goes out. */
  close(): void {
    this.#closed = true;
  }

  #opened(number: number, items: Bytes | undefined): void {
    if (this.#closed) this.#host.dropped("unknown-session");
    else if (items === undefined) this.#host.dropped("unsealed");
    else if (!this.received.add(number)) this.#host.dropped("replayed");
    else this.#host.opened(this, number, items);
  }
}

/** The tag in a data packet; undefined when the packet is too short to be one. */
export function tagOf(packet: Bytes): number | undefined {
  return packet.byteLength < DATA_HEADER_BYTES ? undefined : viewOf(packet).getUint32(2);
}
