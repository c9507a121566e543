/**
 * What routers say to each other. On the MESSAGES lane there are only messages; on CONTROL, answers and
 * requests to close. Whole numbers are big-endian. What does not have exactly this shape is `malformed`.
 *
 *   message   1 | flags u8 | length of messageId u8 | remainingMs u32 | first u48 | count u32
 *             | count × (handle × 2 + starts) u48 | messageId | payload
 *   answers   2 | any number of (code u8 | first u48 | count u32)
 *   close     3 | number u48 | handle u48 | code u16 | reason
 *
 * The targets of a session's messages are numbered through: `first` is the number of a frame's first target,
 * so the answers to many frames, alike, are one run. The payload travels once, however many targets a frame
 * has.
 */
import { type Bytes, fromUtf8, utf8 } from "../lib/bytes.ts";
import { FlotillaError } from "../lib/errors.ts";
import { CLOSE_REASON_BYTES_MAX } from "../lib/limits.ts";
import { FRAME_TARGETS_MAX, MESSAGE_ID_BYTES_MAX } from "./contract.ts";
import { OUTCOMES } from "./outcome.ts";

const MESSAGE = 1;
const ANSWERS = 2;
const CLOSE_REQUEST = 3;

const HEADER_BYTES = 17;
const TARGET_BYTES = 6;
const RUN_BYTES = 11;
const CLOSE_BYTES = 15;

/** The payload is text. The other bits are zero for now: one is to ask for the SDK's acknowledgement. */
const TEXT = 1;

/** Codes of runs in an answers frame, besides the indices of OUTCOMES. */
export const RUN = {
  /** Not taken, the client is slow: try again, in order, when it is `writable`. */
  held: 32,
  /** `first` is the handle of a connection that messages were held for: try again now. */
  writable: 33,
  /** `first` is the number of a close request: the socket is closing. */
  closing: 34,
  /** `first` is the number of a close request: this node no longer has the connection. */
  notClosing: 35,
} as const;
const RUN_CODES: ReadonlySet<number> = new Set([...OUTCOMES.keys(), ...Object.values(RUN)]);

export interface MessageTarget {
  /** Below 2^47. */
  readonly handle: number;
  /** The caller has nothing else on its way to this connection: what the owner held is settled. */
  readonly starts: boolean;
}

export interface MessageHeader {
  readonly text: boolean;
  readonly messageId: string | undefined;
  /** What the caller still waits; travels in whole milliseconds, rounded up. */
  readonly remainingMs: number;
}

/** `first` is the number of the first target. */
export function encodeMessage(
  header: MessageHeader,
  first: number,
  targets: readonly MessageTarget[],
  payload: Uint8Array,
): Bytes {
  const messageId = header.messageId === undefined ? undefined : utf8(header.messageId);
  const idBytes = messageId === undefined ? 0 : messageId.byteLength;
  const payloadAt = HEADER_BYTES + targets.length * TARGET_BYTES + idBytes;
  const frame = allocate(payloadAt + payload.byteLength);
  frame[0] = MESSAGE;
  frame[1] = header.text ? TEXT : 0;
  frame[2] = idBytes;
  put(frame, 3, 4, Math.ceil(header.remainingMs));
  put(frame, 7, 6, first);
  put(frame, 13, 4, targets.length);
  let at = HEADER_BYTES;
  for (const { handle, starts } of targets) {
    put(frame, at, 6, handle * 2 + (starts ? 1 : 0));
    at += TARGET_BYTES;
  }
  if (messageId !== undefined) frame.set(messageId, at);
  frame.set(payload, payloadAt);
  return frame;
}

/** A message as it came in; `payload` is a view of the frame. */
export interface MessageFrame extends MessageHeader {
  readonly first: number;
  readonly targets: readonly MessageTarget[];
  readonly payload: Bytes;
}

export function decodeMessage(frame: Bytes): MessageFrame {
  if (frame.byteLength < HEADER_BYTES || frame[0] !== MESSAGE) throw malformed("a message", frame);
  const flags = take(frame, 1, 1);
  const idBytes = take(frame, 2, 1);
  const count = take(frame, 13, 4);
  if (count > FRAME_TARGETS_MAX) throw malformed(`a message for ${count} targets`, frame);
  const idAt = HEADER_BYTES + count * TARGET_BYTES;
  const payloadAt = idAt + idBytes;
  if (
    (flags & ~TEXT) !== 0 || idBytes > MESSAGE_ID_BYTES_MAX || count === 0 || payloadAt > frame.byteLength
  ) {
    throw malformed("a message", frame);
  }
  const targets: MessageTarget[] = [];
  for (let at = HEADER_BYTES; at < idAt; at += TARGET_BYTES) {
    const field = take(frame, at, 6);
    targets.push({ handle: Math.floor(field / 2), starts: field % 2 === 1 });
  }
  return {
    text: (flags & TEXT) !== 0,
    messageId: idBytes === 0 ? undefined : asText(frame.subarray(idAt, payloadAt), "a messageId"),
    remainingMs: take(frame, 3, 4),
    first: take(frame, 7, 6),
    targets,
    payload: frame.subarray(payloadAt),
  };
}

/** `count` things of one kind, numbered from `first` on. */
export interface Run {
  /** An index of OUTCOMES, or one of RUN. */
  readonly code: number;
  readonly first: number;
  count: number;
}

export function encodeAnswers(runs: readonly Run[]): Bytes {
  const frame = allocate(1 + runs.length * RUN_BYTES);
  frame[0] = ANSWERS;
  let at = 1;
  for (const { code, first, count } of runs) {
    frame[at] = code;
    put(frame, at + 1, 6, first);
    put(frame, at + 7, 4, count);
    at += RUN_BYTES;
  }
  return frame;
}

export interface CloseRequest {
  readonly number: number;
  readonly handle: number;
  readonly code: number;
  readonly reason: string;
}

export function encodeClose(request: CloseRequest): Bytes {
  const reason = utf8(request.reason);
  const frame = allocate(CLOSE_BYTES + reason.byteLength);
  frame[0] = CLOSE_REQUEST;
  put(frame, 1, 6, request.number);
  put(frame, 7, 6, request.handle);
  put(frame, 13, 2, request.code);
  frame.set(reason, CLOSE_BYTES);
  return frame;
}

/** A frame of the CONTROL lane. */
export type ControlFrame =
  | { readonly kind: "answers"; readonly runs: readonly Run[] }
  | { readonly kind: "close"; readonly request: CloseRequest };

export function decodeControl(frame: Bytes): ControlFrame {
  if (frame[0] === ANSWERS) return { kind: "answers", runs: decodeRuns(frame) };
  if (frame[0] === CLOSE_REQUEST) return { kind: "close", request: decodeClose(frame) };
  throw malformed("a control frame", frame);
}

function decodeRuns(frame: Bytes): Run[] {
  if ((frame.byteLength - 1) % RUN_BYTES !== 0) throw malformed("answers", frame);
  const runs: Run[] = [];
  for (let at = 1; at < frame.byteLength; at += RUN_BYTES) {
    const code = take(frame, at, 1);
    if (!RUN_CODES.has(code)) throw malformed(`answers with code ${code}`, frame);
    runs.push({ code, first: take(frame, at + 1, 6), count: take(frame, at + 7, 4) });
  }
  return runs;
}

function decodeClose(frame: Bytes): CloseRequest {
  if (frame.byteLength < CLOSE_BYTES || frame.byteLength > CLOSE_BYTES + CLOSE_REASON_BYTES_MAX) {
    throw malformed("a close request", frame);
  }
  const code = take(frame, 13, 2);
  if (!isCloseCode(code)) throw malformed(`a close request with code ${code}`, frame);
  return {
    number: take(frame, 1, 6),
    handle: take(frame, 7, 6),
    code,
    reason: asText(frame.subarray(CLOSE_BYTES), "a close reason"),
  };
}

/**
 * Whether an application may close a WebSocket with it (RFC 6455, 7.4; 1004–1006 and 1015 are never sent).
 */
export function isCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/** The text of a peer's bytes; `malformed` when they are not UTF-8. */
export function asText(bytes: Bytes, what: string): string {
  try {
    return fromUtf8(bytes);
  } catch (cause) {
    throw new FlotillaError("malformed", `read ${what}: ${bytes.byteLength} bytes that are not UTF-8`, {
      cause,
    });
  }
}

function malformed(what: string, frame: Bytes): FlotillaError {
  return new FlotillaError("malformed", `read ${what}: ${frame.byteLength} bytes of another shape`);
}

/**
 * Writes a whole number of `width` bytes, big-endian. By hand, since a DataView costs more than all the rest.
 */
function put(bytes: Bytes, at: number, width: number, value: number): void {
  let rest = value;
  for (let index = at + width - 1; index >= at; index--) {
    bytes[index] = rest & 0xff;
    rest = Math.floor(rest / 256);
  }
}

function take(bytes: Bytes, at: number, width: number): number {
  let value = 0;
  for (let index = at; index < at + width; index++) value = value * 256 + (bytes[index] ?? 0);
  return value;
}

const SLAB_BYTES = 65_536;
/** Longer frames get memory of their own. */
const SLICE_BYTES_MAX = 4_096;
let slab: Bytes = new Uint8Array(0);
let slabUsed = 0;

/**
 * Fresh bytes; small ones share memory, since a short array of its own costs ten times as much as a slice.
 */
function allocate(length: number): Bytes {
  if (length > SLICE_BYTES_MAX) return new Uint8Array(length);
  if (slabUsed + length > slab.byteLength) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  const bytes = slab.subarray(slabUsed, slabUsed + length);
  slabUsed += length;
  return bytes;
}
