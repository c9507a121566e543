/** Checks of what callers pass in; each throws `invalid-option` naming the value. */
import { utf8 } from "../lib/bytes.ts";
import { FlotillaError, reasonOf, shown } from "../lib/errors.ts";
import { TIMER_MS_MAX } from "../lib/limits.ts";
import { checkObject } from "../lib/option_rules.ts";
import { METADATA_BYTES_MAX, type StreamOptions } from "./contract.ts";

export function checkStreamOptions(options: StreamOptions): void {
  checkObject(options);
  const { messageType, totalBytes, delivery, onProgress, signal, timeoutMs, idleTimeoutMs, stallTimeoutMs } =
    options;
  checkOneOf("messageType", messageType, ["text", "binary"]);
  checkOneOf("delivery", delivery, ["message", "chunks", "framed"]);
  if (totalBytes !== undefined && !(Number.isSafeInteger(totalBytes) && totalBytes >= 0)) {
    throw invalid(`totalBytes must be a whole number of bytes, not ${shown(totalBytes)}`);
  }
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw invalid(`onProgress must be a function, not ${shown(onProgress)}`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalid(`signal must be an AbortSignal, not ${shown(signal)}`);
  }
  for (const [name, ms] of Object.entries({ timeoutMs, idleTimeoutMs, stallTimeoutMs })) {
    if (ms === undefined || (typeof ms === "number" && ms > 0 && ms <= TIMER_MS_MAX)) continue;
    throw invalid(`${name} must be above 0 and at most ${TIMER_MS_MAX} ms, not ${shown(ms)}`);
  }
  checkMetadata(options.metadata);
}

/** Throws unless `readable` is a `ReadableStream` that nobody reads yet. */
export function checkReadable(readable: unknown): asserts readable is ReadableStream<unknown> {
  if (!(readable instanceof ReadableStream)) {
    throw invalid(`the source must be a ReadableStream, not ${shown(readable)}`);
  }
  if (readable.locked) throw invalid("the source is locked: somebody else reads it");
}

function checkOneOf(name: string, value: unknown, allowed: readonly unknown[]): void {
  if (value === undefined || allowed.includes(value)) return;
  throw invalid(`${name} must be one of ${allowed.join(", ")}, not ${shown(value)}`);
}

function checkMetadata(metadata: unknown): void {
  let text: string | undefined;
  try {
    text = JSON.stringify(metadata ?? null);
  } catch (cause) {
    throw invalid(`metadata must be JSON: ${reasonOf(cause)}`);
  }
  if (text === undefined) throw invalid(`metadata must be JSON, not ${typeof metadata}`);
  const { byteLength } = utf8(text);
  if (byteLength <= METADATA_BYTES_MAX) return;
  throw invalid(`metadata takes ${byteLength} bytes as JSON, more than ${METADATA_BYTES_MAX}`);
}

function invalid(why: string): FlotillaError {
  return new FlotillaError("invalid-option", `open a stream: ${why}`);
}
