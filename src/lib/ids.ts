/** What names nodes and connections, wherever such a name comes in. */
import { utf8 } from "./bytes.ts";
import { CONNECTION_ID_BYTES_MAX, NODE_ID_BYTES_MAX } from "./limits.ts";

// deno-lint-ignore no-control-regex
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f]/;

/** Whether `value` can be a nodeId: 1 to 128 bytes of UTF-8, well formed, without control characters. */
export function isNodeId(value: unknown): value is string {
  return isName(value, NODE_ID_BYTES_MAX);
}

/** Whether `value` can be a connectionId: 1 to 256 bytes of UTF-8, well formed, without control characters. */
export function isConnectionId(value: unknown): value is string {
  return isName(value, CONNECTION_ID_BYTES_MAX);
}

function isName(value: unknown, bytesMax: number): value is string {
  if (typeof value !== "string" || value.length === 0 || value.length > bytesMax) return false;
  if (!value.isWellFormed() || CONTROL_CHARACTERS.test(value)) return false;
  // A unit takes at most three bytes, so short names need no encoding.
  return value.length * 3 <= bytesMax || utf8(value).byteLength <= bytesMax;
}
