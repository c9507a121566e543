import { cutText } from "./cut_text.ts";
import { CLOSE_REASON_BYTES_MAX } from "./limits.ts";

/** `reason` as a close frame can carry it: at most 123 bytes of UTF-8, cut between characters. */
export function cutReason(reason: string): string {
  return cutText(reason, CLOSE_REASON_BYTES_MAX);
}

/**
 * The code a server may put on the wire for `code`: 1000–1003, 1007–1013 and 3000–4999 go as they are (every
 * runtime sends those), anything else as 4000. RFC 6455, 7.4.1: 1004, 1005, 1006 and 1015 are never sent.
 */
export function sendableCode(code: number): number {
  const standard = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1013);
  return Number.isInteger(code) && (standard || (code >= 3000 && code <= 4999)) ? code : 4000;
}
