/**
 * Streams: data of any length to any connection, in bounded memory.
 *
 *   readable → OutgoingStream.write → Cutter → Leg → streams lane ···→ Receiver → target → Outlet → outbox
 *      pace  ←  room in the window  ← Leg.credited ←··· control lane ←  credit  ←  bytes in the client's kernel,
 *                                                                                 or consumed by the SDK's reader
 *
 * One `OutgoingStream` per call, one `Leg` per node, one `Receiver` per leg at the owner, one target per
 * connection. May import: lib, link, directory, connection, router, client_protocol.
 */
import type { Outcome } from "../router/outcome.ts";

/** The port of streams on the links. */
export const STREAM_PORT = 6;

/** How a client gets a stream. */
export type StreamDelivery =
  /** As one WebSocket message, once all of it is there. What a plain client gets where nothing is said. */
  | "message"
  /** Each chunk as a message. One such stream a connection at a time; other messages may fall between. */
  | "chunks"
  /** As a `ReadableStream` of the SDK. What an SDK client gets where nothing is said; no other can take it. */
  | "framed";

/** How far a stream has come. */
export interface StreamProgress {
  /** In the client's kernel, or consumed by the SDK's reader; of several connections, by the slowest. */
  readonly bytes: number;
  readonly chunks: number;
  /** Bytes of the whole; null when not known. */
  readonly totalBytes: number | null;
  /** Over about the last second. */
  readonly bytesPerSecond: number;
}

/** What became of a stream to one connection. */
export interface StreamResult {
  /** Of the whole stream; `acknowledged` when the SDK has verified its count and digest. */
  readonly outcome: Outcome;
  /** What arrived. */
  readonly bytes: number;
  readonly chunks: number;
  /** Milliseconds from the call to the outcome. */
  readonly ms: number;
  /** Why it did not arrive, for people. */
  readonly reason: string | undefined;
}

/** What a call may say; everything has a default. */
export interface StreamOptions {
  /** `text`: the bytes are UTF-8, and no chunk splits a character. Default `binary`. */
  readonly messageType?: "text" | "binary" | undefined;
  /** Bytes of a chunk, 1 to 1 MiB (4 at least for text); the last one may be shorter. Default 64 KiB. */
  readonly chunkSize?: number | undefined;
  /** Bytes of the whole, where known. A source that has more or fewer is an error. */
  readonly totalBytes?: number | undefined;
  /** Default: `framed` for SDK clients, else `message`. */
  readonly delivery?: StreamDelivery | undefined;
  /** Any JSON, at most 16 KiB: what the SDK shows beside the stream. */
  readonly metadata?: unknown;
  /** Called as bytes arrive at the client, once a turn at most. */
  readonly onProgress?: ((progress: StreamProgress) => void) | undefined;
  /** Ends the stream; what has no outcome by then gets `timeout`. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole stream. Default: none. */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds for which the source may bring nothing. Default 60,000. */
  readonly idleTimeoutMs?: number | undefined;
  /**
   * Milliseconds for which a client may take nothing of what waits for it. Default 30,000; 5,000 where a call
   * names several connections, since the others wait meanwhile.
   */
  readonly stallTimeoutMs?: number | undefined;
}

export interface StreamsOptions {
  /** Bytes of one stream under way at most, of any length, on each node that it crosses. */
  readonly streamWindowBytes: number;
  /** Bytes that the streams to one connection may hold at its owner. */
  readonly connectionStreamBytesMax: number;
  /** Bytes that all streams to a node's own connections may hold there. */
  readonly nodeStreamBytesMax: number;
  /** Bytes of the longest message, so of the longest stream that is delivered as one. */
  readonly messageBytesMax: number;
  /** Bytes of a chunk where the call does not say. */
  readonly chunkSize: number;
  /** Milliseconds for finding out where a connection is. */
  readonly deliveryTimeoutMs: number;
}

/** What the messages have too stands with the router's defaults. */
export const STREAM_DEFAULTS: Omit<StreamsOptions, "messageBytesMax" | "deliveryTimeoutMs"> = {
  streamWindowBytes: 1_048_576,
  connectionStreamBytesMax: 33_554_432,
  nodeStreamBytesMax: 268_435_456,
  chunkSize: 65_536,
};

export const IDLE_TIMEOUT_MS_DEFAULT = 60_000;
export const STALL_TIMEOUT_MS_DEFAULT = 30_000;
export const STALL_TIMEOUT_MS_OF_MANY_DEFAULT = 5_000;

/** Bytes that may be under way of a stream that has not shown yet that it needs more. */
export const WINDOW_BYTES_FIRST = 131_072;
/** Bytes of the longest chunk. */
export const CHUNK_BYTES_MAX = 1_048_576;
/** The shortest chunk that holds every character of UTF-8. */
export const TEXT_CHUNK_BYTES_MIN = 4;
/** Charged for each chunk under way besides its bytes, so that chunks of one byte are bounded too. */
export const CHUNK_OVERHEAD_BYTES = 64;
/** Bytes of the metadata as JSON. */
export const METADATA_BYTES_MAX = 16_384;
/** Connections of one stream on one node. */
export const STREAM_TARGETS_MAX = 65_536;
/** Bytes of a reason on the wire; a longer one is cut. */
export const REASON_BYTES_MAX = 1_024;

/** What a chunk of `bytes` weighs in a window. */
export function weightOf(bytes: number, chunks: number): number {
  return bytes + chunks * CHUNK_OVERHEAD_BYTES;
}
