/** What a kind of broker supplies; `BrokerTransport` makes a transport of it. Only these few verbs differ. */
import type { Bytes } from "../src/lib/bytes.ts";

/** What a connection tells, until it is closed. */
export interface BrokerEvents {
  /** Something was published on `channel`, one that was asked for. The bytes are only read during the call. */
  message(channel: string, message: Uint8Array): void;
  /** The broker says that nobody listened to what was published on `channel`. It may be wrong. */
  unheard(channel: string): void;
  /** The connection is of no use any more. Once is enough; also before `open` has resolved. */
  lost(reason: string): void;
}

/** A live connection, in both directions. */
export interface BrokerConnection {
  /**
   * Hands a message over, in the order of the calls, without waiting for the one before it. Resolves when the broker has
   * it, or as near to that as can be known; rejects when it is lost. Never sends twice by itself, and keeps no
   * more than it was given: `BrokerTransport` bounds what has not been resolved.
   */
  publish(channel: string, message: Bytes): Promise<void>;
  /** At once: what is still under way may be lost. Idempotent; never rejects. Resolves when nothing is held any more. */
  close(): Promise<void>;
}

/** One kind of broker at one address. */
export interface Broker {
  /** For logs: where it is, without a password or token. */
  readonly address: string;
  /** The longest packet that its messages carry, bytes; a message is at most `MESSAGE_OVERHEAD_BYTES_MAX` longer. */
  readonly packetBytesMax: number;
  /** After so many ms without a message on a channel this node sends one there to itself, ... */
  readonly silenceMs: number;
  /** ... and after so many more without any, the connection is given up; likewise one that takes nothing for so long. */
  readonly answerMs: number;
  /**
   * Connects once and listens to `channels`; resolves when all are certain to be heard. Rejects when that fails, or when
   * `signal` fires, having closed everything. It does not try again: that, and when, is the caller's affair. Names of
   * channels reveal nothing, and are letters, digits and colons only.
   */
  open(channels: readonly string[], events: BrokerEvents, signal: AbortSignal): Promise<BrokerConnection>;
}

/** What a message has besides its packet, at most, bytes. */
export const MESSAGE_OVERHEAD_BYTES_MAX = 256;
