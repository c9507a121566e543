/**
 * A connection's details: their limits, and how they travel: as a CBOR array
 * `[endpoint, remoteAddress, connectedAt, ownId, tags]`.
 */
import type { Bytes } from "../lib/bytes.ts";
import type { ConnectionDetails } from "../connection/sink.ts";
import { decodeCbor, encodeCbor } from "../lib/cbor.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { ENDPOINT_CHARS_MAX, REMOTE_ADDRESS_CHARS_MAX, TAGS_CHARS_MAX } from "./options.ts";

/** Bytes of the longest details: a character takes at most three, a tag at most six beside its characters. */
export const DETAILS_BYTES_MAX: number = 9 * (ENDPOINT_CHARS_MAX + REMOTE_ADDRESS_CHARS_MAX + TAGS_CHARS_MAX);

/** Throws `invalid-option` for details that no peer would take when it asks for them. */
export function checkDetails(connectionId: string, details: ConnectionDetails): void {
  const problem = problemOf(fieldsOf(details));
  if (problem === undefined) return;
  throw new FlotillaError("invalid-option", `register connection ${shown(connectionId)}: ${problem}`);
}

export function encodeDetails(details: ConnectionDetails): Bytes {
  return encodeCbor(fieldsOf(details));
}

/** Throws `malformed` on anything that is not one connection's details. */
export function decodeDetails(bytes: Uint8Array): ConnectionDetails {
  let fields: unknown;
  try {
    fields = decodeCbor(bytes);
  } catch (cause) {
    throw new FlotillaError("malformed", "read a connection's details: they are not CBOR", { cause });
  }
  const problem = problemOf(fields);
  if (problem !== undefined) throw new FlotillaError("malformed", `read a connection's details: ${problem}`);
  const [endpoint, remoteAddress, connectedAt, ownId, tags] = fields as Fields;
  return { endpoint, remoteAddress, connectedAt, ownId, tags };
}

type Fields = readonly [string, string | null, number, boolean, Readonly<Record<string, string>>];

function fieldsOf({ endpoint, remoteAddress, connectedAt, ownId, tags }: ConnectionDetails): Fields {
  return [endpoint, remoteAddress, connectedAt, ownId, tags];
}

/** Why `fields` are not `Fields`, or break a limit; undefined when they are fine. */
function problemOf(fields: unknown): string | undefined {
  if (!Array.isArray(fields) || fields.length !== 5) return "they are not five fields";
  const [endpoint, remoteAddress, connectedAt, ownId, tags] = fields as readonly unknown[];
  if (typeof endpoint !== "string" || endpoint.length > ENDPOINT_CHARS_MAX) {
    return `endpoint must be a text of at most ${ENDPOINT_CHARS_MAX} characters`;
  }
  if (
    remoteAddress !== null &&
    (typeof remoteAddress !== "string" || remoteAddress.length > REMOTE_ADDRESS_CHARS_MAX)
  ) return `remoteAddress must be null or a text of at most ${REMOTE_ADDRESS_CHARS_MAX} characters`;
  if (typeof connectedAt !== "number" || !Number.isFinite(connectedAt)) {
    return "connectedAt must be a number of milliseconds";
  }
  if (typeof ownId !== "boolean") return "ownId must be true or false";
  // Not merely an object: CBOR's own tags make a Date, a Map or an Error on decoding.
  if (
    typeof tags !== "object" || tags === null || Object.prototype.toString.call(tags) !== "[object Object]"
  ) {
    return "tags must be an object of texts";
  }
  let chars = 0;
  for (const [key, tag] of Object.entries(tags)) {
    // Decoders rename it, so that no object's prototype is replaced.
    if (key === "__proto__") return "no tag can be called __proto__";
    if (typeof tag !== "string") return `tag ${shown(key)} must be a text`;
    // One for the tag itself, so that their number is bounded too.
    chars += 1 + key.length + tag.length;
  }
  return chars > TAGS_CHARS_MAX ? `tags must be at most ${TAGS_CHARS_MAX} characters` : undefined;
}
