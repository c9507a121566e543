import { utf8Length } from "../lib/utf8_length.ts";
import { type Bytes, fromUtf8, utf8 } from "../lib/bytes.ts";
import type { Deadline } from "../lib/deadlines.ts";
import { FlotillaError } from "../lib/errors.ts";
import type { ByteBudget } from "./byte_budget.ts";
import type { Outcome } from "./outcome.ts";

/** One message as an owner takes it. */
export interface Message {
  /** As the socket sends it: a string is text. */
  readonly data: string | Bytes;
  /** Length of `data`, in UTF-8 for text. */
  readonly bytes: number;
  readonly messageId: string | undefined;
  /** Milliseconds after which nobody waits for it any more. */
  readonly remainingMs: number;
}

/** What an owner says of one message: its outcome, or `held`: not taken, and `writable` will be said. */
export type Answer = Outcome | "held";

/** Who brings calls to their owner: the session with a peer, or this node itself. */
export interface Carrier {
  /** What waits at this caller for that node. */
  readonly budget: ByteBudget;
  /** The call is settled: its answer, if one still comes, is nobody's. */
  forget(call: Call): void;
  /**
   * Calls `listener` once when the owner, which holds messages for `handle`, takes some again, or is gone.
   */
  whenWritable(handle: number, listener: () => void): void;
}

/** One call of the router: one message for one or more connections, one deadline, one promise. */
export class Delivery implements Message {
  readonly messageId: string | undefined;
  /** In `Clock.now()`: when it is over. */
  readonly expiresAt: number;
  /** As of its last hand-over. */
  remainingMs: number;
  readonly calls: Call[] = [];
  /** Calls without an outcome. */
  open = 0;
  deadline: Deadline<Delivery> | undefined = undefined;
  /** Called once, when every call has its outcome. */
  finished: (() => void) | undefined = undefined;
  #payload: Uint8Array | undefined;
  #text: string | undefined;

  /** Throws `invalid-option` for bytes that are to be sent as text and are not UTF-8. */
  constructor(
    data: string | Uint8Array,
    messageType: "text" | "binary" | undefined,
    messageId: string | undefined,
    now: number,
    timeoutMs: number,
  ) {
    this.messageId = messageId;
    this.expiresAt = now + timeoutMs;
    this.remainingMs = timeoutMs;
    if (typeof data !== "string") this.#payload = data;
    else if (messageType === "binary") this.#payload = utf8(data);
    if (messageType === "text" && typeof data !== "string") this.#text = asText(data);
    else if (messageType !== "binary" && typeof data === "string") this.#text = data;
  }

  get text(): boolean {
    return this.#text !== undefined;
  }

  /** As a local socket takes it; sockets take no shared memory. */
  get data(): string | Bytes {
    return this.#text ?? unshared(this.payload);
  }

  /** The message in bytes; a string is encoded once. */
  get payload(): Uint8Array {
    return this.#payload ??= utf8(this.#text ?? "");
  }

  get bytes(): number {
    return this.#payload?.byteLength ?? utf8Length(this.#text ?? "");
  }

  add(connectionId: string): Call {
    const call = new Call(this, connectionId);
    this.calls.push(call);
    this.open++;
    return call;
  }

  /** By connectionId, in the order of the calls. */
  outcomes(): Map<string, Outcome> {
    const outcomes = new Map<string, Outcome>();
    for (const { connectionId, outcome } of this.calls) {
      if (outcome !== undefined) outcomes.set(connectionId, outcome);
    }
    return outcomes;
  }
}

/** One connection's part in a delivery. */
export class Call {
  readonly delivery: Delivery;
  readonly connectionId: string;
  outcome: Outcome | undefined = undefined;
  /** `carried` from the hand-over to its carrier until the answer; `waiting` in its flow. */
  state: "new" | "waiting" | "carried" = "new";
  /** Rises with every call of this node: the order in which a connection gets its messages. */
  order = 0;
  /** The outcome if the deadline passes before it is carried (again): what is known for certain. */
  unsent: Outcome = "timeout";
  carrier: Carrier | undefined = undefined;
  /** The connection's name at its owner, once carried. */
  handle = 0;
  /** Nothing else was on its way to this connection when it was handed over. */
  starts = false;
  /** In its carrier's numbering; -1 while not sent. */
  number = -1;
  /** Bytes charged to `budget` while it waits. */
  charged = 0;
  budget: ByteBudget | undefined = undefined;

  constructor(delivery: Delivery, connectionId: string) {
    this.delivery = delivery;
    this.connectionId = connectionId;
  }

  /** Charges the wait to `budget`; false if that has no room. */
  charge(budget: ByteBudget, bytes: number): boolean {
    if (!budget.take(bytes)) return false;
    this.budget = budget;
    this.charged = bytes;
    return true;
  }

  discharge(): void {
    this.budget?.give(this.charged);
    this.budget = undefined;
  }
}

/** Charged for each waiting call besides its payload: what the bookkeeping takes, about. */
export const CALL_OVERHEAD_BYTES = 256;

function unshared(data: Uint8Array): Bytes {
  return isUnshared(data) ? data : new Uint8Array(data);
}

// Not asked of what only travels in frames: Bun makes a buffer object just for being looked at.
function isUnshared(data: Uint8Array): data is Bytes {
  return data.buffer instanceof ArrayBuffer;
}

function asText(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch (cause) {
    throw new FlotillaError("invalid-option", `send ${bytes.byteLength} bytes as text: they are not UTF-8`, {
      cause,
    });
  }
}
