/**
 * Which node holds which connection: every owner's claims, by connectionId. Pure data.
 *
 * One id may be claimed by several owners at once (a client that moved, a race, a healed partition). All
 * claims stay until their owners take them back; the one that counts, the *winner*, has the latest stamp,
 * then the higher nodeId. So every node that holds the same claims names the same winner, in whatever order
 * they came.
 *
 * Built for a million claims: an index from id to the slot of the winner, and arrays by slot; only the few
 * contested ids have more (`#weaker`). What an owner claims belongs to one of its *generations*: a snapshot
 * is received into a new generation, and whatever it did not mention goes away with the old one at its end.
 * Dropping a generation is one step, however many claims it has: they stop counting at once, and their
 * memory is swept out in pieces later.
 */
import { countClaim, emptyDigest, equalDigests } from "./digest.ts";
import type { Digest } from "./digest.ts";
import { IdIndex, NONE } from "./id_index.ts";

/** Who claims: this node, or one session with a peer. Compare by identity. */
export interface Owner {
  readonly nodeId: string;
  /** Oldest first; the last one takes what is put. Empty once dropped. */
  readonly generations: Generation[];
}

interface Generation {
  readonly index: number;
  readonly owner: Owner;
  readonly digest: Digest;
}

/** One pass over all slots. */
interface Sweep {
  next: number;
  readonly end: number;
  /** The generations whose last claims this pass removes. */
  readonly dead: readonly number[];
}

/** One count of all claims, by slots, while claims come and go. */
interface Recount {
  next: number;
  /** By generation. What changes in slots before `next` is counted here too, so the end is exact. */
  readonly digests: (Digest | undefined)[];
}

const GENERATIONS_MAX = 65_535;
const SLOTS_AT_FIRST = 256;

export class RouteTable {
  /** id → the slot of its strongest claim. */
  readonly #heads: IdIndex;
  /** Of contested ids only: slot → the slot of the next weaker claim. */
  readonly #weaker = new Map<number, number>();
  /** By index; undefined where dropped or never used. */
  readonly #generations: (Generation | undefined)[] = [];
  readonly #freeGenerations: number[] = [];
  /** Dropped, and possibly still named by slots. */
  #dead: number[] = [];
  #sweep: Sweep | undefined;
  #recount: Recount | undefined;

  // By slot. A handle has 47 bits, in two parts. A free slot has no id, and `#handleLow` is the next free
  // one plus one.
  readonly #ids: string[] = [];
  #generationOf = new Uint16Array(SLOTS_AT_FIRST);
  #handleLow = new Uint32Array(SLOTS_AT_FIRST);
  #handleHigh = new Uint16Array(SLOTS_AT_FIRST);
  #stamps = new Float64Array(SLOTS_AT_FIRST);
  #firstFree = NONE;

  /** `seed`: see IdIndex. */
  constructor(seed = 0) {
    this.#heads = new IdIndex(this.#ids, seed);
  }

  /** A new owner without claims. */
  open(nodeId: string): Owner {
    const owner: Owner = { nodeId, generations: [] };
    this.renew(owner);
    return owner;
  }

  /** Begins a new generation: what is put from now on survives the next `settle`. */
  renew(owner: Owner): void {
    if (this.#freeGenerations.length === 0 && this.#generations.length >= GENERATIONS_MAX) {
      while (!this.sweep(this.#ids.length + 1)) continue;
    }
    const index = this.#freeGenerations.pop() ?? this.#generations.length;
    const generation: Generation = { index, owner, digest: emptyDigest() };
    this.#generations[index] = generation;
    if (this.#recount) this.#recount.digests[index] = undefined;
    owner.generations.push(generation);
  }

  /** Ends all generations of `owner` but the newest `keep`: their claims are gone at once. */
  settle(owner: Owner, keep = 1): void {
    for (const generation of owner.generations.splice(0, Math.max(0, owner.generations.length - keep))) {
      this.#generations[generation.index] = undefined;
      this.#dead.push(generation.index);
    }
  }

  /** Ends `owner`: its claims are gone at once. */
  drop(owner: Owner): void {
    this.settle(owner, 0);
  }

  /** Claims of `owner` and their digest. */
  digestOf(owner: Owner): Digest {
    const sum = emptyDigest();
    for (const { digest } of owner.generations) {
      sum.count += digest.count;
      sum.low = (sum.low + digest.low) >>> 0;
      sum.high = (sum.high + digest.high) >>> 0;
    }
    return sum;
  }

  countOf(owner: Owner): number {
    let count = 0;
    for (const { digest } of owner.generations) count += digest.count;
    return count;
  }

  /** The slot of the claim that counts, or NONE. */
  winner(id: string): number {
    let slot = this.#heads.find(id);
    while (slot !== NONE && this.#generationAt(slot) === undefined) slot = this.#next(slot);
    return slot;
  }

  /** The slot of `owner`'s claim on `id`, winning or not, or NONE. */
  claim(owner: Owner, id: string): number {
    let slot = this.#heads.find(id);
    while (slot !== NONE && this.#generationAt(slot)?.owner !== owner) slot = this.#next(slot);
    return slot;
  }

  /** Whether there may be more than one claim on `id`. */
  contested(id: string): boolean {
    return this.#weaker.size > 0 && this.#next(this.#heads.find(id)) !== NONE;
  }

  ownerAt(slot: number): Owner {
    return (this.#generationAt(slot) as Generation).owner;
  }

  handleAt(slot: number): number {
    return (this.#handleHigh[slot] as number) * 4_294_967_296 + (this.#handleLow[slot] as number);
  }

  stampAt(slot: number): number {
    return this.#stamps[slot] as number;
  }

  /** Every id that somebody claims, in no order. */
  *ids(): IterableIterator<string> {
    for (let slot = 0; slot < this.#ids.length; slot++) {
      const id = this.#ids[slot] as string;
      if (id === "" || this.#generationAt(slot) === undefined) continue;
      if (this.#weaker.size === 0 || this.winner(id) === slot) yield id;
    }
  }

  /**
   * `owner` claims `id`, in place of its earlier claim if it has one. True when another claim counts than
   * before, or the same owner's with another handle.
   */
  put(owner: Owner, id: string, handle: number, stamp: number): boolean {
    const generation = owner.generations.at(-1);
    if (generation === undefined) return false;
    const head = this.#heads.find(id);
    const slot = this.#take(id, generation, handle, stamp);
    if (head === NONE) {
      this.#heads.set(id, slot);
      return true;
    }
    // Of a winner that was dropped nobody has been told yet, so whatever comes now is a change.
    const lost = this.#generationAt(head) === undefined;
    const before = lost ? undefined : { owner: this.ownerAt(head), handle: this.handleAt(head) };
    this.#rebuild(id, head, owner, slot);
    const after = this.winner(id);
    return this.ownerAt(after) !== before?.owner || this.handleAt(after) !== before.handle;
  }

  /** `owner` takes its claim on `id` back. True when another claim, or none, counts now. */
  remove(owner: Owner, id: string): boolean {
    const head = this.#heads.find(id);
    if (head === NONE) return false;
    const winner = this.#generationAt(head)?.owner;
    this.#rebuild(id, head, owner, NONE);
    return winner === undefined || winner === owner;
  }

  /**
   * Frees what dropped generations left behind, looking at `slots` slots. `gone` hears each id whose first
   * claim was among it. True when there is nothing left to sweep.
   */
  sweep(slots: number, gone?: (id: string) => void): boolean {
    if (this.#sweep === undefined) {
      if (this.#dead.length === 0) return true;
      this.#sweep = { next: 0, end: this.#ids.length, dead: this.#dead };
      this.#dead = [];
    }
    const sweep = this.#sweep;
    const until = Math.min(sweep.end, sweep.next + slots);
    for (; sweep.next < until; sweep.next++) {
      const id = this.#ids[sweep.next] as string;
      if (id === "" || this.#generationAt(sweep.next) !== undefined) continue;
      const head = this.#heads.find(id);
      const lost = this.#generationAt(head) === undefined;
      this.#rebuild(id, head, undefined, NONE);
      if (lost) gone?.(id);
    }
    if (until < sweep.end) return false;
    this.#freeGenerations.push(...sweep.dead);
    this.#sweep = undefined;
    return this.#dead.length === 0;
  }

  /**
   * Counts claims again, those of `slots` slots in each call. At the end of a pass returns the owners whose
   * running count or digest was wrong, and is now right; before that undefined.
   */
  recount(slots: number): Set<Owner> | undefined {
    const recount = this.#recount ??= { next: 0, digests: [] };
    const until = Math.min(this.#ids.length, recount.next + slots);
    for (; recount.next < until; recount.next++) {
      const generation = this.#generationAt(recount.next);
      if (this.#ids[recount.next] === "" || generation === undefined) continue;
      const digest = recount.digests[generation.index] ??= emptyDigest();
      this.#addTo(digest, 1, recount.next);
    }
    if (until < this.#ids.length) return undefined;
    this.#recount = undefined;
    const wrong = new Set<Owner>();
    for (const generation of this.#generations) {
      if (generation === undefined) continue;
      const counted = recount.digests[generation.index] ?? emptyDigest();
      if (equalDigests(generation.digest, counted)) continue;
      Object.assign(generation.digest, counted);
      wrong.add(generation.owner);
    }
    return wrong;
  }

  #generationAt(slot: number): Generation | undefined {
    return this.#generations[this.#generationOf[slot] as number];
  }

  #next(slot: number): number {
    return this.#weaker.get(slot) ?? NONE;
  }

  /**
   * Builds the chain of `id` anew, strongest first: with `added` (unless NONE), and without the claims of
   * `removed` and of nobody.
   */
  #rebuild(id: string, head: number, removed: Owner | undefined, added: number): void {
    const claims = added === NONE ? [] : [added];
    const freed: number[] = [];
    for (let slot = head, next = NONE; slot !== NONE; slot = next) {
      next = this.#next(slot);
      if (next !== NONE) this.#weaker.delete(slot);
      const owner = this.#generationAt(slot)?.owner;
      (owner === undefined || owner === removed ? freed : claims).push(slot);
    }
    if (claims.length > 1) claims.sort((a, b) => this.#order(a, b));
    for (let at = 1; at < claims.length; at++) {
      this.#weaker.set(claims[at - 1] as number, claims[at] as number);
    }
    const strongest = claims[0];
    if (strongest === undefined) this.#heads.delete(id);
    else if (strongest !== head) this.#heads.set(id, strongest);
    // Last, since the index compares with the ids in the slots.
    for (const slot of freed) this.#free(slot);
  }

  #order(a: number, b: number): number {
    const byStamp = this.stampAt(b) - this.stampAt(a);
    if (byStamp !== 0) return byStamp;
    const first = this.ownerAt(a).nodeId;
    const second = this.ownerAt(b).nodeId;
    return first < second ? 1 : first > second ? -1 : 0;
  }

  #take(id: string, generation: Generation, handle: number, stamp: number): number {
    let slot = this.#firstFree;
    if (slot === NONE) {
      slot = this.#ids.length;
      if (slot === this.#stamps.length) this.#grow();
    } else {
      this.#firstFree = (this.#handleLow[slot] as number) - 1;
    }
    this.#ids[slot] = id;
    this.#generationOf[slot] = generation.index;
    this.#handleLow[slot] = handle;
    this.#handleHigh[slot] = Math.floor(handle / 4_294_967_296);
    this.#stamps[slot] = stamp;
    this.#count(generation, 1, slot);
    return slot;
  }

  #free(slot: number): void {
    const generation = this.#generationAt(slot);
    if (generation !== undefined) this.#count(generation, -1, slot);
    this.#ids[slot] = "";
    this.#handleLow[slot] = this.#firstFree + 1;
    this.#firstFree = slot;
  }

  /** Counts the claim in `slot`, just put there or just to be removed. */
  #count(generation: Generation, times: 1 | -1, slot: number): void {
    this.#addTo(generation.digest, times, slot);
    const recount = this.#recount;
    if (recount === undefined || slot >= recount.next) return;
    this.#addTo(recount.digests[generation.index] ??= emptyDigest(), times, slot);
  }

  #addTo(digest: Digest, times: 1 | -1, slot: number): void {
    countClaim(digest, times, this.#ids[slot] as string, this.handleAt(slot), this.stampAt(slot));
  }

  /** By an eighth: little is ever unused, and copying stays a small part of what putting costs. */
  #grow(): void {
    const slots = Math.ceil(this.#stamps.length * 1.125);
    this.#generationOf = enlarged(this.#generationOf, new Uint16Array(slots));
    this.#handleLow = enlarged(this.#handleLow, new Uint32Array(slots));
    this.#handleHigh = enlarged(this.#handleHigh, new Uint16Array(slots));
    this.#stamps = enlarged(this.#stamps, new Float64Array(slots));
  }
}

function enlarged<Slots extends Uint16Array | Uint32Array | Float64Array>(old: Slots, larger: Slots): Slots {
  larger.set(old);
  return larger;
}
