import { hostnameOf, isLoopback } from "./address.ts";

/**
 * Whether a page of the request's `Origin` may open a connection. Other software sends no `Origin` and
 * passes: the header protects people whose browser visits a hostile page, nothing else.
 *
 * A page of the node's own host passes. Where `ownNameOnly`, that host must be a loopback name too: against a
 * name that an attacker resolves to 127.0.0.1 (DNS rebinding) comparing the two headers does not help.
 */
export function originAllowed(
  headers: Headers,
  origins: "*" | readonly string[],
  ownNameOnly: boolean,
): boolean {
  const origin = headers.get("origin");
  if (origin === null || origins === "*") return true;
  const page = URL.parse(origin);
  if (page === null) return false;
  if (origins.some((allowed) => URL.parse(allowed)?.origin === page.origin && page.origin !== "null")) {
    return true;
  }
  const host = headers.get("host");
  // Under the page's scheme, so that the scheme's default port is left out on both sides.
  if (host === null || URL.parse(`${page.protocol}//${host}`)?.host !== page.host || page.host === "") {
    return false;
  }
  return !ownNameOnly || isLoopback(hostnameOf(host) ?? "");
}
