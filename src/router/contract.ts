/**
 * The router: brings messages to connections, wherever they are, and says honestly what became of each.
 *
 *   routeMessage → place → peer.hand → session.send ···→ frame → owner.accept → outbox.send
 *        settle ← answered ← peer.answers ←··· session.send ← answers.push ← done
 *
 * One `Delivery` per call, one `Call` per connection of it, one `Flow` per connection while something is on
 * its way there. May import: lib, link, directory, connection.
 */
import type { Outbox } from "../connection/outbox.ts";
import type { Unsubscribe } from "../lib/events.ts";
import { MESSAGE_BYTES_MAX_DEFAULT, TIMER_MS_MAX } from "../lib/limits.ts";

/** The router's port on the links. */
export const ROUTER_PORT = 2;

/** Where a connection is. */
export interface Route {
  readonly nodeId: string;
  /** Names the connection at its owner, in this run of it. Below 2^47. */
  readonly handle: number;
  /** It is this node's own. */
  readonly local: boolean;
}

/** What the router needs of the directory. */
export interface RouteDirectory {
  /** What this node knows. */
  lookup(connectionId: string): Route | undefined;
  /**
   * Asks the peers if this node does not know; `lookup` knows what is found. Undefined when nobody has it.
   */
  resolve(connectionId: string, signal?: AbortSignal): Promise<Route | undefined>;
  /** The connection that this node's own handle stands for, while it is registered. */
  localByHandle(handle: number): string | undefined;
  /** Tells when the answer of `lookup` for a connection may have changed. */
  onRouteChange(listener: (connectionId: string) => void): Unsubscribe;
}

/** The sockets of this node's own connections. */
export interface Sockets {
  get(connectionId: string): Outbox | undefined;
}

/** The outbox of the connection behind one of this node's handles. */
export function outboxBehind(
  handle: number,
  directory: Pick<RouteDirectory, "localByHandle">,
  sockets: Sockets,
): Outbox | undefined {
  const connectionId = directory.localByHandle(handle);
  return connectionId === undefined ? undefined : sockets.get(connectionId);
}

/** What one call may say; everything has a default. */
export interface DeliverOptions {
  /** By the data's type when not given: a string is text, bytes are binary. */
  readonly messageType?: "text" | "binary";
  /** Milliseconds from the call to its last possible answer. Default: the option `deliveryTimeoutMs`. */
  readonly timeoutMs?: number;
  /** Ends the wait early; connections not answered by then get `timeout`. */
  readonly signal?: AbortSignal;
  /**
   * A name for this message, at most 64 bytes: the owner remembers it for a while, so a caller's retry is not
   * delivered twice.
   */
  readonly messageId?: string;
}

export interface RouterOptions {
  /** Milliseconds from a call to its last possible answer, where the call does not say. */
  readonly deliveryTimeoutMs: number;
  /**
   * UTF-8 bytes of one message; longer ones end `too-large`, at the caller or at an owner that allows less.
   */
  readonly messageBytesMax: number;
  /**
   * Bytes that wait at the caller for one node (a full lane, a slow client there); beyond: `backpressure`.
   */
  readonly waitingBytesMax: number;
  /** Milliseconds for which the owner remembers a `messageId`. */
  readonly rememberMs: number;
  /** How many it remembers at most; the oldest go first. */
  readonly rememberedMessagesMax: number;
}

export const ROUTER_DEFAULTS: RouterOptions = {
  deliveryTimeoutMs: 5_000,
  messageBytesMax: MESSAGE_BYTES_MAX_DEFAULT,
  waitingBytesMax: 8_388_608,
  rememberMs: 60_000,
  rememberedMessagesMax: 100_000,
};

/** UTF-8 bytes of a `messageId`. */
export const MESSAGE_ID_BYTES_MAX = 64;
/** Targets of one frame; a message for more of them travels once for each so many. */
export const FRAME_TARGETS_MAX = 65_536;
/** The longest `timeoutMs`: what a 32-bit field and every runtime's timers take. */
export const TIMEOUT_MS_MAX: number = TIMER_MS_MAX;
/** Close requests to one node under way at once; more are refused with `backpressure`. */
export const CLOSE_REQUESTS_MAX = 10_000;
