/**
 * The map in a snapshot, many values in each row, by column: the keys' text as one, their lengths in UTF-16
 * code units, their revisions, the revisions of their creation, and the lengths of the values, which stand
 * behind the row as they are.
 */
import type { Bytes } from "../../lib/bytes.ts";
import { FlotillaError } from "../../lib/errors.ts";
import { asList, asTuple, asWhole } from "../../lib/shape.ts";
import { utf8Length } from "../../lib/utf8_length.ts";
import { asUtf8, textField } from "./fields.ts";
import type { KeyValues, StoredValue } from "./key_values.ts";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "./limits.ts";
import { PAGE_BYTES, type PageReader, type PageWriter } from "./pages.ts";

/** There may be very many. */
const EMPTY: Bytes = new Uint8Array();
/** What the numbers of a value take, about. */
const NUMBERS_BYTES = 16;

export function writeValues(writer: PageWriter, values: KeyValues): void {
  let keys = "", bytes = 0;
  let units: number[] = [], revisions: number[] = [], created: number[] = [], lengths: number[] = [];
  let contents: Bytes[] = [];
  const end = (): void => {
    if (units.length === 0) return;
    writer.row([textField(keys), units, revisions, created, lengths], bytes);
    for (const content of contents) writer.raw(content);
    keys = "";
    bytes = 0;
    [units, revisions, created, lengths, contents] = [[], [], [], [], []];
  };
  for (const [key, { revision, created: creation, value }] of values.entries()) {
    keys += key;
    units.push(key.length);
    revisions.push(revision);
    created.push(creation);
    lengths.push(value.byteLength);
    if (value.byteLength > 0) contents.push(value);
    bytes += key.length + NUMBERS_BYTES;
    if (bytes >= PAGE_BYTES) end();
  }
  end();
}

/** `count` values of a map at `mapRevision`. Throws `malformed`. */
export function* readValues(
  reader: PageReader,
  count: number,
  mapRevision: number,
): Iterable<[string, StoredValue]> {
  let before = 0;
  for (let read = 0; read < count;) {
    const row = asTuple(reader.row(), 5, "values");
    const keys = asUtf8(row[0], "keys");
    const units = asList(row[1], "lengths of keys");
    const revisions = asTuple(row[2], units.length, "revisions");
    const created = asTuple(row[3], units.length, "revisions of creation");
    const lengths = asTuple(row[4], units.length, "lengths of values");
    read += asWhole(units.length, 1, count - read, "a number of values");
    let keyAt = 0;
    for (let at = 0; at < units.length; at++) {
      const keyEnd = keyAt + asWhole(units[at], 1, keys.length - keyAt, "the length of a key");
      const key = keys.slice(keyAt, keyEnd);
      if (!key.isWellFormed() || utf8Length(key) > KEY_BYTES_MAX) throw malformed("a key that cannot be");
      const revision = asWhole(revisions[at], before + 1, mapRevision, "a key's revision");
      const length = asWhole(lengths[at], 0, VALUE_BYTES_MAX, "the length of a value");
      const value = length === 0 ? EMPTY : new Uint8Array(reader.raw(length));
      yield [key, { value, revision, created: asWhole(created[at], 1, revision, "a key's creation") }];
      before = revision;
      keyAt = keyEnd;
    }
    if (keyAt < keys.length) throw malformed("more text in a row than its keys");
  }
}

function malformed(problem: string): FlotillaError {
  return new FlotillaError("malformed", `read a snapshot: it has ${problem}`);
}
