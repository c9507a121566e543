import type { Bytes } from "../lib/bytes.ts";
import type { Abortion, Credit, Ending, Opening, Settlement } from "./frames.ts";
import type { Leg, Way } from "./leg.ts";
import type { Owner } from "./owner.ts";
import { Receiver, type Upstream } from "./receiver.ts";

/** The way to this node's own connections: no frames, no lane, no numbers but to tell streams apart. */
export class Here implements Way, Upstream {
  readonly nodeId: string;
  readonly #owner: Owner;
  readonly #streams = new Map<number, { readonly leg: Leg; readonly receiver: Receiver }>();
  #nextNumber = 0;

  constructor(nodeId: string, owner: Owner) {
    this.nodeId = nodeId;
    this.#owner = owner;
  }

  get size(): number {
    return this.#streams.size;
  }

  // --- Way ---

  open(leg: Leg, opening: Opening): boolean {
    leg.number = this.#nextNumber++;
    const receiver = new Receiver(leg.number, opening, this.#owner, this);
    this.#streams.set(leg.number, { leg, receiver });
    receiver.open();
    return true;
  }

  data(leg: Leg, payload: Bytes): boolean {
    this.#streams.get(leg.number)?.receiver.data(payload);
    return true;
  }

  end(leg: Leg, ending: Ending): boolean {
    this.#streams.get(leg.number)?.receiver.end(ending);
    return true;
  }

  abort(leg: Leg, abortion: Abortion): boolean {
    this.#streams.get(leg.number)?.receiver.abort(abortion);
    return true;
  }

  close(leg: Leg): void {
    this.#streams.delete(leg.number);
  }

  // --- Upstream ---

  credit(credit: Credit): void {
    this.#streams.get(credit.stream)?.leg.credited(credit);
  }

  settled(settlement: Settlement): void {
    this.#streams.get(settlement.stream)?.leg.settled(settlement);
  }

  closed(stream: number): void {
    this.#streams.delete(stream);
  }
}
