/** The few statistics the benches print. */

/** The value below which `share` (0–1) of the values lie (nearest rank); NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

/** The middle one, or the mean of the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/** Rounds for people and files: `digits` after the point. */
export function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

export function medianOf<Item>(items: readonly Item[], of: (item: Item) => number): number {
  return median(items.map(of));
}

/** The median of the ratios of measurements that ran beside each other. */
export function medianRatio<Item>(
  items: readonly Item[],
  others: readonly Item[],
  of: (item: Item) => number,
): number {
  return median(items.flatMap((item, index) => {
    const beside = others[index];
    return beside === undefined ? [] : [of(item) / of(beside)];
  }));
}

/** A Markdown table; all columns but the first `texts` are numbers. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  texts = 1,
): string {
  return [head, head.map((_, index) => index < texts ? "---" : "---:"), ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** How an aim is reported. */
export function met(yes: boolean): string {
  return yes ? "met" : "missed";
}
