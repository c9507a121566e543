import { FlotillaError, shown } from "../lib/errors.ts";
import { isConnectionId } from "../lib/ids.ts";
import { CONNECTION_ID_BYTES_MAX } from "../lib/limits.ts";

/** Throws `invalid-option` for an `id` that cannot be one. */
export function checkConnectionId(id: string): void {
  if (isConnectionId(id)) return;
  const rule = `1 to ${CONNECTION_ID_BYTES_MAX} bytes of well-formed text without control characters`;
  throw new FlotillaError("invalid-option", `register connection ${shown(id)}: an id is ${rule}`);
}
