/**
 * Rows in pages: each page is the length of its CBOR (32 bits, big-endian) and a CBOR list of rows. Raw bytes
 * may stand between pages; whoever reads knows from the rows how many. Pages keep cbor-x from growing its
 * buffer, which it never gives back, to several times the whole, and raw bytes are copied once.
 */
import { type Bytes, viewOf } from "../../lib/bytes.ts";
import { encodeCbor } from "../../lib/cbor.ts";
import { FlotillaError } from "../../lib/errors.ts";
import { asList } from "../../lib/shape.ts";
import { type Field } from "./fields.ts";
import { decodePlain } from "./plain.ts";

/** Bytes after which a page ends, about. */
export const PAGE_BYTES = 65_536;
const LENGTH_BYTES = 4;

export class PageWriter {
  /** Pages, and raw bytes as they are. */
  readonly #parts: { readonly bytes: Uint8Array; readonly isPage: boolean }[] = [];
  #rows: (readonly Field[])[] = [];
  #rowsBytes = 0;
  #bytes = 0;

  /**
   * `bytes`: how large the row is, about. What is written must depend on the state alone, and so must this.
   */
  row(row: readonly Field[], bytes: number): void {
    this.#rows.push(row);
    this.#rowsBytes += bytes;
    if (this.#rowsBytes >= PAGE_BYTES) this.#endPage();
  }

  /** They are read only by `take`. */
  raw(bytes: Uint8Array): void {
    this.#endPage();
    this.#parts.push({ bytes, isPage: false });
    this.#bytes += bytes.byteLength;
  }

  take(): Bytes {
    this.#endPage();
    const whole = new Uint8Array(this.#bytes);
    const view = viewOf(whole);
    let at = 0;
    for (const { bytes, isPage } of this.#parts) {
      if (isPage) {
        view.setUint32(at, bytes.byteLength);
        at += LENGTH_BYTES;
      }
      whole.set(bytes, at);
      at += bytes.byteLength;
    }
    return whole;
  }

  #endPage(): void {
    if (this.#rows.length === 0) return;
    const bytes = encodeCbor(this.#rows);
    this.#parts.push({ bytes, isPage: true });
    this.#bytes += LENGTH_BYTES + bytes.byteLength;
    this.#rows = [];
    this.#rowsBytes = 0;
  }
}

/** Byte strings in rows are views. Throws `malformed` wherever the bytes are not what a writer wrote. */
export class PageReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #rows: readonly unknown[] = [];
  #next = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  row(): readonly unknown[] {
    if (this.#next >= this.#rows.length) this.#nextPage();
    return asList(this.#rows[this.#next++], "a row");
  }

  *rows(count: number): Iterable<readonly unknown[]> {
    for (let read = 0; read < count; read++) yield this.row();
  }

  /** A view of the raw bytes behind a page, of which all rows are read. */
  raw(length: number): Uint8Array {
    const from = this.#at;
    if (this.#next < this.#rows.length) throw malformed("has a row too many");
    if (length > this.#bytes.byteLength - from) throw malformed("ends too early");
    this.#at += length;
    return this.#bytes.subarray(from, this.#at);
  }

  end(): void {
    const rest = this.#bytes.byteLength - this.#at + this.#rows.length - this.#next;
    if (rest > 0) throw malformed("goes on behind its end");
  }

  #nextPage(): void {
    const from = this.#at + LENGTH_BYTES;
    if (from > this.#bytes.byteLength) throw malformed("ends too early");
    const to = from + this.#view.getUint32(this.#at);
    if (to > this.#bytes.byteLength) throw malformed("ends too early");
    const page = decodePlain(this.#bytes.subarray(from, to), "a page of a snapshot");
    this.#rows = asList(page, "a page");
    this.#next = 0;
    this.#at = to;
  }
}

function malformed(problem: string): FlotillaError {
  return new FlotillaError("malformed", `read a snapshot: it ${problem}`);
}
