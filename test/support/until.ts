import { sleep, systemClock } from "../../src/lib/clock.ts";

/** Resolves when `condition` holds, in real time; rejects with `what` after `limitMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 4_000,
): Promise<void> {
  const end = systemClock.now() + limitMs;
  while (!await condition()) {
    if (systemClock.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await sleep(systemClock, 2);
  }
}

/** What `work` resolves with; rejects with `what` when that takes longer than `limitMs`, in real time. */
export async function within<Result>(what: string, work: Promise<Result>, limitMs: number): Promise<Result> {
  let ended = false;
  const settled = work.finally(() => ended = true);
  await Promise.race([settled, until(what, () => ended, limitMs)]);
  return await settled;
}
