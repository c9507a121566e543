import { utf8 } from "../lib/bytes.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { CONNECTION_ID_BYTES_MAX } from "../lib/limits.ts";

/**
 * Whether `id` can be a connectionId: 1 to 256 bytes of UTF-8, without lone surrogates (which UTF-8 would
 * change).
 */
export function isConnectionId(id: string): boolean {
  // A character takes at most three bytes (a pair of surrogates four), so short ids need no encoding.
  if (id.length === 0 || id.length > CONNECTION_ID_BYTES_MAX || !id.isWellFormed()) return false;
  return id.length * 3 <= CONNECTION_ID_BYTES_MAX || utf8(id).byteLength <= CONNECTION_ID_BYTES_MAX;
}

/** Throws `invalid-option` for an `id` that cannot be one. */
export function checkConnectionId(id: string): void {
  if (isConnectionId(id)) return;
  throw new FlotillaError(
    "invalid-option",
    `register connection ${shown(id)}: an id is 1 to ${CONNECTION_ID_BYTES_MAX} bytes of well-formed text`,
  );
}
