/** NewReno as in RFC 9002, section 7. Bytes. */
export class CongestionWindow {
  readonly #packetBytes: number;
  #window: number;
  #slowStartThreshold = Number.POSITIVE_INFINITY;
  #inFlight = 0;
  /** Packets sent before this moment belong to the recovery period that is over or running (7.3.2). */
  #recoveryStart = Number.NEGATIVE_INFINITY;

  /** `packetBytes` is the size the window counts in: the longest packet sent. */
  constructor(packetBytes: number) {
    this.#packetBytes = packetBytes;
    this.#window = INITIAL_PACKETS * packetBytes;
  }

  get windowBytes(): number {
    return this.#window;
  }

  get inFlightBytes(): number {
    return this.#inFlight;
  }

  hasRoom(): boolean {
    return this.#inFlight < this.#window;
  }

  sent(bytes: number): void {
    this.#inFlight += bytes;
  }

  acknowledged(bytes: number, sentAt: number): void {
    const wasLimited = this.#inFlight * 2 >= this.#window;
    this.#inFlight -= bytes;
    // 7.8: a window that is not used does not grow.
    if (sentAt <= this.#recoveryStart || !wasLimited) return;
    if (this.#window < this.#slowStartThreshold) this.#window += bytes;
    else this.#window += this.#packetBytes * bytes / this.#window;
  }

  lost(bytes: number, sentAt: number, now: number): void {
    this.#inFlight -= bytes;
    if (sentAt <= this.#recoveryStart) return;
    this.#recoveryStart = now;
    this.#slowStartThreshold = Math.max(this.#window / 2, this.#minimum);
    this.#window = this.#slowStartThreshold;
  }

  /** Nothing got through for long (7.6). */
  collapsed(): void {
    this.#window = this.#minimum;
  }

  get #minimum(): number {
    return 2 * this.#packetBytes;
  }
}

const INITIAL_PACKETS = 10;
