/**
 * What routers say to each other. On the MESSAGES lane there are only messages; on CONTROL, answers and requests
 * to close. Whole numbers are big-endian. What does not have exactly this shape is `malformed`.
 *
 *   message   1 | flags u8 | length of messageId u8 | budgetMs u32 | first u48 | count u32
 *             | count × (handle × 2 + starts) u48 | messageId | payload
 *   answers   2 | any number of (code u8 | first u48 | count u32)
 *   close     3 | number u48 | handle u48 | code u16 | reason
 *
 * The targets of a session's messages are numbered through: `first` is the number of a frame's first target, so
 * the answers to many frames, alike, are one run. The payload travels once, however many targets a frame has.
 */
import { type Bytes, fromUtf8, getUint48, setUint48, utf8, viewOf } from "../lib/bytes.ts";
import { FlotillaError } from "../lib/errors.ts";
import { CLOSE_REASON_BYTES_MAX } from "../lib/limits.ts";
import { MESSAGE_ID_BYTES_MAX } from "./contract.ts";
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
  /** Milliseconds that the caller still waited when it sent this. */
  readonly budgetMs: number;
  /** Number of the first target. */
  readonly first: number;
}

export function encodeMessage(header: MessageHeader, targets: readonly MessageTarget[], payload: Bytes): Bytes {
  const messageId = header.messageId === undefined ? undefined : utf8(header.messageId);
  const idBytes = messageId === undefined ? 0 : messageId.byteLength;
  const payloadAt = HEADER_BYTES + targets.length * TARGET_BYTES + idBytes;
  const frame = new Uint8Array(payloadAt + payload.byteLength);
  const view = viewOf(frame);
  frame[0] = MESSAGE;
  frame[1] = header.text ? TEXT : 0;
  frame[2] = idBytes;
  view.setUint32(3, header.budgetMs);
  setUint48(view, 7, header.first);
  view.setUint32(13, targets.length);
  let at = HEADER_BYTES;
  for (const { handle, starts } of targets) {
    setUint48(view, at, handle * 2 + (starts ? 1 : 0));
    at += TARGET_BYTES;
  }
  if (messageId !== undefined) frame.set(messageId, at);
  frame.set(payload, payloadAt);
  return frame;
}

/** A message as it came in; `payload` is a view of the frame. */
export interface MessageFrame extends MessageHeader {
  readonly targets: readonly MessageTarget[];
  readonly payload: Bytes;
}

export function decodeMessage(frame: Bytes): MessageFrame {
  if (frame.byteLength < HEADER_BYTES || frame[0] !== MESSAGE) throw malformed("a message", frame);
  const view = viewOf(frame);
  const flags = view.getUint8(1);
  const idBytes = view.getUint8(2);
  const count = view.getUint32(13);
  const idAt = HEADER_BYTES + count * TARGET_BYTES;
  const payloadAt = idAt + idBytes;
  if ((flags & ~TEXT) !== 0 || idBytes > MESSAGE_ID_BYTES_MAX || count === 0 || payloadAt > frame.byteLength) {
    throw malformed("a message", frame);
  }
  const targets: MessageTarget[] = [];
  for (let at = HEADER_BYTES; at < idAt; at += TARGET_BYTES) {
    const field = getUint48(view, at);
    targets.push({ handle: Math.floor(field / 2), starts: field % 2 === 1 });
  }
  return {
    text: (flags & TEXT) !== 0,
    messageId: idBytes === 0 ? undefined : asText(frame.subarray(idAt, payloadAt), "a messageId"),
    budgetMs: view.getUint32(3),
    first: getUint48(view, 7),
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
  const frame = new Uint8Array(1 + runs.length * RUN_BYTES);
  const view = viewOf(frame);
  frame[0] = ANSWERS;
  let at = 1;
  for (const { code, first, count } of runs) {
    frame[at] = code;
    setUint48(view, at + 1, first);
    view.setUint32(at + 7, count);
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
  const frame = new Uint8Array(CLOSE_BYTES + reason.byteLength);
  const view = viewOf(frame);
  frame[0] = CLOSE_REQUEST;
  setUint48(view, 1, request.number);
  setUint48(view, 7, request.handle);
  view.setUint16(13, request.code);
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
  const view = viewOf(frame);
  const runs: Run[] = [];
  for (let at = 1; at < frame.byteLength; at += RUN_BYTES) {
    const code = view.getUint8(at);
    if (!RUN_CODES.has(code)) throw malformed(`answers with code ${code}`, frame);
    runs.push({ code, first: getUint48(view, at + 1), count: view.getUint32(at + 7) });
  }
  return runs;
}

function decodeClose(frame: Bytes): CloseRequest {
  if (frame.byteLength < CLOSE_BYTES || frame.byteLength > CLOSE_BYTES + CLOSE_REASON_BYTES_MAX) {
    throw malformed("a close request", frame);
  }
  const view = viewOf(frame);
  const code = view.getUint16(13);
  if (!isCloseCode(code)) throw malformed(`a close request with code ${code}`, frame);
  return {
    number: getUint48(view, 1),
    handle: getUint48(view, 7),
    code,
    reason: asText(frame.subarray(CLOSE_BYTES), "a close reason"),
  };
}

/** Whether an application may close a WebSocket with it (RFC 6455, 7.4; 1004–1006 and 1015 are never sent). */
export function isCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/** The text of a peer's bytes; `malformed` when they are not UTF-8. */
export function asText(bytes: Bytes, what: string): string {
  try {
    return fromUtf8(bytes);
  } catch (cause) {
    throw new FlotillaError("malformed", `read ${what}: ${bytes.byteLength} bytes that are not UTF-8`, { cause });
  }
}

function malformed(what: string, frame: Bytes): FlotillaError {
  return new FlotillaError("malformed", `read ${what}: ${frame.byteLength} bytes of another shape`);
}
