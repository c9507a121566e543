/** What a process holds, as the runtimes count it. */
import process from "node:process";

export interface LiveMemory {
  /** Objects and array buffers that are still reachable. */
  readonly heapBytes: number;
  /** Pages of memory, as the system counts them for the process. */
  readonly residentBytes: number;
}

const COLLECTIONS = 3;

/** Collects first. Node and Deno must run with `--expose-gc`. */
export async function liveMemory(): Promise<LiveMemory> {
  const { gc, Bun } = globalThis as { gc?: () => void; Bun?: { gc(force: boolean): void } };
  for (let round = 0; round < COLLECTIONS; round++) {
    if (Bun !== undefined) Bun.gc(true);
    else gc?.();
    // Finalizers run in turns of their own.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
  // Bun counts array buffers in the heap; V8 counts them apart.
  return {
    heapBytes: Bun !== undefined ? heapUsed : heapUsed + Math.max(external, arrayBuffers),
    residentBytes: rss,
  };
}
