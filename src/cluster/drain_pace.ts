/** Clients of the first batch. */
export const BATCH_SIZE_FIRST = 1_000;
export const BATCH_SIZE_MIN = 100;
export const BATCH_SIZE_MAX = 10_000;
/** A batch has arrived when so much of it was seen elsewhere; the rest may never come. */
export const ARRIVED_SHARE = 0.9;
/** A batch is not waited for any longer, in ms. */
export const BATCH_MS_MAX = 2_000;
/** A batch that arrives within so many ms may be followed by a larger one. */
const FAST_MS = 500;
/** One that takes so many is followed by a smaller one: somebody there has to struggle. */
const SLOW_MS = 1_500;

/** How many clients the next batch has, by how long the last one took to arrive elsewhere. Pure. */
export function nextBatchSize(size: number, arrivedAfterMs: number): number {
  if (arrivedAfterMs <= FAST_MS) return Math.min(size * 2, BATCH_SIZE_MAX);
  if (arrivedAfterMs >= SLOW_MS) return Math.max(Math.ceil(size / 2), BATCH_SIZE_MIN);
  return size;
}
