/** Checks of what callers pass in; each throws `invalid-option` naming the value. */
import { utf8Length } from "../lib/utf8_length.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { CLOSE_REASON_BYTES_MAX } from "../lib/limits.ts";
import { MESSAGE_ID_BYTES_MAX, TIMEOUT_MS_MAX } from "./contract.ts";
import { isCloseCode } from "./frames.ts";

export function checkTimeout(timeoutMs: number): void {
  if (timeoutMs > 0 && timeoutMs <= TIMEOUT_MS_MAX) return;
  throw invalid("set a deadline", `timeoutMs ${timeoutMs} is not above 0 and at most ${TIMEOUT_MS_MAX}`);
}

export function checkMessageId(messageId: string): void {
  if (messageId !== "" && utf8Length(messageId) <= MESSAGE_ID_BYTES_MAX) return;
  throw invalid(
    "send a message",
    `messageId ${shown(messageId)} is not 1 to ${MESSAGE_ID_BYTES_MAX} bytes long`,
  );
}

export function checkClose(code: number, reason: string): void {
  if (!isCloseCode(code)) {
    throw invalid("close a connection", `code ${code} is not one that an application may send`);
  }
  if (utf8Length(reason) <= CLOSE_REASON_BYTES_MAX) return;
  throw invalid("close a connection", `reason ${shown(reason)} is above ${CLOSE_REASON_BYTES_MAX} bytes`);
}

/** `value` as JSON text. */
export function jsonOf(value: unknown): string {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw invalid("send as JSON", `${typeof value} has no JSON form`);
  return text;
}

function invalid(action: string, why: string): FlotillaError {
  return new FlotillaError("invalid-option", `${action}: ${why}`);
}
