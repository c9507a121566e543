/** Checks of what callers pass in; each throws `invalid-option` naming the value. */
import { utf8Length } from "../lib/utf8_length.ts";
import { FlotillaError, reasonOf, shown } from "../lib/errors.ts";
import { CLOSE_REASON_BYTES_MAX } from "../lib/limits.ts";
import { MESSAGE_ID_BYTES_MAX, TIMEOUT_MS_MAX } from "./contract.ts";
import { isCloseCode } from "./frames.ts";

export function checkData(data: unknown): void {
  if (typeof data === "string" || data instanceof Uint8Array) return;
  throw invalid("send a message", `it must be text or a Uint8Array, not ${shown(data)}`);
}

export function checkMessageType(messageType: unknown): void {
  if (messageType === undefined || messageType === "text" || messageType === "binary") return;
  throw invalid("send a message", `messageType must be text or binary, not ${shown(messageType)}`);
}

export function checkIds(connectionIds: unknown): void {
  if (Array.isArray(connectionIds)) return;
  throw invalid("send a message", `connectionIds must be a list, not ${shown(connectionIds)}`);
}

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
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw invalid("send as JSON", reasonOf(cause));
  }
  if (text === undefined) throw invalid("send as JSON", `${typeof value} has no JSON form`);
  return text;
}

function invalid(action: string, why: string): FlotillaError {
  return new FlotillaError("invalid-option", `${action}: ${why}`);
}
