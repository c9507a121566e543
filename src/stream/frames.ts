/**
 * What nodes say to each other about streams. From the caller, on the STREAMS lane and so in order:
 *
 *   open     1 | stream u32 | flags | total + 1 | stall ms | metadata | count | count × handle
 *   data     2 | stream u32 | payload
 *   end      3 | stream u32 | bytes | chunks | digest u64
 *   abort    4 | stream u32 | code | reason
 *
 * From the owner, on CONTROL:
 *
 *   credit   5 | any number of (stream, window, bytes, chunks)
 *   settled  6 | any number of (stream, target, outcome, bytes, chunks, reason)
 *
 * Numbers without a width are varints, texts and byte strings have their length before them. Streams are numbered
 * by their caller, each number once in a session. Credit is absolute: what the clients have taken so far, and how
 * much more than that may be under way; each chunk weighs CHUNK_OVERHEAD_BYTES more than its bytes. A frame of data
 * has its header where `client_protocol.ts` has it, so that the owner can pass it on as it is.
 */
import { DATA_HEADER_BYTES } from "../client_protocol.ts";
import { type Bytes, viewOf } from "../lib/bytes.ts";
import { cutText } from "../lib/cut_text.ts";
import { type ErrorCode, FlotillaError } from "../lib/errors.ts";
import { ByteReader, ByteWriter } from "../lib/varint.ts";
import { type Outcome, OUTCOMES } from "../router/outcome.ts";
import { METADATA_BYTES_MAX, REASON_BYTES_MAX, STREAM_TARGETS_MAX, type StreamDelivery } from "./contract.ts";

const OPEN = 1;
const DATA = 2;
const END = 3;
const ABORT = 4;
const CREDIT = 5;
const SETTLED = 6;

const TEXT = 1;
const DELIVERIES: readonly (StreamDelivery | undefined)[] = [undefined, "message", "chunks", "framed"];
const CODE_BYTES_MAX = 32;
const HANDLE_MAX = 2 ** 47;

/** How a stream begins. */
export interface Opening {
  readonly text: boolean;
  /** Undefined: by the kind of client. */
  readonly delivery: StreamDelivery | undefined;
  readonly totalBytes: number | null;
  readonly stallTimeoutMs: number;
  /** Any JSON. */
  readonly metadata: unknown;
  /** Of the connections, at their owner. */
  readonly handles: readonly number[];
}

/** How it ends when it is whole. */
export interface Ending {
  readonly bytes: number;
  readonly chunks: number;
  /** XXH64 of all payloads. */
  readonly digest: bigint;
}

/** Why it ends before. */
export interface Abortion {
  readonly code: ErrorCode;
  readonly reason: string;
}

/** What the clients of a stream have taken, and how much more may be under way. */
export interface Credit {
  readonly stream: number;
  readonly windowBytes: number;
  readonly bytes: number;
  readonly chunks: number;
}

/** One connection's end of a stream. `target` is its place among the handles. */
export interface Settlement {
  readonly stream: number;
  readonly target: number;
  readonly outcome: Outcome;
  readonly bytes: number;
  readonly chunks: number;
  readonly reason: string;
}

export type FromCaller =
  | { readonly kind: "open"; readonly stream: number; readonly opening: Opening }
  | { readonly kind: "data"; readonly stream: number; readonly payload: Bytes }
  | { readonly kind: "end"; readonly stream: number; readonly ending: Ending }
  | { readonly kind: "abort"; readonly stream: number; readonly abortion: Abortion };

export type FromOwner =
  | { readonly kind: "credit"; readonly credits: readonly Credit[] }
  | { readonly kind: "settled"; readonly settlements: readonly Settlement[] };

const writer = new ByteWriter();

function begin(kind: number, stream: number): void {
  writer.byte(kind);
  writer.uint32(stream);
}

export function encodeOpen(stream: number, opening: Opening): Bytes {
  const { text, delivery, totalBytes, stallTimeoutMs, metadata, handles } = opening;
  begin(OPEN, stream);
  writer.byte((text ? TEXT : 0) | (DELIVERIES.indexOf(delivery) << 1));
  writer.varint(totalBytes === null ? 0 : totalBytes + 1);
  writer.varint(stallTimeoutMs);
  writer.text(JSON.stringify(metadata));
  writer.varint(handles.length);
  for (const handle of handles) writer.varint(handle);
  return writer.take();
}

/** What stands before the payload. */
export function dataHead(stream: number): Bytes {
  const head = new Uint8Array(DATA_HEADER_BYTES);
  head[0] = DATA;
  viewOf(head).setUint32(1, stream);
  return head;
}

export function encodeEnd(stream: number, { bytes, chunks, digest }: Ending): Bytes {
  begin(END, stream);
  writer.varint(bytes);
  writer.varint(chunks);
  const digestBytes = new Uint8Array(8);
  viewOf(digestBytes).setBigUint64(0, digest);
  writer.bytes(digestBytes);
  return writer.take();
}

export function encodeAbort(stream: number, { code, reason }: Abortion): Bytes {
  begin(ABORT, stream);
  writer.text(code);
  writer.text(cutText(reason, REASON_BYTES_MAX));
  return writer.take();
}

export function encodeCredits(credits: Iterable<Credit>): Bytes {
  writer.byte(CREDIT);
  for (const { stream, windowBytes, bytes, chunks } of credits) {
    for (const value of [stream, windowBytes, bytes, chunks]) writer.varint(value);
  }
  return writer.take();
}

export function encodeSettled(settlements: readonly Settlement[]): Bytes {
  writer.byte(SETTLED);
  for (const { stream, target, outcome, bytes, chunks, reason } of settlements) {
    for (const value of [stream, target, OUTCOMES.indexOf(outcome), bytes, chunks]) writer.varint(value);
    writer.text(cutText(reason, REASON_BYTES_MAX));
  }
  return writer.take();
}

/** What came on the STREAMS lane; payloads are views. @throws FlotillaError `malformed` */
export function decodeFromCaller(frame: Bytes): FromCaller {
  const reader = new ByteReader(frame, "a stream's frame");
  const kind = reader.byte();
  const stream = reader.uint32();
  switch (kind) {
    case DATA:
      if (frame.byteLength === DATA_HEADER_BYTES) throw reader.malformed("has no data");
      return { kind: "data", stream, payload: frame.subarray(DATA_HEADER_BYTES) };
    case OPEN:
      return { kind: "open", stream, opening: readOpening(reader) };
    case END: {
      const [bytes, chunks] = [reader.varint(), reader.varint()];
      const digest = reader.bytes(8);
      if (digest.byteLength !== 8) throw reader.malformed("has a digest that is too short");
      reader.end();
      return { kind: "end", stream, ending: { bytes, chunks, digest: viewOf(digest).getBigUint64(0) } };
    }
    case ABORT: {
      // A code that this version does not know is passed on: it is for the client.
      const code = reader.text(CODE_BYTES_MAX) as ErrorCode;
      const reason = reader.text(REASON_BYTES_MAX, 0);
      reader.end();
      return { kind: "abort", stream, abortion: { code, reason } };
    }
    default:
      throw reader.malformed(`is of kind ${kind}`);
  }
}

/** What came on CONTROL. @throws FlotillaError `malformed` */
export function decodeFromOwner(frame: Bytes): FromOwner {
  const reader = new ByteReader(frame, "an answer about streams");
  const kind = reader.byte();
  if (kind === CREDIT) {
    const credits: Credit[] = [];
    while (!reader.done) {
      const [stream, windowBytes] = [reader.varint(), reader.varint()];
      credits.push({ stream, windowBytes, bytes: reader.varint(), chunks: reader.varint() });
    }
    return { kind: "credit", credits };
  }
  if (kind !== SETTLED) throw reader.malformed(`is of kind ${kind}`);
  const settlements: Settlement[] = [];
  while (!reader.done) {
    const [stream, target, code] = [reader.varint(), reader.varint(), reader.varint()];
    const outcome = OUTCOMES[code];
    if (outcome === undefined) throw reader.malformed(`has outcome ${code}`);
    const [bytes, chunks] = [reader.varint(), reader.varint()];
    settlements.push({
      stream,
      target,
      outcome,
      bytes,
      chunks,
      reason: reader.text(REASON_BYTES_MAX, 0),
    });
  }
  return { kind: "settled", settlements };
}

function readOpening(reader: ByteReader): Opening {
  const flags = reader.byte();
  const delivery = DELIVERIES[flags >> 1];
  if (flags >> 1 >= DELIVERIES.length) throw reader.malformed(`has flags ${flags}`);
  const total = reader.varint();
  const stallTimeoutMs = reader.varint();
  const metadata = jsonOf(reader.text(METADATA_BYTES_MAX, 0));
  const count = reader.varint();
  if (count === 0 || count > STREAM_TARGETS_MAX) throw reader.malformed(`is for ${count} connections`);
  const handles: number[] = [];
  for (let index = 0; index < count; index++) {
    const handle = reader.varint();
    if (handle >= HANDLE_MAX) throw reader.malformed(`has handle ${handle}`);
    handles.push(handle);
  }
  reader.end();
  return {
    text: (flags & TEXT) !== 0,
    delivery,
    totalBytes: total === 0 ? null : total - 1,
    stallTimeoutMs,
    metadata,
    handles,
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FlotillaError("malformed", "read a stream's frame: its metadata is not JSON", { cause });
  }
}
