/** The user's map: values with the revisions at which they were made and last changed. */
import { utf8Length } from "../../lib/utf8_length.ts";
import { ITEM_BYTES } from "./limits.ts";
import { OrderedKeys } from "./ordered_keys.ts";

/** Shared by all who ask for it: its bytes are not to be written to. */
export interface StoredValue {
  readonly value: Uint8Array<ArrayBuffer>;
  /** At which it was last changed. */
  readonly revision: number;
  /** At which it came into being; a key that was deleted and set again came anew. */
  readonly created: number;
}

export interface Change {
  /** The map's, which grew by one with this change. */
  readonly revision: number;
  readonly key: string;
  /** Null: deleted. Not to be written to. */
  readonly value: Uint8Array<ArrayBuffer> | null;
}

export class KeyValues {
  /** The one changed longest ago first: that order needs no sorting and is the same on every node. */
  readonly #values: Map<string, StoredValue> = new Map();
  readonly #order: OrderedKeys = new OrderedKeys();
  #revision = 0;
  #bytes = 0;

  get size(): number {
    return this.#values.size;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Bytes of keys and values, and `ITEM_BYTES` for each key. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): StoredValue | undefined {
    return this.#values.get(key);
  }

  /** The one changed longest ago first. */
  entries(): Iterable<[string, StoredValue]> {
    return this.#values;
  }

  /** Keys with `prefix` that come behind `after`, by UTF-16 code units. */
  keys(prefix: string, after: string, limit: number): string[] {
    return this.#order.page(this.#values, prefix, after, limit);
  }

  /** By how much `bytes` would grow if `key` held `valueBytes` bytes. */
  growth(key: string, valueBytes: number): number {
    const before = this.#values.get(key);
    return before === undefined
      ? utf8Length(key) + valueBytes + ITEM_BYTES
      : valueBytes - before.value.byteLength;
  }

  /** `value` is copied: a view would keep the packet alive that brought it, and other entries with it. */
  set(key: string, value: Uint8Array): Change {
    const before = this.#values.get(key);
    this.#bytes += this.growth(key, value.byteLength);
    const revision = ++this.#revision;
    const copy = new Uint8Array(value);
    if (before === undefined) this.#order.add(key);
    else this.#values.delete(key);
    this.#values.set(key, { value: copy, revision, created: before?.created ?? revision });
    return { revision, key, value: copy };
  }

  /** Undefined when the key is absent. */
  delete(key: string): Change | undefined {
    const before = this.#values.get(key);
    if (before === undefined) return undefined;
    this.#bytes -= utf8Length(key) + before.value.byteLength + ITEM_BYTES;
    this.#values.delete(key);
    this.#order.delete(key);
    return { revision: ++this.#revision, key, value: null };
  }

  /** Of a snapshot: entries come in the order of `entries`. */
  restore(revision: number, entries: Iterable<[string, StoredValue]>): void {
    this.#revision = revision;
    for (const [key, stored] of entries) {
      this.#bytes += this.growth(key, stored.value.byteLength);
      this.#values.set(key, stored);
    }
  }
}
