/**
 * What a node and an SDK client say to each other over one WebSocket, once both have agreed on the subprotocol
 * `flotilla.v1`. Text messages are the application's, as they are. Every binary message begins with a byte that
 * says what it is; whole numbers are big-endian.
 *
 *   message    0 | payload                               the application's own, both ways
 *   hello      1 | JSON { connectionId, nodeId }         node → client, first of all
 *   open       2 | stream u32 | JSON StreamHead          node → client
 *   data       3 | stream u32 | payload
 *   end        4 | stream u32 | bytes u48 | digest u64   XXH64 of all payloads, seed 0
 *   abort      5 | stream u32 | JSON { code, message }   the stream ends here, unfinished
 *   goodbye    6 | JSON { redirect }                     the last word of a node that leaves: the client closes,
 *                                                        and goes there (null: wherever it knows)
 *   credit    16 | stream u32 | bytes u48 | chunks u48   client → node: what its reader has consumed so far
 *   cancel    17 | stream u32 | reason                   client → node: nothing more is wanted
 *   finished  18 | stream u32                            client → node: the end came, and all was there
 *
 * Numbers of streams are the node's, each used once on a connection. A stream's data never exceeds the credit
 * of its client by more than the window that the node grants itself.
 */
import { type Bytes, fromUtf8, getUint48, setUint48, utf8, viewOf } from "./lib/bytes.ts";
import { cutText } from "./lib/cut_text.ts";
import { FlotillaError, shown } from "./lib/errors.ts";

/** The subprotocol that an SDK client offers, and a node that speaks it answers with. */
export const SUBPROTOCOL = "flotilla.v1";

/** The first byte of a binary message. */
export const KIND = {
  message: 0,
  hello: 1,
  open: 2,
  data: 3,
  end: 4,
  abort: 5,
  goodbye: 6,
  credit: 16,
  cancel: 17,
  finished: 18,
} as const;

/** Bytes before the payload of a `data` message. */
export const DATA_HEADER_BYTES = 5;
/** Bytes of a cancel's reason. */
export const CANCEL_REASON_BYTES_MAX = 1_024;
const END_BYTES = 19;
const CREDIT_BYTES = 17;

/** What is known of a stream when it begins. */
export interface StreamHead {
  /** Whether the payloads together are UTF-8 text. */
  readonly text: boolean;
  /** Bytes of the whole; null when the sender does not know. */
  readonly totalBytes: number | null;
  /** Whatever JSON the sender attached; null for nothing. */
  readonly metadata: unknown;
}

export type ToClient =
  | { readonly kind: "message"; readonly payload: Bytes }
  | { readonly kind: "hello"; readonly connectionId: string; readonly nodeId: string }
  | { readonly kind: "open"; readonly stream: number; readonly head: StreamHead }
  | { readonly kind: "data"; readonly stream: number; readonly payload: Bytes }
  | { readonly kind: "end"; readonly stream: number; readonly bytes: number; readonly digest: bigint }
  | { readonly kind: "abort"; readonly stream: number; readonly code: string; readonly message: string }
  | { readonly kind: "goodbye"; readonly redirect: string | null };

export type FromClient =
  | { readonly kind: "message"; readonly payload: Bytes }
  | { readonly kind: "credit"; readonly stream: number; readonly bytes: number; readonly chunks: number }
  | { readonly kind: "cancel"; readonly stream: number; readonly reason: string }
  | { readonly kind: "finished"; readonly stream: number };

// --- Both ways ---

export function encodeMessage(payload: Uint8Array): Bytes {
  const frame = new Uint8Array(1 + payload.byteLength);
  frame.set(payload, 1);
  return frame;
}

// --- To the client ---

export function encodeHello(connectionId: string, nodeId: string): Bytes {
  return withText(headed(KIND.hello), JSON.stringify({ connectionId, nodeId }));
}

export function encodeOpen(stream: number, head: StreamHead): Bytes {
  return withText(numbered(KIND.open, stream), JSON.stringify(head));
}

export function encodeData(stream: number, payload: Uint8Array): Bytes {
  const frame = new Uint8Array(DATA_HEADER_BYTES + payload.byteLength);
  frame.set(payload, DATA_HEADER_BYTES);
  return stampData(frame, stream);
}

/** Makes a `data` message of a buffer that has room for the header before its payload. */
export function stampData(frame: Bytes, stream: number): Bytes {
  frame[0] = KIND.data;
  viewOf(frame).setUint32(1, stream);
  return frame;
}

export function encodeEnd(stream: number, bytes: number, digest: bigint): Bytes {
  const frame = numbered(KIND.end, stream, END_BYTES);
  const view = viewOf(frame);
  setUint48(view, 5, bytes);
  view.setBigUint64(11, digest);
  return frame;
}

export function encodeAbort(stream: number, code: string, message: string): Bytes {
  return withText(numbered(KIND.abort, stream), JSON.stringify({ code, message }));
}

export function encodeGoodbye(redirect: string | null): Bytes {
  return withText(headed(KIND.goodbye), JSON.stringify({ redirect }));
}

/** @throws FlotillaError `malformed`. Payloads are views of `frame`. */
export function decodeToClient(frame: Bytes): ToClient {
  const kind = frame[0];
  if (kind === KIND.message) return { kind: "message", payload: frame.subarray(1) };
  if (kind === KIND.hello) {
    const { connectionId, nodeId } = jsonIn(frame, 1);
    return {
      kind: "hello",
      connectionId: text("connectionId", connectionId),
      nodeId: text("nodeId", nodeId),
    };
  }
  if (kind === KIND.goodbye) {
    const { redirect } = jsonIn(frame, 1);
    return { kind: "goodbye", redirect: typeof redirect === "string" ? redirect : null };
  }
  const stream = streamOf(frame);
  switch (kind) {
    case KIND.data:
      return { kind: "data", stream, payload: frame.subarray(DATA_HEADER_BYTES) };
    case KIND.open:
      return { kind: "open", stream, head: headIn(jsonIn(frame, 5)) };
    case KIND.end: {
      const view = sized(frame, END_BYTES);
      return { kind: "end", stream, bytes: getUint48(view, 5), digest: view.getBigUint64(11) };
    }
    case KIND.abort: {
      const { code, message } = jsonIn(frame, 5);
      return { kind: "abort", stream, code: text("code", code), message: text("message", message) };
    }
    default:
      throw malformed(`it is of kind ${kind}`);
  }
}

// --- From the client ---

export function encodeCredit(stream: number, bytes: number, chunks: number): Bytes {
  const frame = numbered(KIND.credit, stream, CREDIT_BYTES);
  const view = viewOf(frame);
  setUint48(view, 5, bytes);
  setUint48(view, 11, chunks);
  return frame;
}

/** A longer reason is cut. */
export function encodeCancel(stream: number, reason: string): Bytes {
  return withText(numbered(KIND.cancel, stream), cutText(reason, CANCEL_REASON_BYTES_MAX));
}

export function encodeFinished(stream: number): Bytes {
  return numbered(KIND.finished, stream);
}

/** @throws FlotillaError `malformed`. Payloads are views of `frame`. */
export function decodeFromClient(frame: Bytes): FromClient {
  const kind = frame[0];
  if (kind === KIND.message) return { kind: "message", payload: frame.subarray(1) };
  const stream = streamOf(frame);
  switch (kind) {
    case KIND.credit: {
      const view = sized(frame, CREDIT_BYTES);
      return { kind: "credit", stream, bytes: getUint48(view, 5), chunks: getUint48(view, 11) };
    }
    case KIND.cancel:
      if (frame.byteLength > 5 + CANCEL_REASON_BYTES_MAX) throw malformed("its reason is too long");
      return { kind: "cancel", stream, reason: textIn(frame, 5) };
    case KIND.finished:
      sized(frame, 5);
      return { kind: "finished", stream };
    default:
      throw malformed(`it is of kind ${kind}`);
  }
}

function headed(kind: number, bytes = 1): Bytes {
  const frame = new Uint8Array(bytes);
  frame[0] = kind;
  return frame;
}

function numbered(kind: number, stream: number, bytes = 5): Bytes {
  const frame = headed(kind, bytes);
  viewOf(frame).setUint32(1, stream);
  return frame;
}

function withText(head: Bytes, text: string): Bytes {
  const encoded = utf8(text);
  const frame = new Uint8Array(head.byteLength + encoded.byteLength);
  frame.set(head);
  frame.set(encoded, head.byteLength);
  return frame;
}

function streamOf(frame: Bytes): number {
  if (frame.byteLength < 5) throw malformed(`it has ${frame.byteLength} bytes`);
  return viewOf(frame).getUint32(1);
}

function sized(frame: Bytes, bytes: number): DataView {
  if (frame.byteLength !== bytes) throw malformed(`it has ${frame.byteLength} bytes, not ${bytes}`);
  return viewOf(frame);
}

function textIn(frame: Bytes, at: number): string {
  try {
    return fromUtf8(frame.subarray(at));
  } catch (cause) {
    throw new FlotillaError("malformed", "read a binary message: it has a text that is not UTF-8", { cause });
  }
}

function jsonIn(frame: Bytes, at: number): Readonly<Record<string, unknown>> {
  const text = textIn(frame, at);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FlotillaError("malformed", `read a binary message: ${shown(text)} is not JSON`, { cause });
  }
  if (typeof value !== "object" || value === null) throw malformed(`${shown(text)} is no JSON object`);
  return value as Record<string, unknown>;
}

function headIn({ text, totalBytes, metadata }: Readonly<Record<string, unknown>>): StreamHead {
  if (typeof text !== "boolean") throw malformed(`its text is ${shown(text)}, neither true nor false`);
  if (totalBytes !== null && !(Number.isSafeInteger(totalBytes) && (totalBytes as number) >= 0)) {
    throw malformed(`its totalBytes is ${shown(totalBytes)}`);
  }
  return { text, totalBytes: totalBytes as number | null, metadata: metadata ?? null };
}

function text(name: string, value: unknown): string {
  if (typeof value !== "string") throw malformed(`its ${name} is ${shown(value)}, not a text`);
  return value;
}

function malformed(problem: string): FlotillaError {
  return new FlotillaError("malformed", `read a binary message: ${problem}`);
}
