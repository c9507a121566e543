/** Reads CPU profiles as V8 and Bun write them (`*.cpuprofile`, the format of the Chrome DevTools protocol). */
import { readFileSync } from "node:fs";

const LINES_MAX = 45;
/** Not work: waiting for something to happen. */
const IDLE = /^\((idle|program|root)\)$/;

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[];
}

/** Functions by their own time, with shares of all time that is not idle; then files by the same. */
export function describeProfile(path: string): string {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(path, "utf8")) as CpuProfile;
  const spent = new Map<number, number>();
  samples.forEach((id, index) => spent.set(id, (spent.get(id) ?? 0) + (timeDeltas[index] ?? 0)));
  const byFunction = new Map<string, number>();
  const byFile = new Map<string, number>();
  let busy = 0;
  let idle = 0;
  for (const { id, callFrame } of nodes) {
    const us = spent.get(id) ?? 0;
    if (IDLE.test(callFrame.functionName)) {
      idle += us;
      continue;
    }
    busy += us;
    const file = shortUrl(callFrame.url);
    add(byFunction, `${callFrame.functionName || "(anonymous)"} ${file}:${callFrame.lineNumber + 1}`, us);
    add(byFile, file, us);
  }
  const lines = (of: ReadonlyMap<string, number>): string[] =>
    [...of].sort((a, b) => b[1] - a[1]).slice(0, LINES_MAX)
      .map(([name, us]) => `${(100 * us / busy).toFixed(1).padStart(5)} %  ${name}`);
  const seconds = (us: number): string => (us / 1e6).toFixed(2);
  return [
    `${path}: ${seconds(busy)} s busy, ${seconds(idle)} s idle or in native code`,
    ...lines(byFunction),
    "by file:",
    ...lines(byFile).slice(0, 25),
  ].join("\n");
}

function add(sums: Map<string, number>, name: string, us: number): void {
  sums.set(name, (sums.get(name) ?? 0) + us);
}

function shortUrl(url: string): string {
  const at = url.search(/\/(src|transports|bench|node_modules)\//);
  return url === "" ? "(native)" : at < 0 ? url : url.slice(at + 1);
}
