/**
 * The map in a snapshot: rows of many values each, by column. A row has the keys' text as one, their lengths
 * in UTF-16 code units, their revisions, the revisions of their creation, the values as one, and their lengths.
 */
import { type Bytes, concatBytes } from "../../lib/bytes.ts";
import { FlotillaError } from "../../lib/errors.ts";
import { asTuple, asWhole } from "../../lib/shape.ts";
import { utf8Length } from "../../lib/utf8_length.ts";
import { asList, asUtf8, asView, textField } from "./fields.ts";
import type { KeyValues, StoredValue } from "./key_values.ts";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "./limits.ts";
import { PAGE_BYTES, type PageReader, type PageWriter } from "./pages.ts";

/** What a value's numbers take, about. */
const NUMBERS_BYTES = 16;

export function writeValues(writer: PageWriter, values: KeyValues): void {
  let keys = "", bytes = 0;
  let units: number[] = [], revisions: number[] = [], created: number[] = [], lengths: number[] = [];
  let contents: Bytes[] = [];
  const end = (): void => {
    if (units.length === 0) return;
    writer.row([textField(keys), units, revisions, created, concatBytes(...contents), lengths], bytes);
    keys = "";
    bytes = 0;
    [units, revisions, created, lengths, contents] = [[], [], [], [], []];
  };
  for (const [key, stored] of values.entries()) {
    keys += key;
    units.push(key.length);
    revisions.push(stored.revision);
    created.push(stored.created);
    contents.push(stored.value);
    lengths.push(stored.value.byteLength);
    bytes += key.length + stored.value.byteLength + NUMBERS_BYTES;
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
    const row = asTuple(reader.row(), 6, "values");
    const keys = asUtf8(row[0], "keys");
    const units = asList(row[1], "lengths of keys");
    const revisions = asTuple(row[2], units.length, "revisions");
    const created = asTuple(row[3], units.length, "revisions of creation");
    const contents = asView(row[4], "values");
    const lengths = asTuple(row[5], units.length, "lengths of values");
    read += asWhole(units.length, 1, count - read, "a number of values");
    let keyAt = 0, valueAt = 0;
    for (let at = 0; at < units.length; at++) {
      const keyEnd = keyAt + asWhole(units[at], 1, keys.length - keyAt, "the length of a key");
      const key = keys.slice(keyAt, keyEnd);
      if (!key.isWellFormed() || utf8Length(key) > KEY_BYTES_MAX) throw malformed("a key that cannot be");
      const revision = asWhole(revisions[at], before + 1, mapRevision, "a key's revision");
      const lengthMax = Math.min(VALUE_BYTES_MAX, contents.byteLength - valueAt);
      const valueEnd = valueAt + asWhole(lengths[at], 0, lengthMax, "the length of a value");
      const value = new Uint8Array(contents.subarray(valueAt, valueEnd));
      yield [key, { value, revision, created: asWhole(created[at], 1, revision, "a key's creation") }];
      before = revision;
      keyAt = keyEnd;
      valueAt = valueEnd;
    }
    if (keyAt < keys.length || valueAt < contents.byteLength) {
      throw malformed("more in a row than its values");
    }
  }
}

function malformed(problem: string): FlotillaError {
  return new FlotillaError("malformed", `read a snapshot: it has ${problem}`);
}
