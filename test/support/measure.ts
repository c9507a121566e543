import { appendFileSync } from "node:fs";
import process from "node:process";

/** What was measured: flat, each name with its unit (`p99Ms`, `messages`, `heapBytes`); `seed` names the seed used. */
export type Figures = Readonly<Record<string, number | string | boolean>>;

function runtimeName(): "bun" | "deno" | "node" {
  if (process.versions["bun"] !== undefined) return "bun";
  return "Deno" in globalThis ? "deno" : "node";
}

/** Hands figures to `npm run verify`, which writes them to `bench/results`. Does nothing in other runs. */
export function report(name: string, figures: Figures): void {
  const file = process.env["FLOTILLA_REPORT"];
  if (file) appendFileSync(file, JSON.stringify({ name, runtime: runtimeName(), figures }) + "\n");
}
