/** What a client does when its socket has closed, by what the node said. Pure. */
import { CLOSE } from "../lib/close_codes.ts";
import type { ClientClose } from "./contract.ts";

/** After these nobody reconnects: the close was meant, or would come again. */
const FINAL: ReadonlySet<number> = new Set([
  CLOSE.normal,
  CLOSE.protocolError,
  CLOSE.unauthorized,
  CLOSE.replaced,
]);

export type NextStep =
  | { readonly kind: "end" }
  /** The node that leaves named another one. */
  | { readonly kind: "redirect"; readonly url: URL }
  | { readonly kind: "retry" };

/** `from` is where the client was connected: a redirect never leads from `wss:` to `ws:`. */
export function afterClose({ code, reason, redirect }: ClientClose, from: URL): NextStep {
  if (FINAL.has(code)) return { kind: "end" };
  const url = code === CLOSE.leaving ? socketUrl(redirect ?? redirectIn(reason)) : undefined;
  if (url === undefined || (from.protocol === "wss:" && url.protocol === "ws:")) return { kind: "retry" };
  return { kind: "redirect", url };
}

/** `given` as a URL of a WebSocket; undefined where it is none. */
export function socketUrl(given: string | URL | undefined): URL | undefined {
  if (given === undefined || !URL.canParse(String(given))) return undefined;
  const url = new URL(given);
  return url.protocol === "ws:" || url.protocol === "wss:" ? url : undefined;
}

/** What a leaving node puts into its close reason: `{"redirect":"ws://…"}`. */
function redirectIn(reason: string): string | undefined {
  try {
    const told: unknown = JSON.parse(reason);
    if (typeof told !== "object" || told === null || !("redirect" in told)) return undefined;
    return typeof told.redirect === "string" ? told.redirect : undefined;
  } catch {
    return undefined;
  }
}
