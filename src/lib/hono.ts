/**
 * The door to Hono, the router of every HTTP route. Without a package.json in reach (the raw mod.ts imported
 * from a URL on Deno) the bare specifier does not resolve and the `npm:` one does.
 */
import type { Context as HonoContext, Hono as HonoApp } from "hono";

type HonoModule = typeof import("hono");

const fromNpm = async (): Promise<HonoModule> => {
  const specifier: string = "npm:hono@4.13.19";
  return await import(specifier);
};
const module: HonoModule = await import("hono").catch(fromNpm);

/** Hono's constructor; `HonoApp` is the type of what it makes. */
export const Hono: HonoModule["Hono"] = module.Hono;
export type { HonoApp, HonoContext };
