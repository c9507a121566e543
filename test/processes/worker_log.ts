/** What a worker wrote down, read as it grows. */
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import type { Held } from "./held.ts";

export interface End {
  readonly to: string;
  readonly number: number;
  readonly outcome: string;
}

const PIECE_BYTES = 1_048_576;

/** One file for all runs of a worker, one after the other. */
export class WorkerLog {
  readonly path: string;
  readonly #ends: End[] = [];
  /** Everything but how calls ended: `up b`, `down b timeout`, ... */
  readonly #others: string[] = [];
  #highest = 0;
  /** Calls of the runs before this one, and of this one. */
  #earlierCalls = 0;
  #calls = 0;
  #read = 0;
  /** What has no newline yet. */
  #rest = "";

  constructor(path: string) {
    this.path = path;
  }

  ends(): readonly End[] {
    this.#catchUp();
    return this.#ends;
  }

  /** The highest number whose outcome was written down. */
  highest(): number {
    this.#catchUp();
    return this.#highest;
  }

  /** Calls made so far, whether they have ended or not. */
  calls(): number {
    this.#catchUp();
    return this.#earlierCalls + this.#calls;
  }

  /** Lines that begin so. */
  lines(beginning: string): string[] {
    this.#catchUp();
    return this.#others.filter((line) => line.startsWith(beginning));
  }

  /** What the process held when it was asked last, and when its last run had stopped. */
  held(when: "held" | "stopped"): Held | undefined {
    const line = this.lines(`${when} {`).at(-1);
    return line === undefined ? undefined : JSON.parse(line.slice(when.length)) as Held;
  }

  #catchUp(): void {
    if (!existsSync(this.path)) return;
    const file = openSync(this.path, "r");
    const piece = new Uint8Array(PIECE_BYTES);
    for (;;) {
      const bytes = readSync(file, piece, 0, piece.byteLength, this.#read);
      if (bytes === 0) break;
      this.#read += bytes;
      // What workers write is ASCII, so that pieces may be cut anywhere.
      const lines = (this.#rest + new TextDecoder().decode(piece.subarray(0, bytes))).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) this.#take(line);
    }
    closeSync(file);
  }

  #take(line: string): void {
    const end = line.match(/^end (.+) (\d+) (\S+)$/);
    if (end !== null) {
      const number = Number(end[2]);
      this.#highest = Math.max(this.#highest, number);
      this.#ends.push({ to: end[1] as string, number, outcome: end[3] as string });
      return;
    }
    const calls = line.match(/^calls (\d+)$/);
    if (calls === null) return void (line !== "" && this.#others.push(line));
    // A new run counts from zero.
    if (Number(calls[1]) < this.#calls) this.#earlierCalls += this.#calls;
    this.#calls = Number(calls[1]);
  }
}
