/** Starts a bench's own file as a process on a runtime. */
import { mkdirSync, readdirSync } from "node:fs";
import process from "node:process";
import { commandFor, type Runtime } from "../../test/support/runtimes.ts";
import { describeProfile } from "./cpu_profile.ts";
import { startWorker, type Worker } from "./worker.ts";

/** So that `liveMemory` can collect; Bun needs none. */
const GC_FLAGS: Readonly<Record<Runtime, readonly string[]>> = {
  bun: [],
  deno: ["--v8-flags=--expose-gc"],
  node: ["--expose-gc"],
};
/** As many open files as the system lets this user have: by default it is often 1,024. */
const WITH_FILES = 'ulimit -n "$(ulimit -Hn)"; exec "$0" "$@"';

export interface StartOptions {
  readonly runtime: Runtime;
  readonly file: string;
  readonly args: readonly string[];
  /** Write a CPU profile of this name there when the process ends. */
  readonly profile?: { readonly folder: string; readonly name: string } | undefined;
}

/**
 * A process that can be asked (see worker.ts), collects on demand, and may open as many sockets as are
 * allowed.
 */
export async function startOn({ runtime, file, args, profile }: StartOptions): Promise<Worker> {
  const [command, before] = commandFor(runtime, file, args);
  const profiling = profile === undefined
    ? []
    : ["--cpu-prof", `--cpu-prof-dir=${profile.folder}`, `--cpu-prof-name=${profile.name}.cpuprofile`];
  // Before the file, after the runtime's own sub-command.
  before.splice(before.indexOf(file), 0, ...GC_FLAGS[runtime], ...profiling);
  return await startWorker("sh", ["-c", WITH_FILES, command, ...before]);
}

export function makeFolder(folder: string): void {
  mkdirSync(folder, { recursive: true });
}

/** Prints where the time went, for each profile in `folder` whose name begins so. */
export function printProfiles(folder: string, prefix: string): void {
  for (const file of readdirSync(folder).filter((each) => each.startsWith(prefix)).sort()) {
    process.stdout.write(`\n${describeProfile(`${folder}/${file}`)}\n`);
  }
}
