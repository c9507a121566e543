/** A closed interval of packet numbers. */
export interface NumberRange {
  readonly low: number;
  readonly high: number;
}

/** Ranges remembered; older numbers count as seen, which only makes their frames be sent again. */
const RANGES_MAX = 64;

/**
 * The packet numbers received in one packet space: says what is new (so nothing is processed twice, whether the
 * network or an attacker repeats it) and what to acknowledge (RFC 9000, 13.2.3). Bounded whatever arrives.
 */
export class ReceivedNumbers {
  /** Highest first. */
  #ranges: NumberRange[] = [];
  /** Everything below is treated as received. */
  #floor = 0;

  get ranges(): readonly NumberRange[] {
    return this.#ranges;
  }

  /** Everything from 0 up to the highest number came. */
  get unbroken(): boolean {
    return this.#ranges.length === 0 || (this.#ranges.length === 1 && this.#ranges[0]?.low === 0);
  }

  has(number: number): boolean {
    if (number < this.#floor) return true;
    for (const range of this.#ranges) {
      if (number > range.high) return false;
      if (number >= range.low) return true;
    }
    return false;
  }

  /** False, and nothing changed, when `number` was there already. */
  add(number: number): boolean {
    const ranges = this.#ranges;
    const newest = ranges[0];
    if (newest !== undefined && number === newest.high + 1) {
      ranges[0] = { low: newest.low, high: number };
      return true;
    }
    if (this.has(number)) return false;
    let index = 0;
    while (index < ranges.length && (ranges[index] as NumberRange).low > number) index++;
    const above = ranges[index - 1];
    const below = ranges[index];
    const joinsAbove = above !== undefined && above.low === number + 1;
    const joinsBelow = below !== undefined && below.high === number - 1;
    if (joinsAbove && joinsBelow) ranges.splice(index - 1, 2, { low: below.low, high: above.high });
    else if (joinsAbove) ranges[index - 1] = { low: number, high: above.high };
    else if (joinsBelow) ranges[index] = { low: below.low, high: number };
    else ranges.splice(index, 0, { low: number, high: number });
    if (ranges.length > RANGES_MAX) this.#floor = (ranges.pop() as NumberRange).high + 1;
    return true;
  }
}
