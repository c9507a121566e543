import type { Bytes } from "../lib/bytes.ts";
import { FlotillaError } from "../lib/errors.ts";
import { arrived, type Outcome } from "../router/outcome.ts";
import type { Route } from "../router/contract.ts";
import { STREAM_TARGETS_MAX, weightOf } from "./contract.ts";
import type { Abortion, Credit, Ending, Opening, Settlement } from "./frames.ts";

/** The way to the node that owns a leg's connections: its session, or this node itself. */
export interface Way {
  readonly nodeId: string;
  // Each says false for: not taken, the lane is full; `leg.writable()` will be called.
  /** Numbers the leg and opens its stream; what comes of it is told to the leg, now or later. */
  open(leg: Leg, opening: Opening): boolean;
  data(leg: Leg, payload: Bytes): boolean;
  end(leg: Leg, ending: Ending): boolean;
  abort(leg: Leg, abortion: Abortion): boolean;
  /** Nothing more is sent or heard of it. */
  close(leg: Leg): void;
}

/** Whose leg it is. */
export interface LegHost {
  /** There may be room, or more has arrived. */
  changed(): void;
  settled(connectionId: string, result: Omit<Settlement, "stream" | "target">): void;
}

/** A connection of a leg. */
export interface LegTarget {
  readonly connectionId: string;
  readonly handle: number;
}

type Step =
  | { readonly kind: "open"; readonly opening: Opening }
  | { readonly kind: "data"; readonly payload: Bytes }
  | { readonly kind: "end"; readonly ending: Ending }
  | { readonly kind: "abort"; readonly abortion: Abortion };

/** A stream on its way to one node, for all of its connections there: the payload travels once. */
export class Leg {
  /** The stream's number on its way; set by the way once it is open there. */
  number = -1;
  /** What all of its connections have taken. */
  bytes = 0;
  chunks = 0;
  readonly targets: readonly LegTarget[];
  readonly #host: LegHost;
  readonly #way: Way;
  /** By place in `targets`. */
  readonly #open: Set<number>;
  #windowBytes = 0;
  #sentBytes = 0;
  #sentChunks = 0;
  #ended = false;
  /** What the lane did not take: a chunk at most, and what comes behind it. */
  #steps: Step[] = [];

  constructor(host: LegHost, way: Way, targets: readonly LegTarget[]) {
    this.#host = host;
    this.#way = way;
    this.targets = targets;
    this.#open = new Set(targets.keys());
  }

  /** Every connection has its outcome. */
  get over(): boolean {
    return this.#open.size === 0;
  }

  /** The owner has answered. */
  get answered(): boolean {
    return this.over || this.#windowBytes > 0;
  }

  open(opening: Omit<Opening, "handles">): void {
    const handles = this.targets.map(({ handle }) => handle);
    this.#step({ kind: "open", opening: { ...opening, handles } });
  }

  /** Whether a chunk may be sent now. One may always be under way. */
  hasRoom(bytes: number): boolean {
    if (this.over) return true;
    if (this.#windowBytes === 0 || this.#steps.length > 0) return false;
    const underWay = weightOf(this.#sentBytes - this.bytes, this.#sentChunks - this.chunks);
    return underWay === 0 || underWay + weightOf(bytes, 1) <= this.#windowBytes;
  }

  data(payload: Bytes): void {
    if (this.over) return;
    // First, since the way may answer at once.
    this.#sentBytes += payload.byteLength;
    this.#sentChunks++;
    this.#step({ kind: "data", payload });
  }

  end(ending: Ending): void {
    if (this.over) return;
    this.#ended = true;
    this.#step({ kind: "end", ending });
  }

  /** Gives up what has no outcome yet: it gets `outcome`. */
  abort(outcome: Outcome, abortion: Abortion): void {
    if (this.over) return;
    const isOpen = this.#steps[0]?.kind !== "open";
    const open = this.#end();
    if (isOpen) this.#step({ kind: "abort", abortion });
    this.#settle(open, outcome, abortion.reason);
  }

  // --- From the way ---

  writable(): void {
    for (let step = this.#steps[0]; step !== undefined; step = this.#steps[0]) {
      if (!this.#take(step)) return;
      this.#steps.shift();
    }
    if (this.over) this.#way.close(this);
    else this.#host.changed();
  }

  /** @throws FlotillaError `malformed` for what cannot have been taken, and for what is taken back. */
  credited({ windowBytes, bytes, chunks }: Credit): void {
    const isPossible = bytes >= this.bytes && bytes <= this.#sentBytes && chunks >= this.chunks &&
      chunks <= this.#sentChunks && windowBytes > 0 && windowBytes >= this.#windowBytes;
    if (!isPossible) throw this.#impossible(`${bytes} bytes in ${chunks} chunks, of ${windowBytes} at once`);
    this.#windowBytes = windowBytes;
    this.bytes = bytes;
    this.chunks = chunks;
    this.#host.changed();
  }

  /** @throws FlotillaError `malformed` when what was not sent yet is said to have arrived. */
  settled({ target, outcome, bytes, chunks, reason }: Settlement): void {
    if (!this.#open.has(target)) return;
    if (arrived(outcome) && !this.#ended) throw this.#impossible("all of it, before it ended");
    this.#open.delete(target);
    const { connectionId } = this.targets[target] as LegTarget;
    this.#host.settled(connectionId, { outcome, bytes, chunks, reason });
    if (!this.over) return;
    this.#steps = [];
    this.#way.close(this);
  }

  /** The session has ended. */
  lost(): void {
    this.#settle(this.#end(), "node-lost", `the session with ${this.#way.nodeId} ended`);
  }

  /** From now on nothing the way says matters. */
  #end(): readonly number[] {
    const open = [...this.#open];
    this.#open.clear();
    this.#steps = [];
    return open;
  }

  #settle(open: readonly number[], outcome: Outcome, reason: string): void {
    const { bytes, chunks } = this;
    for (const target of open) {
      const { connectionId } = this.targets[target] as LegTarget;
      this.#host.settled(connectionId, { outcome, bytes, chunks, reason });
    }
    // Else when the lane has taken what is left.
    if (this.#steps.length === 0) this.#way.close(this);
  }

  #impossible(what: string): FlotillaError {
    const { nodeId } = this.#way;
    return new FlotillaError("malformed", `read an answer about streams: ${nodeId} says it took ${what}`);
  }

  #step(step: Step): void {
    if (this.#steps.length > 0 || !this.#take(step)) this.#steps.push(step);
  }

  #take(step: Step): boolean {
    switch (step.kind) {
      case "open":
        return this.#way.open(this, step.opening);
      case "data":
        return this.#way.data(this, step.payload);
      case "end":
        return this.#way.end(this, step.ending);
      case "abort":
        return this.#way.abort(this, step.abortion);
    }
  }
}

/** The legs to where `routes` lead, not open yet; `lost` hears of connections whose node there is no way to. */
export function legsTo(
  host: LegHost,
  routes: ReadonlyMap<string, Route>,
  wayTo: (nodeId: string) => Way | undefined,
  lost: (connectionId: string, nodeId: string) => void,
): Leg[] {
  const legs: Leg[] = [];
  for (const [nodeId, there] of Map.groupBy(routes, ([, route]) => route.nodeId)) {
    const targets = there.map(([connectionId, { handle }]) => ({ connectionId, handle }));
    const way = wayTo(nodeId);
    if (way === undefined) { for (const { connectionId } of targets) lost(connectionId, nodeId); }
    else {
      for (let start = 0; start < targets.length; start += STREAM_TARGETS_MAX) {
        legs.push(new Leg(host, way, targets.slice(start, start + STREAM_TARGETS_MAX)));
      }
    }
  }
  return legs;
}
