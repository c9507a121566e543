/** What is left to take of one key, and what may be taken next. */
import { type Interval, writtenRevision } from "./intervals.ts";

/** Calls and returns in time; slot 0 is the head, 2i + 1 the call of interval i, 2i + 2 its return if it has one. */
export class Entries {
  readonly intervals: readonly Interval[];
  /** In the order in which they were taken. */
  readonly taken: number[] = [];
  /** How many are left that may not be left out. */
  certain = 0;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** Sixteen to a word, so that a word is a character of the key. */
  readonly #bits: Uint16Array;
  /** For writes of known revision: their rank among those. */
  readonly #ranks = new Map<number, number>();
  #turn = 0;

  constructor(intervals: readonly Interval[]) {
    this.intervals = intervals;
    this.#next = new Int32Array(intervals.length * 2 + 1);
    this.#previous = new Int32Array(intervals.length * 2 + 1);
    this.#bits = new Uint16Array((intervals.length >> 4) + 1);
    const slots: { readonly at: number; readonly slot: number }[] = [];
    intervals.forEach(({ from, to }, index) => {
      slots.push({ at: from, slot: index * 2 + 1 });
      if (to === Infinity) return;
      this.certain++;
      slots.push({ at: to, slot: index * 2 + 2 });
    });
    // Calls are odd. At one instant they come before returns: what only touches is concurrent.
    slots.sort((a, b) => a.at - b.at || b.slot % 2 - a.slot % 2 || a.slot - b.slot);
    let last = 0;
    for (const { slot } of slots) {
      this.#next[last] = slot;
      this.#previous[slot] = last;
      last = slot;
    }
    this.#next[last] = 0;
    this.#previous[0] = last;
    intervals.map((interval, index) => ({ index, revision: writtenRevision(interval) }))
      .filter(({ revision }) => revision !== undefined)
      .sort((a, b) => Number(a.revision) - Number(b.revision))
      .forEach(({ index }, rank) => this.#ranks.set(index, rank));
  }

  /** Intervals that nothing left must precede, in the order of their calls. */
  minimal(): number[] {
    const found: number[] = [];
    for (let slot = this.#next[0] as number; slot % 2 === 1; slot = this.#next[slot] as number) {
      found.push((slot - 1) / 2);
    }
    return found;
  }

  isTurnOf(index: number): boolean {
    const rank = this.#ranks.get(index);
    return rank === undefined || rank === this.#turn;
  }

  take(index: number): void {
    this.taken.push(index);
    this.#mark(index, 1);
    for (const slot of this.#slotsOf(index)) {
      this.#next[this.#previous[slot] as number] = this.#next[slot] as number;
      this.#previous[this.#next[slot] as number] = this.#previous[slot] as number;
    }
  }

  /** Puts back what was taken, the last first, until so many are left. */
  backTo(length: number): void {
    while (this.taken.length > length) {
      const index = this.taken.pop() as number;
      this.#mark(index, -1);
      for (const slot of this.#slotsOf(index).reverse()) {
        this.#next[this.#previous[slot] as number] = slot;
        this.#previous[this.#next[slot] as number] = slot;
      }
    }
  }

  /** What has been taken, as text: how many whole words from the start, then the words up to the last that is not 0. */
  key(): string {
    const bits = this.#bits;
    let first = 0, last = bits.length - 1;
    while (bits[first] === 0xffff) first++;
    while (last >= first && bits[last] === 0) last--;
    return `${first}/${String.fromCharCode(...bits.subarray(first, last + 1))}`;
  }

  #slotsOf(index: number): number[] {
    const { to } = this.intervals[index] as Interval;
    return to === Infinity ? [index * 2 + 1] : [index * 2 + 1, index * 2 + 2];
  }

  #mark(index: number, change: 1 | -1): void {
    const word = index >> 4;
    this.#bits[word] = (this.#bits[word] as number) ^ (1 << (index & 15));
    if (this.#ranks.has(index)) this.#turn += change;
    if (this.intervals[index]?.to !== Infinity) this.certain -= change;
  }
}
