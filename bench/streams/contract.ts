/**
 * What is measured: bytes from one server process (the source) to a client of another (the owner), in 64 KiB chunks
 * from a `ReadableStream`, until the source is told that all has left the owner. Whoever can do that is a contender.
 */
import type { Bytes } from "../../src/lib/bytes.ts";

export type Contender = "flotilla" | "sealed" | "relay";
export const CONTENDERS: readonly Contender[] = ["flotilla", "sealed", "relay"];

/** How the client gets the bytes; the relay has only messages of a chunk each, `chunks`. */
export type Delivery = "chunks" | "framed" | "message";

export const CHUNK_BYTES = 65_536;
/** Of a stream that is delivered as one message; longer ones are as many streams, one after the other. */
export const MESSAGE_BYTES: number = 8 * 1_048_576;
/** A small message: by its length the client knows it. */
export const SMALL_BYTES = 200;

export interface Source {
  /** Resolves when all of it is said to have arrived, or `signal` has ended it. */
  stream(connectionId: string, bytes: number, delivery: Delivery, signal: AbortSignal): Promise<void>;
  /** Sends one small message to the same client. */
  message(connectionId: string, payload: Bytes): Promise<void>;
  stop(): Promise<void>;
}

export interface Owner {
  /** Where the source reaches this process. */
  readonly peerUrl: string;
  /** Where clients connect. */
  readonly clientUrl: string;
  stop(): Promise<void>;
}

/** The ids of `count` plain clients. */
export function plainIds(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `plain-${index}`);
}

/** The client that speaks the SDK's protocol. */
export const SDK_ID = "sdk";

/** Made as it is read; every chunk is the same memory, so that it costs next to nothing. */
export function chunksOf(bytes: number): ReadableStream<Bytes> {
  const chunk = new Uint8Array(CHUNK_BYTES).fill(120);
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      if (left === 0) return controller.close();
      left -= CHUNK_BYTES;
      controller.enqueue(chunk);
    },
  }, { highWaterMark: 0 });
}
