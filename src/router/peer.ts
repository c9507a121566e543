import { FlotillaError } from "../lib/errors.ts";
import type { Clock } from "../lib/clock.ts";
import { MESSAGES, type SendResult, type Session } from "../link/contract.ts";
import { Answers } from "./answers.ts";
import { ByteBudget } from "./byte_budget.ts";
import { type Call, CALL_OVERHEAD_BYTES, type Carrier } from "./delivery.ts";
import { encodeMessage, RUN, type Run } from "./frames.ts";
import { ROUTER_PORT } from "./contract.ts";

/** What a peer tells the router about calls it was handed. */
export interface CarriedCalls {
  /** Never sent, and never will be: the session has ended. */
  unsent(call: Call): void;
  /** Never sent: too much waits for this peer already. */
  refused(call: Call): void;
}

/** Calls of one delivery that wait together for room in the lane. */
interface Group {
  readonly calls: readonly Call[];
  open: number;
}

/** The caller's side of one session: numbers what it sends, and waits in order while the lane is full. */
export class Peer implements Carrier {
  readonly session: Session;
  readonly budget: ByteBudget;
  /** Our answers to this peer's messages. */
  readonly answers: Answers;
  readonly #clock: Pick<Clock, "now">;
  readonly #carried: CarriedCalls;
  /** Sent and not answered, by number. */
  readonly #pending = new Map<number, Call>();
  #next = 0;
  /** Who waits for a connection that this peer holds messages for, by handle: one flow each. */
  readonly #holds = new Map<number, () => void>();
  readonly #queue = new Set<Group>();
  /** The group of each call in `#queue`. */
  readonly #queued = new Map<Call, Group>();

  constructor(session: Session, clock: Pick<Clock, "now">, waitingBytesMax: number, carried: CarriedCalls) {
    this.session = session;
    this.budget = new ByteBudget(waitingBytesMax);
    this.answers = new Answers(session);
    this.#clock = clock;
    this.#carried = carried;
  }

  /** Calls sent and not answered, or waiting for room. */
  get size(): number {
    return this.#pending.size + this.#queued.size;
  }

  /** Sends calls of one delivery in one frame, now or, in order, when the lane has room. */
  hand(calls: readonly Call[]): void {
    const result: SendResult = this.#queue.size > 0 ? "full" : this.#transmit(calls);
    if (result === "full") this.#wait(calls);
    else if (result === "ended") { for (const call of calls) this.#carried.unsent(call); }
  }

  /** The lane has room again. */
  writable(): void {
    for (const group of this.#queue) {
      const calls = group.calls.filter((call) => this.#queued.get(call) === group);
      const delivery = calls[0]?.delivery;
      if (delivery !== undefined) delivery.remainingMs = Math.max(delivery.expiresAt - this.#clock.now(), 0);
      if (this.#transmit(calls) !== "sent") return;
      for (const call of calls) this.#unqueue(call);
    }
  }

  /** Throws `malformed`, before anything of them is used, for answers to what was never sent. */
  checkRun(run: Run): void {
    if (run.first + run.count <= this.#next) return;
    const what = `${run.count} answers from number ${run.first} on, where ${this.#next} targets were sent`;
    throw new FlotillaError("malformed", `read answers of ${this.session.nodeId}: ${what}`);
  }

  /** The calls that `run` answers, which wait no longer. */
  answered(run: Run): Call[] {
    return takeRun(this.#pending, run);
  }

  whenWritable(handle: number, listener: () => void): void {
    this.#holds.set(handle, listener);
  }

  /** The connections in `run`, or all of them, are not held any more. */
  endHolds(run: Run = { code: RUN.writable, first: 0, count: Infinity }): void {
    for (const listener of takeRun(this.#holds, run)) listener();
  }

  forget(call: Call): void {
    if (call.number >= 0) this.#pending.delete(call.number);
    else this.#unqueue(call);
  }

  /** The session has ended: gives back what was sent and not answered, and what was never sent. */
  end(): { sent: Call[]; unsent: Call[] } {
    const sent = [...this.#pending.values()];
    const unsent = [...this.#queued.keys()];
    this.#pending.clear();
    for (const call of unsent) this.#unqueue(call);
    return { sent, unsent };
  }

  #transmit(calls: readonly Call[]): SendResult {
    const first = calls[0];
    if (first === undefined) return "sent";
    const { delivery } = first;
    const frame = encodeMessage(delivery, this.#next, calls, delivery.payload);
    const result = this.session.send(MESSAGES, ROUTER_PORT, frame);
    if (result !== "sent") return result;
    for (const call of calls) {
      call.number = this.#next++;
      this.#pending.set(call.number, call);
    }
    return "sent";
  }

  #wait(calls: readonly Call[]): void {
    const group: Group = { calls, open: 0 };
    let bytes = calls[0]?.delivery.payload.byteLength ?? 0;
    for (const call of calls) {
      if (!call.charge(this.budget, bytes + CALL_OVERHEAD_BYTES)) {
        this.#carried.refused(call);
        continue;
      }
      // The group shares one payload: the first call that waits has paid for it.
      bytes = 0;
      call.number = -1;
      call.unsent = "backpressure";
      group.open++;
      this.#queued.set(call, group);
    }
    if (group.open > 0) this.#queue.add(group);
  }

  #unqueue(call: Call): void {
    const group = this.#queued.get(call);
    if (group === undefined) return;
    this.#queued.delete(call);
    call.discharge();
    group.open--;
    if (group.open === 0) this.#queue.delete(group);
  }
}

/** Takes what is in the run; as many steps as there are of the fewer. */
function takeRun<Item>(items: Map<number, Item>, { first, count }: Run): Item[] {
  const taken: Item[] = [];
  const take = (number: number): void => {
    const item = items.get(number);
    if (item !== undefined) taken.push(item);
    items.delete(number);
  };
  if (count <= items.size) { for (let number = first; number < first + count; number++) take(number); }
  else for (const number of items.keys()) if (number >= first && number < first + count) take(number);
  return taken;
}
