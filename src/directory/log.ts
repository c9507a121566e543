/**
 * The changes of this node's own entries, numbered from 1 and encoded once for all peers: a bounded run of
 * the latest frames. A peer that needs older ones gets a snapshot.
 */
import type { Bytes } from "../lib/bytes.ts";
import { Deque } from "../lib/deque.ts";
import { FRAME_BYTES_MAX, LOG_BYTES_MAX, LOG_FRAMES_MAX } from "./options.ts";
import { EntriesWriter } from "./wire.ts";

export interface LogFrame {
  /** Numbers of the first and the last change in it. */
  readonly first: number;
  readonly last: number;
  readonly bytes: Bytes;
}

export class ChangeLog {
  readonly #frames = new Deque<LogFrame>();
  readonly #writer = new EntriesWriter();
  #bytes = 0;
  /** Number of the first change in the open frame, or 0 when there is none. */
  #openFirst = 0;
  #number = 0;
  /** Whether anybody listens; else changes are only counted. */
  #recording = false;

  /** Number of the latest change. */
  get number(): number {
    return this.#number;
  }

  put(id: string, handle: number, stamp: number): void {
    if (!this.#next()) return;
    this.#writer.put(id, handle, stamp);
    this.#closeIfFull();
  }

  remove(id: string): void {
    if (!this.#next()) return;
    this.#writer.remove(id);
    this.#closeIfFull();
  }

  /** Begins to keep changes, or stops and forgets them. */
  record(recording: boolean): void {
    if (recording === this.#recording) return;
    this.#recording = recording;
    this.#writer.take();
    this.#openFirst = 0;
    this.#frames.clear();
    this.#bytes = 0;
  }

  /** Ends the open frame, so that everything up to `number` stands in frames. */
  seal(): void {
    if (this.#openFirst === 0) return;
    const bytes = this.#writer.take();
    this.#frames.pushBack({ first: this.#openFirst, last: this.#number, bytes });
    this.#openFirst = 0;
    this.#bytes += bytes.byteLength;
    while (this.#bytes > LOG_BYTES_MAX || this.#frames.size > LOG_FRAMES_MAX) {
      this.#bytes -= this.#frames.popFront()?.bytes.byteLength ?? 0;
    }
  }

  /** Nobody needs the changes up to `number` any more. */
  forget(number: number): void {
    for (let first = this.#frames.front(); first !== undefined && first.last <= number;) {
      this.#frames.popFront();
      this.#bytes -= first.bytes.byteLength;
      first = this.#frames.front();
    }
  }

  /** The sealed frame that begins after change `number`; undefined when it is forgotten or not yet there. */
  after(number: number): LogFrame | undefined {
    let low = 0;
    let high = this.#frames.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#frames.at(middle) as LogFrame).first <= number) low = middle + 1;
      else high = middle;
    }
    const frame = this.#frames.at(low);
    return frame?.first === number + 1 ? frame : undefined;
  }

  /** Counts a change; true when it is to be written. */
  #next(): boolean {
    this.#number++;
    if (!this.#recording) return false;
    if (this.#openFirst === 0) {
      this.#openFirst = this.#number;
      this.#writer.beginChanges(this.#number);
    }
    return true;
  }

  #closeIfFull(): void {
    if (this.#writer.bytes >= FRAME_BYTES_MAX) this.seal();
  }
}
