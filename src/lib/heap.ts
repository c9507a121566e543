/** A binary min-heap: `push` and `pop` in O(log n). Items that compare equal come out in any order. */
export class Heap<Item> {
  #items: Item[] = [];
  readonly #before: (a: Item, b: Item) => boolean;

  /** `before(a, b)`: whether `a` must come out before `b`. */
  constructor(before: (a: Item, b: Item) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#items.length;
  }

  /** The item that `pop` would return. */
  peek(): Item | undefined {
    return this.#items[0];
  }

  push(item: Item): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(item, items[parent] as Item)) break;
      items[at] = items[parent] as Item;
      at = parent;
    }
    items[at] = item;
  }

  pop(): Item | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (items.length > 0) this.#sink(last as Item);
    return first;
  }

  clear(): void {
    this.#items.length = 0;
  }

  /** Drops every item that is not `wanted`, in O(n). */
  keep(wanted: (item: Item) => boolean): void {
    this.#items = this.#items.filter(wanted);
    for (let at = (this.#items.length >> 1) - 1; at >= 0; at--) this.#sink(this.#items[at] as Item, at);
  }

  /** Places `item`, which replaces the one at `start`, at or below it. */
  #sink(item: Item, start = 0): void {
    const items = this.#items;
    const size = items.length;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#before(items[child + 1] as Item, items[child] as Item)) child++;
      if (!this.#before(items[child] as Item, item)) break;
      items[at] = items[child] as Item;
      at = child;
    }
    items[at] = item;
  }
}
