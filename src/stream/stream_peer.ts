import type { Bytes } from "../lib/bytes.ts";
import { FlotillaError } from "../lib/errors.ts";
import { CONTROL, type Session, STREAMS } from "../link/contract.ts";
import { STREAM_PORT } from "./contract.ts";
import {
  type Abortion,
  type Credit,
  dataHead,
  decodeFromCaller,
  decodeFromOwner,
  encodeAbort,
  encodeCredits,
  encodeEnd,
  encodeOpen,
  encodeSettled,
  type Ending,
  type Opening,
  type Settlement,
} from "./frames.ts";
import type { Leg, Way } from "./leg.ts";
import type { Owner } from "./owner.ts";
import { Receiver, type Upstream } from "./receiver.ts";

/** Streams to and from one peer, in one session. */
export class StreamPeer implements Way, Upstream {
  readonly session: Session;
  readonly #owner: Owner;
  /** Ours to the peer's connections, by number. */
  readonly #legs = new Map<number, Leg>();
  #nextNumber = 0;
  /** Legs that the lane had no room for, in the order in which they asked. */
  readonly #waiting = new Set<Leg>();
  /** The peer's to our connections, by its numbers. */
  readonly #receivers = new Map<number, Receiver>();
  #nextExpected = 0;
  /** Of this turn, by stream: only the last counts. */
  #credits = new Map<number, Credit>();
  #settlements: Settlement[] = [];
  #telling = false;

  constructor(session: Session, owner: Owner) {
    this.session = session;
    this.#owner = owner;
  }

  get nodeId(): string {
    return this.session.nodeId;
  }

  /** Streams under way, both ways. */
  get size(): number {
    return this.#legs.size + this.#receivers.size;
  }

  /** The session has ended. */
  down(): void {
    for (const leg of new Set([...this.#legs.values(), ...this.#waiting])) leg.lost();
    const abortion: Abortion = { code: "node-lost", reason: `the node ${this.nodeId} is lost` };
    for (const receiver of [...this.#receivers.values()]) receiver.abort(abortion);
    this.#waiting.clear();
  }

  // --- Way: our streams, to the peer's connections ---

  open(leg: Leg, opening: Opening): boolean {
    const number = this.#nextNumber;
    // Not taken, it has no number yet: a shorter opening may be taken before it.
    if (!this.#send(leg, encodeOpen(number, opening))) return false;
    this.#nextNumber = (number + 1) >>> 0;
    leg.number = number;
    this.#legs.set(number, leg);
    return true;
  }

  data(leg: Leg, payload: Bytes): boolean {
    // Others have asked before.
    return this.#waiting.size > 0 ? this.#wait(leg) : this.#send(leg, payload, dataHead(leg.number));
  }

  end(leg: Leg, ending: Ending): boolean {
    return this.#send(leg, encodeEnd(leg.number, ending));
  }

  abort(leg: Leg, abortion: Abortion): boolean {
    return this.#send(leg, encodeAbort(leg.number, abortion));
  }

  close(leg: Leg): void {
    this.#legs.delete(leg.number);
    this.#waiting.delete(leg);
  }

  /** The lane has room again. */
  writable(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    // Who is refused again stands behind those who have not been asked yet.
    for (const leg of waiting) leg.writable();
  }

  #send(leg: Leg, frame: Bytes, head?: Bytes): boolean {
    if (this.session.send(STREAMS, STREAM_PORT, frame, head) !== "full") return true;
    return this.#wait(leg);
  }

  #wait(leg: Leg): false {
    this.#waiting.add(leg);
    return false;
  }

  // --- Upstream: the peer's streams, to our connections ---

  credit(credit: Credit): void {
    this.#credits.set(credit.stream, credit);
    this.#tellSoon();
  }

  settled(settlement: Settlement): void {
    this.#settlements.push(settlement);
    this.#tellSoon();
  }

  closed(stream: number): void {
    this.#receivers.delete(stream);
  }

  #tellSoon(): void {
    if (this.#telling) return;
    this.#telling = true;
    queueMicrotask(() => this.#tell());
  }

  #tell(): void {
    this.#telling = false;
    const [credits, settlements] = [this.#credits, this.#settlements];
    this.#credits = new Map();
    this.#settlements = [];
    if (credits.size > 0) this.session.send(CONTROL, STREAM_PORT, encodeCredits(credits.values()));
    if (settlements.length > 0) this.session.send(CONTROL, STREAM_PORT, encodeSettled(settlements));
  }

  // --- What comes in ---

  /** @throws FlotillaError `malformed` */
  fromCaller(frame: Bytes): void {
    const said = decodeFromCaller(frame);
    if (said.kind === "open") return this.#opened(said.stream, said.opening);
    const receiver = this.#receivers.get(said.stream);
    if (receiver === undefined) {
      // Of a stream that is over here, which its caller did not know yet.
      if (said.stream < this.#nextExpected) return;
      throw new FlotillaError("malformed", `read a stream's frame: stream ${said.stream} was never opened`);
    }
    switch (said.kind) {
      case "data":
        return receiver.data(said.payload, frame);
      case "end":
        return receiver.end(said.ending);
      case "abort":
        return receiver.abort(said.abortion);
    }
  }

  /** @throws FlotillaError `malformed` */
  fromOwner(frame: Bytes): void {
    const said = decodeFromOwner(frame);
    if (said.kind === "credit") {
      for (const credit of said.credits) this.#legs.get(credit.stream)?.credited(credit);
    } else {
      for (const settlement of said.settlements) this.#legs.get(settlement.stream)?.settled(settlement);
    }
  }

  #opened(stream: number, opening: Opening): void {
    if (stream !== this.#nextExpected) {
      throw new FlotillaError(
        "malformed",
        `read a stream's frame: opens ${stream}, not ${this.#nextExpected}`,
      );
    }
    this.#nextExpected = (stream + 1) >>> 0;
    const receiver = new Receiver(stream, opening, this.#owner, this);
    this.#receivers.set(stream, receiver);
    receiver.open();
  }
}
