/** A long stream from one node to a client of another, and what it costs them in memory. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import type { DemoNode } from "./start_nodes.ts";

const PIECE_BYTES = 65_536;
const SAMPLE_MS = 50;
const MEBIBYTE = 1_048_576;

export interface Crossing {
  readonly outcome: string;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly ms: number;
  /** By how much the memory of the sending and of the owning node grew at most. */
  readonly grownBytes: readonly [number, number];
}

/** Uploads `bytes` to `from` over HTTP, for the client of `to`, chunk by chunk. */
export async function streamAcross(from: DemoNode, to: DemoNode, bytes: number): Promise<Crossing> {
  const before = [from, to].map(residentBytes);
  const peaks = [...before];
  const sample = setInterval(() => {
    [from, to].forEach((node, index) => peaks[index] = Math.max(peaks[index] ?? 0, residentBytes(node)));
  }, SAMPLE_MS);
  const startedAt = performance.now();
  const receivedBefore = to.receivedBytes;
  const answer = await from.stream(to.clientId, zeros(bytes), bytes);
  // Delivered is what the kernel has; the client may still be reading.
  await to.awaitBytes(receivedBefore + answer.bytes);
  const ms = performance.now() - startedAt;
  clearInterval(sample);
  const [sender = 0, owner = 0] = peaks.map((peak, index) => peak - (before[index] ?? 0));
  return {
    outcome: answer.outcome,
    sentBytes: answer.bytes,
    receivedBytes: to.receivedBytes - receivedBefore,
    ms,
    grownBytes: [sender, owner],
  };
}

export function mebibytes(bytes: number): string {
  return `${(bytes / MEBIBYTE).toFixed(0)} MiB`;
}

function* zeros(bytes: number): Iterable<Uint8Array> {
  for (let at = 0; at < bytes; at += PIECE_BYTES) yield new Uint8Array(Math.min(PIECE_BYTES, bytes - at));
}

/** Where there is no /proc, `ps` knows. */
function residentBytes({ pid }: DemoNode): number {
  try {
    const [, kibibytes = "0"] = readFileSync(`/proc/${pid}/status`, "utf8").match(/^VmRSS:\s+(\d+)/m) ?? [];
    return Number(kibibytes) * 1_024;
  } catch {
    return Number(spawnSync("ps", ["-o", "rss=", "-p", String(pid)]).stdout ?? 0) * 1_024;
  }
}
