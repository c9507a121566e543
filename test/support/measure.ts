import { appendFileSync } from "node:fs";
import process from "node:process";
import { full } from "./scale.ts";

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

/**
 * The first seed of a random test: `fixed` in `npm test`, so that it finds today what it finds tomorrow; a new one in
 * `npm run verify`, which writes it down. FLOTILLA_SEED overrides both, to repeat a failure.
 */
export function firstSeed(fixed: number): number {
  return Number(process.env["FLOTILLA_SEED"] ?? (full ? Date.now() % 1_000_000_000 : fixed));
}
