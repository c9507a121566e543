import type { ConnectionSink } from "../../src/connection/sink.ts";
import { type Bytes, utf8 } from "../../src/lib/bytes.ts";
import type { Clock } from "../../src/lib/clock.ts";

/**
 * A client's socket, and what the client got of it: a message counts when its last byte has left the buffer.
 */
export class FakeSink implements ConnectionSink {
  onDrain: (() => void) | undefined = undefined;
  readonly received: (string | Bytes)[] = [];
  closedWith: { code: number; reason: string } | undefined;
  /** Called for each message the client gets. */
  onReceived: ((data: string | Bytes) => void) | undefined;
  bufferedBytes = 0;
  readonly #clock: Clock;
  /** Bytes a millisecond that leave; Infinity: at once, 0: never. */
  #bytesPerMs: number;
  readonly #buffer: { data: string | Bytes; left: number }[] = [];
  #draining = false;

  constructor(clock: Clock, bytesPerMs: number = Infinity) {
    this.#clock = clock;
    this.#bytesPerMs = bytesPerMs;
  }

  set bytesPerMs(value: number) {
    this.#bytesPerMs = value;
    this.#drain();
  }

  send(data: string | Bytes): boolean {
    if (this.closedWith !== undefined) return false;
    const bytes = typeof data === "string" ? utf8(data).byteLength : data.byteLength;
    this.#buffer.push({ data, left: bytes });
    this.bufferedBytes += bytes;
    if (this.#bytesPerMs === Infinity) this.#take(Infinity);
    else this.#drain();
    return true;
  }

  close(code: number, reason: string): void {
    this.closedWith ??= { code, reason };
  }

  /** Cuts the socket: what has not left is lost. */
  cut(): void {
    this.closedWith ??= { code: 1006, reason: "" };
    this.#buffer.length = 0;
  }

  #drain(): void {
    if (this.#draining || this.#bytesPerMs === 0 || this.#buffer.length === 0) return;
    this.#draining = true;
    this.#clock.timer(1, () => {
      this.#draining = false;
      if (this.#buffer.length === 0) return;
      this.#take(this.#bytesPerMs);
      this.#drain();
      this.onDrain?.();
    });
  }

  #take(bytes: number): void {
    let room = bytes;
    for (
      let first = this.#buffer[0];
      first !== undefined && (room > 0 || first.left === 0);
      first = this.#buffer[0]
    ) {
      const taken = Math.min(room, first.left);
      first.left -= taken;
      room -= taken;
      this.bufferedBytes -= taken;
      if (first.left > 0) return;
      this.#buffer.shift();
      this.received.push(first.data);
      this.onReceived?.(first.data);
    }
  }
}
