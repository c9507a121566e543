import { utf8 } from "./bytes.ts";
import { NODE_ID_BYTES_MAX } from "./limits.ts";

// deno-lint-ignore no-control-regex
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f]/;

/** Whether `value` can be a nodeId: 1 to 128 bytes of UTF-8, well formed, without control characters. */
export function isNodeId(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= NODE_ID_BYTES_MAX &&
    value.isWellFormed() && !CONTROL_CHARACTERS.test(value) && utf8(value).byteLength <= NODE_ID_BYTES_MAX;
}
