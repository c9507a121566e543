/** Bytes that may wait in one place. */
export class ByteBudget {
  readonly bytesMax: number;
  #used = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get used(): number {
    return this.#used;
  }

  /** False, and takes nothing, when that would be too much. An empty budget grants anything once. */
  take(bytes: number): boolean {
    if (this.#used > 0 && this.#used + bytes > this.bytesMax) return false;
    this.#used += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}
