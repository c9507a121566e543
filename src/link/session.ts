import { type Bytes, viewOf } from "../lib/bytes.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { FlotillaError, reasonOf, shown } from "../lib/errors.ts";
import { CongestionWindow } from "./congestion.ts";
import { CONTROL, type Lane, LANES, MESSAGES, type SendResult, type Session, STREAMS } from "./contract.ts";
import { LaneReceiver } from "./lane_receiver.ts";
import { LaneSender, type OutboundFragment } from "./lane_sender.ts";
import { fragmentBytesMaxIn, Packer } from "./packer.ts";
import { decodeItems, isEliciting, type ItemHandler, type PacketPlan, planBytes } from "./packet.ts";
import type { PacketSpace } from "./packet_space.ts";
import { Recovery, type SentPacket } from "./recovery.ts";
import type { RttEstimator } from "./rtt.ts";

/** Frames of the link itself travel on the control lane under this port. */
export const LINK_PORT = 0;

/** What the control lane may have outstanding. Its content is bounded by what it answers. Bytes. */
export const CONTROL_WINDOW_BYTES = 1_048_576;
/** An END without an answer is repeated over transports that lose. */
const END_REPEATS_LOSSY = 3;

export interface SessionLimits {
  /** The longest frame on any lane, bytes. */
  readonly frameBytesMax: number;
  /** The most that may wait on a bulk lane before `full`, bytes. */
  readonly laneQueueBytesMax: number;
  /** The longest packet of the transport, bytes. */
  readonly packetBytesMax: number;
  readonly lossless: boolean;
}

/** What a session tells the link it belongs to. */
export interface SessionHost {
  readonly clock: Clock;
  readonly rtt: RttEstimator;
  frame(session: LinkSession, lane: Lane, port: number, frame: Bytes): void;
  datagram(session: LinkSession, port: number, payload: Bytes): void;
  writable(session: LinkSession, lane: Lane): void;
  /** Something that travelled was lost or arrived; for the quality score. */
  settled(lost: boolean): void;
  retransmitting(fragments: number): void;
  /** The peer said that it stops. */
  left(session: LinkSession): void;
  /** The peer broke the protocol, or a service failed on what it sent. */
  fault(session: LinkSession, reason: string): void;
  /** A lossless way lost something: only a new handshake repairs that. */
  gap(session: LinkSession): void;
}

/** One end of what two incarnations share: lanes that outlive packet spaces, and the packing of items into packets. */
export class LinkSession implements Session {
  readonly id: string;
  readonly nodeId: string;
  readonly incarnation: string;
  #live = true;
  readonly #limits: SessionLimits;
  readonly #host: SessionHost;
  readonly #senders: readonly LaneSender[];
  readonly #receivers: readonly LaneReceiver[];
  readonly #packer: Packer;
  /** Bulk lanes that answered `full`, with the bytes of the shortest frame refused. */
  readonly #starved = new Map<Lane, number>();
  #space: PacketSpace | undefined;
  #recovery: Recovery | undefined;
  #timer: Timer | undefined;
  #timerAt = 0;
  #ackTimer: Timer | undefined;
  #flushScheduled = false;
  #pingListeners: ((rttMs: number) => void)[] = [];
  readonly #items: ItemHandler;
  #heardEliciting = false;

  constructor(
    id: string,
    nodeId: string,
    incarnation: string,
    windows: { readonly send: number; readonly receive: number },
    limits: SessionLimits,
    host: SessionHost,
  ) {
    this.id = id;
    this.nodeId = nodeId;
    this.incarnation = incarnation;
    this.#limits = limits;
    this.#host = host;
    const fragmentBytesMax = fragmentBytesMaxIn(limits.packetBytesMax);
    this.#senders = LANES.map((lane) =>
      new LaneSender(lane, lane === CONTROL ? CONTROL_WINDOW_BYTES : windows.send, fragmentBytesMax)
    );
    this.#packer = new Packer(limits.packetBytesMax, this.#senders);
    this.#receivers = LANES.map((lane) =>
      new LaneReceiver(
        lane === CONTROL ? CONTROL_WINDOW_BYTES : windows.receive,
        limits.frameBytesMax,
        (port, frame) => this.#deliver(lane, port, frame),
      )
    );
    this.#items = {
      ack: (ranges) => {
        if (this.#recovery?.acknowledge(ranges, host.clock.now()) === false) {
          throw new FlotillaError(
            "malformed",
            `the peer acknowledges packet ${ranges[0]?.high}, which was never sent`,
          );
        }
      },
      ping: () => void (this.#heardEliciting = true),
      datagram: (port, payload) => {
        this.#heardEliciting = true;
        if (this.#live) host.datagram(this, port, payload);
      },
      fragment: (fragment) => {
        this.#heardEliciting = true;
        (this.#receivers[fragment.lane] as LaneReceiver).accept(fragment);
      },
      end: () => host.left(this),
    };
  }

  get live(): boolean {
    return this.#live;
  }

  /** The packet space in use; undefined while the way is lost. */
  get space(): PacketSpace | undefined {
    return this.#space;
  }

  /** The next sequence awaited on each lane: what the peer is told when the session resumes. */
  get received(): readonly number[] {
    return this.#receivers.map((receiver) => receiver.next);
  }

  pendingBytes(lane: Lane): number {
    return this.#sender(lane).pendingBytes;
  }

  send(lane: Lane, port: number, frame: Bytes, head?: Bytes): SendResult {
    if (!this.#live) return "ended";
    const bytes = head === undefined ? frame.byteLength : head.byteLength + frame.byteLength;
    if (bytes > this.#limits.frameBytesMax) {
      throw new FlotillaError(
        "too-large",
        `cannot send a frame of ${bytes} bytes: the limit is ${this.#limits.frameBytesMax}`,
      );
    }
    const sender = this.#sender(lane);
    const queuedBytes = sender.queuedBytes;
    if (lane !== CONTROL && queuedBytes > 0 && queuedBytes + bytes > this.#limits.laneQueueBytesMax) {
      this.#starved.set(lane, Math.min(bytes, this.#starved.get(lane) ?? bytes));
      return "full";
    }
    sender.push(port, frame, head);
    this.#scheduleFlush();
    return "sent";
  }

  datagram(port: number, payload: Bytes): boolean {
    if (this.#space === undefined || !this.#packer.addDatagram(port, payload, this.#space)) return false;
    this.#scheduleFlush();
    return true;
  }

  /** Sends something that the peer must acknowledge; `acknowledged` hears the round trip, or nothing if it was lost. */
  ping(acknowledged?: (rttMs: number) => void): void {
    this.#packer.pingOwed = true;
    if (acknowledged !== undefined) this.#pingListeners.push(acknowledged);
    this.#scheduleFlush();
  }

  /** Goes on (or begins) in `space`; `peerReceived` is what the peer has of each lane. False if that cannot be. */
  attach(space: PacketSpace, peerReceived: readonly number[]): boolean {
    let again = 0;
    for (const lane of LANES) {
      const fragments = this.#sender(lane).resume(peerReceived[lane] as number);
      if (fragments === undefined) return false;
      again += fragments;
    }
    this.#host.retransmitting(again);
    this.detach();
    this.#space = space;
    const congestion = this.#limits.lossless ? undefined : new CongestionWindow(this.#packer.packetBytes);
    this.#recovery = new Recovery(this.#host.rtt, congestion, {
      acknowledged: (packet) => this.#acknowledged(packet),
      lost: (packet) => this.#lost(packet),
      probe: () => this.#probe(),
    });
    this.ping();
    return true;
  }

  /** The way is lost; frames wait for the next one. */
  detach(): void {
    this.#space?.close();
    this.#space = undefined;
    this.#recovery = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#ackTimer?.cancel();
    this.#ackTimer = undefined;
    this.#packer.reset();
  }

  /** Handles the items of one genuine packet. */
  receive(number: number, items: Bytes): void {
    const space = this.#space;
    if (!this.#live || space === undefined) return;
    if (this.#limits.lossless && !space.received.unbroken) return this.#host.gap(this);
    this.#heardEliciting = false;
    try {
      decodeItems(items, 0, this.#items);
    } catch (thrown) {
      this.#host.fault(this, `packet ${number}: ${reasonOf(thrown)}`);
      return;
    }
    if (this.#heardEliciting) this.#packer.ackOwed = true;
    if (this.#hasWork()) this.#scheduleFlush();
    else this.#acknowledgeSoon();
  }

  /** The peer may have `bytes` outstanding on each bulk lane from now on. */
  setReceiveWindow(bytes: number): void {
    const frame = new Uint8Array(4);
    viewOf(frame).setUint32(0, bytes);
    for (const lane of [MESSAGES, STREAMS]) {
      const receiver = this.#receivers[lane] as LaneReceiver;
      receiver.windowBytes = Math.max(receiver.windowBytes, bytes);
    }
    this.send(CONTROL, LINK_PORT, frame);
  }

  /** Tells the peer that this node stops, as well as can be; then nothing more is sent. */
  sayEnd(reason: number): void {
    const space = this.#space;
    if (space === undefined) return;
    this.#flush();
    const repeats = this.#limits.lossless ? 1 : END_REPEATS_LOSSY;
    for (let copy = 0; copy < repeats; copy++) {
      space.transmit({ ack: undefined, ping: false, end: reason, datagrams: [], fragments: [] });
    }
  }

  /** The session is over. What `sayEnd` handed to a sealing space still goes out. */
  end(): void {
    this.#live = false;
    this.detach();
    this.#pingListeners = [];
    this.#starved.clear();
  }

  #sender(lane: Lane): LaneSender {
    return this.#senders[lane] as LaneSender;
  }

  #deliver(lane: Lane, port: number, frame: Bytes): void {
    if (!this.#live) return;
    if (port === LINK_PORT) this.#windowChanged(frame);
    else this.#host.frame(this, lane, port, frame);
  }

  #windowChanged(frame: Bytes): void {
    if (frame.byteLength !== 4) {
      throw new FlotillaError("malformed", `a window of ${shown(frame.byteLength)} bytes`);
    }
    const bytes = viewOf(frame).getUint32(0);
    for (const lane of [MESSAGES, STREAMS]) this.#sender(lane).windowBytes = bytes;
  }

  /** Whether a flush has more to do than to acknowledge. */
  #hasWork(): boolean {
    return this.#packer.pingOwed || this.#starved.size > 0 ||
      this.#senders.some((sender) => sender.queuedBytes > 0 || sender.hasLost);
  }

  /** After this turn's work: the answers that it brings mostly leave in a packet that can carry the acknowledgement. */
  #acknowledgeSoon(): void {
    if (this.#recovery !== undefined) this.#armTimer(this.#recovery);
    if (!this.#packer.ackOwed) return;
    this.#ackTimer ??= this.#host.clock.timer(0, () => {
      this.#ackTimer = undefined;
      if (this.#packer.ackOwed) this.#flush();
    });
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#space === undefined) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  /** Sends all that window and congestion allow. */
  #flush(): void {
    const space = this.#space;
    const recovery = this.#recovery;
    if (space === undefined || recovery === undefined) return;
    const next = (): PacketPlan | undefined => this.#packer.next(space, recovery.hasRoom());
    for (let plan = next(); plan !== undefined; plan = next()) this.#transmit(space, recovery, plan);
    this.#armTimer(recovery);
    this.#announceRoom();
  }

  #transmit(space: PacketSpace, recovery: Recovery, plan: PacketPlan): void {
    let packet: SentPacket | undefined;
    // The answer to an acknowledgement carries TCP's, which the next small write would wait 40 ms for.
    if (space.path?.holdsSmallWrites === true) plan.ping = true;
    if (isEliciting(plan)) {
      const listeners = plan.ping ? this.#pingListeners.splice(0) : [];
      packet = {
        number: space.nextNumber,
        sentAt: this.#host.clock.now(),
        bytes: planBytes(plan),
        fragments: plan.fragments as readonly OutboundFragment[],
        onAcknowledged: listeners.length === 0 ? undefined : (rttMs) => {
          for (const listener of listeners) listener(rttMs);
        },
      };
    }
    recovery.sent(packet);
    space.transmit(plan);
  }

  #acknowledged(packet: SentPacket): void {
    for (const fragment of packet.fragments) {
      if (!fragment.acknowledged) this.#sender(fragment.lane).acknowledge(fragment);
    }
    this.#host.settled(false);
  }

  #lost(packet: SentPacket): void {
    let again = 0;
    for (const fragment of packet.fragments) {
      if (this.#sender(fragment.lane).lose(fragment, packet.number)) again++;
    }
    this.#host.retransmitting(again);
    this.#host.settled(true);
  }

  #probe(): void {
    let again = 0;
    for (const lane of LANES) again += this.#sender(lane).probe(1);
    this.#host.retransmitting(again);
    this.#packer.pingOwed = true;
  }

  #armTimer(recovery: Recovery): void {
    const due = recovery.nextTimerAt();
    if (due === undefined || (this.#timer !== undefined && this.#timerAt <= due)) return;
    this.#timer?.cancel();
    this.#timerAt = due;
    this.#timer = this.#host.clock.timer(Math.max(0, due - this.#host.clock.now()), () => {
      this.#timer = undefined;
      if (this.#recovery !== recovery) return;
      recovery.expire(this.#host.clock.now());
      this.#flush();
    });
  }

  #announceRoom(): void {
    const bytesMax = this.#limits.laneQueueBytesMax;
    // Of the lanes as they are now: a handler that is refused again waits for more room.
    for (const [lane, bytesWanted] of [...this.#starved]) {
      const { queuedBytes } = this.#sender(lane);
      if (queuedBytes > 0 && (queuedBytes * 2 > bytesMax || queuedBytes + bytesWanted > bytesMax)) continue;
      this.#starved.delete(lane);
      this.#host.writable(this, lane);
    }
  }
}
