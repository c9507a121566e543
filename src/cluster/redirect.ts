/** Where a client of a leaving node is sent, and how it is told. */
import { NOWHERE } from "../lib/close_codes.ts";
import { CLOSE_REASON_BYTES_MAX } from "../lib/limits.ts";
import { utf8Length } from "../lib/utf8_length.ts";

/** What a client is told that cannot be told where to go: try where you know. */
const RECONNECT = '{"reconnect":true}';

/**
 * The URL a client follows verbatim: the target's public origin, the endpoint it had, and `?id=` when it brought its
 * own id, so that it keeps it.
 */
export function redirectUrl(publicUrl: string, endpoint: string, ownId: string | null): string {
  const origin = publicUrl.replace(/\/$/, "");
  return `${origin}${endpoint}${ownId === null ? "" : `?id=${encodeURIComponent(ownId)}`}`;
}

/** A close reason (RFC 6455, 5.5: 123 bytes); undefined when the URL does not fit it. */
export function redirectReason(url: string): string | undefined {
  const reason = JSON.stringify({ redirect: url });
  return utf8Length(reason) <= CLOSE_REASON_BYTES_MAX ? reason : undefined;
}

/** The close reason for a client that is told nothing else. */
export function closeReason(url: string | undefined): string {
  return url === undefined ? NOWHERE : redirectReason(url) ?? RECONNECT;
}
