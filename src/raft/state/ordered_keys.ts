/** Keys in order, in blocks: adding one moves at most a block, whatever the number of keys. */
const BLOCK_KEYS_MAX = 512;

/** Keeps no order until somebody asks for it: many clusters never list. The first page sorts all keys. */
export class OrderedKeys {
  #blocks: string[][] | undefined;

  /** `key` is not among them. */
  add(key: string): void {
    const blocks = this.#blocks;
    if (blocks === undefined) return;
    const at = blockOf(blocks, key);
    const block = blocks[at];
    if (block === undefined) {
      blocks.push([key]);
      return;
    }
    block.splice(placeOf(block, key), 0, key);
    if (block.length > BLOCK_KEYS_MAX) blocks.splice(at + 1, 0, block.splice(BLOCK_KEYS_MAX >> 1));
  }

  delete(key: string): void {
    const blocks = this.#blocks;
    if (blocks === undefined) return;
    const at = blockOf(blocks, key);
    const block = blocks[at];
    if (block === undefined) return;
    const place = placeOf(block, key);
    if (block[place] === key) block.splice(place, 1);
    if (block.length === 0) blocks.splice(at, 1);
  }

  /** At most `limit` keys with `prefix` that come behind `after`; `all` has those added and not deleted. */
  page(all: ReadonlyMap<string, unknown>, prefix: string, after: string, limit: number): string[] {
    const blocks = this.#blocks ??= inBlocks([...all.keys()].sort());
    const from = after > prefix ? after : prefix;
    const page: string[] = [];
    let at = blockOf(blocks, from);
    let place = placeOf(blocks[at] ?? [], from);
    for (let block = blocks[at]; block !== undefined; block = blocks[++at], place = 0) {
      for (; place < block.length; place++) {
        const key = block[place] as string;
        // Keys with one prefix stand together, and this is not before the first of them.
        if (page.length >= limit || !key.startsWith(prefix)) return page;
        if (key !== after) page.push(key);
      }
    }
    return page;
  }
}

function inBlocks(sorted: readonly string[]): string[][] {
  const blocks: string[][] = [];
  for (let at = 0; at < sorted.length; at += BLOCK_KEYS_MAX >> 1) {
    blocks.push(sorted.slice(at, at + (BLOCK_KEYS_MAX >> 1)));
  }
  return blocks;
}

/** The last block that begins at or before `key`, else the first. */
function blockOf(blocks: readonly (readonly string[])[], key: string): number {
  let low = 1;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((blocks[middle]?.[0] as string) <= key) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Where `key` stands in `block`, or where it would. */
function placeOf(block: readonly string[], key: string): number {
  let low = 0;
  let high = block.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((block[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
