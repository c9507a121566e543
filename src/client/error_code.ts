import type { ErrorCode } from "../lib/errors.ts";

/** The type checker sees to it that none is missing. */
const CODES: Readonly<Record<ErrorCode, true>> = {
  "invalid-option": true,
  "not-running": true,
  "id-in-use": true,
  "wrong-secret": true,
  "wrong-cluster": true,
  "wrong-version": true,
  malformed: true,
  "node-lost": true,
  "not-found": true,
  closed: true,
  "no-leader": true,
  compacted: true,
  timeout: true,
  aborted: true,
  backpressure: true,
  "too-large": true,
  unauthorized: true,
  unsupported: true,
};

/** `code` where it is one of the library's; a later node may send others. */
export function errorCodeOf(code: string): ErrorCode {
  return Object.hasOwn(CODES, code) ? code as ErrorCode : "node-lost";
}
