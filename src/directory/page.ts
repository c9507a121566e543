/**
 * The `limit` smallest of `ids` above `after`, ascending (by UTF-16 code units). Holds at most twice
 * `limit`.
 */
export function smallestAfter(ids: Iterable<string>, limit: number, after: string | undefined): string[] {
  if (limit <= 0) return [];
  let page: string[] = [];
  let worst: string | undefined;
  for (const id of ids) {
    if (after !== undefined && id <= after) continue;
    if (worst !== undefined && id >= worst) continue;
    page.push(id);
    if (page.length < 2 * limit) continue;
    page = page.sort(ascending).slice(0, limit);
    worst = page.at(-1);
  }
  return page.sort(ascending).slice(0, limit);
}

function ascending(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
