/**
 * Which node holds which connection: every owner's claims, by connectionId. Pure data.
 *
 * One id may be claimed by several owners at once (a client that moved, a race, a healed partition). All
 * claims stay until their owners take them back; the one that counts, the *winner*, has the latest stamp,
 * then the higher nodeId. So every node that holds the same claims names the same winner, in whatever order
 * they came.
 *
 * Built for a million claims: one Map from id to the slot of the winner, and typed arrays by slot; only the
 * few contested ids have more (`#weaker`). What an owner claims belongs to one of its *generations*: a
 * snapshot is received into a new generation, and whatever it did not mention goes away with the old one at
 * its end. Dropping a generation is one step, however many claims it has: they stop counting at once, and
 * their memory is swept out in pieces later.
 */
import { countClaim, emptyDigest, equalDigests } from "./digest.ts";
import type { Digest } from "./digest.ts";

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

interface Sweep {
  readonly entries: IterableIterator<[string, number]>;
  /** The generations whose last claims this pass removes. */
  readonly dead: readonly number[];
}

/** No slot. */
export const NONE = -1;
const GENERATIONS_MAX = 65_535;
const SLOTS_AT_FIRST = 256;

export class RouteTable {
  readonly #winners = new Map<string, number>();
  /** Of contested ids only: slot → the slot of the next weaker claim. */
  readonly #weaker = new Map<number, number>();
  /** By index; undefined where dropped or never used. */
  readonly #generations: (Generation | undefined)[] = [];
  #freeGenerations: number[] = [];
  /** Dropped, and possibly still named by slots. */
  #dead: number[] = [];
  #sweep: Sweep | undefined;

  // By slot. A handle has 48 bits: 32 and 16. `#handleLow` of a free slot is the next free one plus one.
  #generationOf = new Uint16Array(SLOTS_AT_FIRST);
  #handleLow = new Uint32Array(SLOTS_AT_FIRST);
  #handleHigh = new Uint16Array(SLOTS_AT_FIRST);
  #stamps = new Float64Array(SLOTS_AT_FIRST);
  #slotsUsed = 0;
  #firstFree = NONE;

  /** A new owner without claims. */
  open(nodeId: string): Owner {
    const owner: Owner = { nodeId, generations: [] };
    this.renew(owner);
    return owner;
  }

  /** Begins a new generation: what is put from now on survives the next `settle`. */
  renew(owner: Owner): void {
    if (this.#freeGenerations.length === 0 && this.#generations.length >= GENERATIONS_MAX) {
      while (!this.sweep(this.#winners.size + 1)) continue;
    }
    const index = this.#freeGenerations.pop() ?? this.#generations.length;
    const generation: Generation = { index, owner, digest: emptyDigest() };
    this.#generations[index] = generation;
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
    let slot = this.#winners.get(id);
    while (slot !== undefined && this.#generationAt(slot) === undefined) slot = this.#weaker.get(slot);
    return slot ?? NONE;
  }

  /** The slot of `owner`'s claim on `id`, winning or not, or NONE. */
  claim(owner: Owner, id: string): number {
    let slot = this.#winners.get(id);
    while (slot !== undefined && this.#generationAt(slot)?.owner !== owner) slot = this.#weaker.get(slot);
    return slot ?? NONE;
  }

  /** Whether there may be more than one claim on `id`. */
  contested(id: string): boolean {
    const slot = this.#winners.get(id);
    return slot !== undefined && this.#weaker.has(slot);
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
    for (const [id, slot] of this.#winners) {
      if (this.#generationAt(slot) !== undefined || this.winner(id) !== NONE) yield id;
    }
  }

  /**
   * `owner` claims `id`, in place of its earlier claim if it has one. True when another claim counts than
   * before, or the same owner's with another handle.
   */
  put(owner: Owner, id: string, handle: number, stamp: number): boolean {
    const generation = owner.generations.at(-1);
    if (generation === undefined) return false;
    const head = this.#winners.get(id);
    if (head === undefined) {
      this.#winners.set(id, this.#take(id, generation, handle, stamp));
      return true;
    }
    // Of a winner that was dropped nobody has been told yet, so whatever comes now is a change.
    const lost = this.#generationAt(head) === undefined;
    const before = lost ? undefined : { owner: this.ownerAt(head), handle: this.handleAt(head) };
    const claims = this.#unlink(id, head, owner);
    claims.push(this.#take(id, generation, handle, stamp));
    this.#link(id, claims);
    const after = this.winner(id);
    return this.ownerAt(after) !== before?.owner || this.handleAt(after) !== before.handle;
  }

  /** `owner` takes its claim on `id` back. True when another claim, or none, counts now. */
  remove(owner: Owner, id: string): boolean {
    const head = this.#winners.get(id);
    if (head === undefined) return false;
    const winner = this.#generationAt(head)?.owner;
    this.#link(id, this.#unlink(id, head, owner));
    return winner === undefined || winner === owner;
  }

  /**
   * Frees what dropped generations left behind, looking at about `claims` claims. `gone` hears each id whose
   * first claim was among it. True when there is nothing left to sweep.
   */
  sweep(claims: number, gone?: (id: string) => void): boolean {
    if (this.#sweep === undefined) {
      if (this.#dead.length === 0) return true;
      this.#sweep = { entries: this.#winners.entries(), dead: this.#dead };
      this.#dead = [];
    }
    const { entries, dead } = this.#sweep;
    for (let looked = 0; looked < claims; looked++) {
      const next = entries.next();
      if (next.done) {
        this.#freeGenerations.push(...dead);
        this.#sweep = undefined;
        return this.#dead.length === 0;
      }
      const [id, head] = next.value;
      const lost = this.#generationAt(head) === undefined;
      if (!lost && (this.#weaker.size === 0 || !this.#weaker.has(head))) continue;
      this.#link(id, this.#unlink(id, head, undefined));
      if (lost) gone?.(id);
    }
    return false;
  }

  /** Counts all claims again; returns the owners whose running count or digest was wrong, now set right. */
  recount(): Set<Owner> {
    const counted = new Map<Generation, Digest>();
    for (const generation of this.#generations) if (generation) counted.set(generation, emptyDigest());
    for (const [id, head] of this.#winners) {
      for (let slot: number | undefined = head; slot !== undefined; slot = this.#weaker.get(slot)) {
        const generation = this.#generationAt(slot);
        const digest = generation && counted.get(generation);
        if (digest) countClaim(digest, 1, id, this.handleAt(slot), this.stampAt(slot));
      }
    }
    const wrong = new Set<Owner>();
    for (const [generation, digest] of counted) {
      if (equalDigests(generation.digest, digest)) continue;
      Object.assign(generation.digest, digest);
      wrong.add(generation.owner);
    }
    return wrong;
  }

  #generationAt(slot: number): Generation | undefined {
    return this.#generations[this.#generationOf[slot] as number];
  }

  /** Takes the chain of `id` apart; frees the claims of `owner` and of nobody, and returns the others. */
  #unlink(id: string, head: number, owner: Owner | undefined): number[] {
    const kept: number[] = [];
    let slot: number | undefined = head;
    while (slot !== undefined) {
      const next = this.#weaker.get(slot);
      if (next !== undefined) this.#weaker.delete(slot);
      const generation = this.#generationAt(slot);
      if (generation !== undefined && generation.owner !== owner) kept.push(slot);
      else this.#free(id, slot, generation);
      slot = next;
    }
    return kept;
  }

  /** Makes `claims` the chain of `id`, strongest first. */
  #link(id: string, claims: number[]): void {
    if (claims.length > 1) claims.sort((a, b) => this.#order(a, b));
    const head = claims[0];
    if (head === undefined) {
      this.#winners.delete(id);
      return;
    }
    if (this.#winners.get(id) !== head) this.#winners.set(id, head);
    for (let at = 1; at < claims.length; at++) {
      this.#weaker.set(claims[at - 1] as number, claims[at] as number);
    }
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
      slot = this.#slotsUsed++;
      if (slot === this.#stamps.length) this.#grow();
    } else {
      this.#firstFree = (this.#handleLow[slot] as number) - 1;
    }
    this.#generationOf[slot] = generation.index;
    this.#handleLow[slot] = handle;
    this.#handleHigh[slot] = Math.floor(handle / 4_294_967_296);
    this.#stamps[slot] = stamp;
    countClaim(generation.digest, 1, id, handle, stamp);
    return slot;
  }

  #free(id: string, slot: number, generation: Generation | undefined): void {
    if (generation !== undefined) {
      countClaim(generation.digest, -1, id, this.handleAt(slot), this.stampAt(slot));
    }
    this.#handleLow[slot] = this.#firstFree + 1;
    this.#firstFree = slot;
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
