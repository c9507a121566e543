const CAPACITY_MIN = 16;
/** The ring of those that hold nothing yet. It has no capacity, so nothing is ever put into it. */
const NO_RING: undefined[] = [];

/**
 * A double-ended queue in a ring: constant time at both ends and by index. Capacity doubles from 16 on; one
 * that was never used has none.
 */
export class Deque<Item> {
  #ring: (Item | undefined)[] = NO_RING;
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  pushBack(item: Item): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#size) & (this.#ring.length - 1)] = item;
    this.#size++;
  }

  pushFront(item: Item): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = item;
    this.#size++;
  }

  popFront(): Item | undefined {
    if (this.#size === 0) return undefined;
    const item = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#size--;
    if (this.#size === 0 && this.#ring.length > 1_024) this.clear();
    return item;
  }

  front(): Item | undefined {
    return this.#ring[this.#head];
  }

  /** The item `index` places behind the front; undefined outside. */
  at(index: number): Item | undefined {
    if (index < 0 || index >= this.#size) return undefined;
    return this.#ring[(this.#head + index) & (this.#ring.length - 1)];
  }

  /** Replaces the item at `index`, which must exist. */
  set(index: number, item: Item): void {
    this.#ring[(this.#head + index) & (this.#ring.length - 1)] = item;
  }

  clear(): void {
    this.#ring = NO_RING;
    this.#head = 0;
    this.#size = 0;
  }

  *[Symbol.iterator](): IterableIterator<Item> {
    for (let index = 0; index < this.#size; index++) yield this.at(index) as Item;
  }

  #grow(): void {
    const ring = new Array<Item | undefined>(Math.max(CAPACITY_MIN, this.#size * 2));
    for (let index = 0; index < this.#size; index++) ring[index] = this.at(index);
    this.#ring = ring;
    this.#head = 0;
  }
}
