/** Where the runtimes of node_modules are. */
import { fileURLToPath } from "node:url";

export type Runtime = "bun" | "deno" | "node";
export const RUNTIMES: readonly Runtime[] = ["bun", "deno", "node"];

/** The repository's folder, without a slash at the end. */
export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** The path of a program from node_modules/.bin: a runtime, `tsc`, ... */
export function programOf(name: string): string {
  return `${ROOT}/node_modules/.bin/${name}`;
}

/** Program and arguments that run a TypeScript file on `runtime`, with every permission. */
export function commandFor(runtime: Runtime, file: string, args: readonly string[] = []): [string, string[]] {
  const before = {
    bun: ["run"],
    deno: ["run", "-A", "--quiet", "--no-check"],
    node: ["--disable-warning=ExperimentalWarning"],
  };
  return [programOf(runtime), [...before[runtime], file, ...args]];
}
