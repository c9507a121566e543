import type { Call, Carrier } from "./delivery.ts";

/** Why no call of a flow can be handed over now. */
export type Blocked =
  /** Nobody is known to have the connection; peers are being asked. */
  | "lookup"
  /** The known owner does not have it, or cannot be reached; the directory will know better. */
  | "route"
  /** The owner holds the messages: the client is slow. */
  | "writable";

/**
 * One connection as a caller sees it, while anything is on its way there. It keeps the order of the calls:
 * - calls in flight all went to one owner, under one handle, and a lane keeps them in order;
 * - calls that came back unsent wait until none is in flight, then start again before all later ones;
 * - later calls queue behind whatever waits.
 */
export class Flow {
  readonly connectionId: string;
  /** Calls without an outcome. */
  open = 0;
  /** Calls with `carrier`. */
  inFlight = 0;
  /** Where those in flight went. */
  carrier: Carrier | undefined = undefined;
  handle = 0;
  blocked: Blocked | undefined = undefined;
  /** The owner has held a call since the flow last started; it says `writable` once for all of them. */
  held = false;
  /** The registration that answered not-found, or could not be reached: not to be tried again. */
  refusedBy: Carrier | undefined = undefined;
  refusedHandle = 0;
  /** The flow is being advanced further up the stack. */
  advancing = false;
  #waiting: Set<Call> | undefined = undefined;
  #returned: Set<Call> | undefined = undefined;

  constructor(connectionId: string) {
    this.connectionId = connectionId;
  }

  /** Whether a new call must queue. */
  get waits(): boolean {
    return this.blocked !== undefined || sizeOf(this.#waiting) + sizeOf(this.#returned) > 0;
  }

  /** Whether nothing may be handed over now: something came back, or must be waited for. */
  get stalled(): boolean {
    return this.blocked !== undefined || sizeOf(this.#returned) > 0;
  }

  /** What queues, in order; unless `stalled` it may be handed over. Calls may be removed meanwhile. */
  get queued(): Iterable<Call> {
    return this.#waiting ?? [];
  }

  queue(call: Call): void {
    (this.#waiting ??= new Set()).add(call);
  }

  /** Not in flight any more, and not settled: it was not sent, or the owner did not take it. */
  takeBack(call: Call): void {
    (this.#returned ??= new Set()).add(call);
  }

  remove(call: Call): void {
    this.#waiting?.delete(call);
    this.#returned?.delete(call);
  }

  /** With nothing in flight, what came back goes before everything that has waited meanwhile. */
  restart(): void {
    this.held = false;
    if (sizeOf(this.#returned) === 0) return;
    const returned = [...this.#returned ?? []].sort((a, b) => a.order - b.order);
    this.#returned = undefined;
    this.#waiting = new Set([...returned, ...this.#waiting ?? []]);
  }

  /** Everything that waits, in order. */
  waiting(): Call[] {
    return [...this.#returned ?? [], ...this.#waiting ?? []];
  }
}

function sizeOf(calls: Set<Call> | undefined): number {
  return calls === undefined ? 0 : calls.size;
}
