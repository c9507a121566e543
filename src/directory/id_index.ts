/**
 * An index from id to slot: open addressing with linear probing, and deletion that closes the gap (Knuth,
 * TAOCP 3, 6.4, algorithm R). The ids themselves stand in an array by slot. An entry costs 4 bytes for its
 * hash and, at a load of 3/8 to 3/4, 5 to 11 for its place; one of a Map costs 29 to 58.
 */
const SIZE_AT_FIRST = 512;

/** No slot. */
export const NONE = -1;

export class IdIndex {
  readonly #ids: readonly string[];
  readonly #seed: number;
  /** Slot plus one; 0 is free. Its length is a power of two. */
  #places = new Int32Array(SIZE_AT_FIRST);
  #size = 0;
  /** By slot. */
  #hashes = new Int32Array(SIZE_AT_FIRST);

  /** `ids` is by slot and belongs to the caller. A secret `seed` keeps others from choosing ids that collide. */
  constructor(ids: readonly string[], seed: number) {
    this.#ids = ids;
    this.#seed = seed;
  }

  get size(): number {
    return this.#size;
  }

  /** The slot of `id`, or NONE. */
  find(id: string): number {
    return (this.#places[this.#placeOf(id, this.#hash(id))] as number) - 1;
  }

  /** Makes `slot`, in which `id` stands, the one that `find` returns. The slot before it must still hold `id`. */
  set(id: string, slot: number): void {
    const hash = this.#hash(id);
    const place = this.#placeOf(id, hash);
    if (this.#places[place] === 0) this.#size++;
    this.#places[place] = slot + 1;
    if (slot >= this.#hashes.length) this.#growHashes(slot);
    this.#hashes[slot] = hash;
    if (this.#size * 4 > this.#places.length * 3) this.#grow();
  }

  /** Forgets `id`, which must still stand in its slot. */
  delete(id: string): void {
    const mask = this.#places.length - 1;
    let hole = this.#placeOf(id, this.#hash(id));
    if (this.#places[hole] === 0) return;
    this.#size--;
    for (let place = (hole + 1) & mask; this.#places[place] !== 0; place = (place + 1) & mask) {
      const home = (this.#hashes[(this.#places[place] as number) - 1] as number) & mask;
      // It may move back to the hole unless its home lies behind it.
      if (((place - home) & mask) < ((place - hole) & mask)) continue;
      this.#places[hole] = this.#places[place] as number;
      hole = place;
    }
    this.#places[hole] = 0;
  }

  /** Where `id` stands, or the free place where it would. */
  #placeOf(id: string, hash: number): number {
    const mask = this.#places.length - 1;
    let place = hash & mask;
    for (;;) {
      const entry = this.#places[place] as number;
      if (entry === 0 || (this.#hashes[entry - 1] === hash && this.#ids[entry - 1] === id)) return place;
      place = (place + 1) & mask;
    }
  }

  #grow(): void {
    const entries = this.#places;
    const places = new Int32Array(entries.length * 2);
    const mask = places.length - 1;
    for (const entry of entries) {
      if (entry === 0) continue;
      let place = (this.#hashes[entry - 1] as number) & mask;
      while (places[place] !== 0) place = (place + 1) & mask;
      places[place] = entry;
    }
    this.#places = places;
  }

  #growHashes(slot: number): void {
    const hashes = new Int32Array(Math.ceil((slot + 1) * 1.125));
    hashes.set(this.#hashes);
    this.#hashes = hashes;
  }

  /** FNV-1a (Fowler, Noll, Vo) over UTF-16 code units from a seed, and a last mixing for the low bits. */
  #hash(id: string): number {
    let hash = this.#seed;
    for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
    return hash ^ (hash >>> 13);
  }
}
