import { type ErrorCode, FlotillaError } from "../lib/errors.ts";
import { afterClose, socketUrl } from "./after_close.ts";
import type { ClientClose, ClientSettings } from "./contract.ts";
import { openSession } from "./open_session.ts";
import type { Session } from "./session.ts";

/** So many redirects in a row are followed; then the client begins again where it was told to connect at first. */
const REDIRECTS_MAX = 5;

/** What another node may do better. */
const ELSEWHERE: ReadonlySet<ErrorCode> = new Set(["node-lost", "timeout"]);

/** Makes sessions: at home, one of the URLs that `connect` was given, or where a leaving node has sent the client. */
export class Dialler {
  readonly #homes: readonly URL[];
  /** Which of them is next. */
  #home = 0;
  readonly #settings: ClientSettings;
  #redirect: URL | undefined;
  /** Since a session was stable. */
  #redirects = 0;

  constructor(homes: readonly URL[], settings: ClientSettings) {
    this.#homes = homes;
    this.#settings = settings;
  }

  /** The next attempt goes to `url`, unless the client was sent around too often. False then. */
  redirect(url: URL): boolean {
    this.#redirect = ++this.#redirects <= REDIRECTS_MAX ? url : undefined;
    return this.#redirect !== undefined;
  }

  /** The client has been connected for a while. */
  stable(): void {
    this.#redirects = 0;
  }

  /** Connects, trying every home once; follows the redirects of nodes that leave. Rejects as `connect` does. */
  async dial(signal: AbortSignal | undefined): Promise<Session> {
    for (let failures = 0;;) {
      const url = this.#redirect ?? this.#homes[this.#home] as URL;
      this.#redirect = undefined;
      try {
        return await openSession(await this.#withQuery(url), this.#settings, signal);
      } catch (thrown) {
        const close = closeOf(thrown);
        const next = close === undefined ? undefined : afterClose(close, url);
        if (next?.kind === "redirect" && this.redirect(next.url)) continue;
        this.#home = (this.#home + 1) % this.#homes.length;
        const mayHelp = thrown instanceof FlotillaError && ELSEWHERE.has(thrown.code);
        if (!mayHelp || ++failures >= this.#homes.length) throw thrown;
      }
    }
  }

  /** With what `query` says now: a fresh token, say. */
  async #withQuery(url: URL): Promise<URL> {
    const { query } = this.#settings;
    const complete = new URL(url);
    for (const [name, value] of Object.entries(await query?.() ?? {})) complete.searchParams.set(name, value);
    return complete;
  }
}

/** The URL in `given`; throws `invalid-option` for what is none. */
export function requireSocketUrl(given: string | URL, shown: string): URL {
  const url = socketUrl(given);
  if (url === undefined) {
    throw new FlotillaError("invalid-option", `connect: ${shown} is no URL with ws: or wss:`);
  }
  return url;
}

/** How the socket closed, where an attempt failed by that. */
function closeOf(thrown: unknown): ClientClose | undefined {
  const cause: unknown = thrown instanceof FlotillaError ? thrown.cause : undefined;
  return typeof cause === "object" && cause !== null && "code" in cause && "reason" in cause
    ? cause as ClientClose
    : undefined;
}
