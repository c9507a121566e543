/**
 * What one session's peer still has to learn of this node's entries. It begins with a snapshot in pieces
 * and goes on with the log's frames. While a snapshot is under way the log goes first, so that each piece
 * tells the present state: the peer may apply whatever comes in the order in which it comes.
 *
 * No more than `LANE_PENDING_BYTES_MAX` ever waits on the control lane because of the directory; a peer
 * that does not keep up is left behind, and later continues from the log, or from a fresh snapshot where
 * that has gone on.
 */
import type { Session } from "../link/contract.ts";
import { CONTROL } from "../link/contract.ts";
import type { Bytes } from "../lib/bytes.ts";
import type { LocalConnection } from "./local.ts";
import { FRAME_BYTES_MAX, LANE_PENDING_BYTES_MAX } from "./options.ts";
import type { OwnClaims } from "./own_claims.ts";
import { encodeFrame, EntriesWriter } from "./wire.ts";
import type { OwnerState } from "./wire.ts";

/** This node's side, as its senders see it. */
export interface SenderSource {
  readonly own: Pick<OwnClaims, "log" | "connections" | "stampOf">;
  /** What this node's entries are now. The log is sealed. */
  state(): OwnerState;
}

export interface SenderCounters {
  snapshotsSent: number;
  framesSent: number;
}

export class RouteSender {
  readonly #session: Session;
  readonly #port: number;
  readonly #source: SenderSource;
  readonly #counters: SenderCounters;
  /** Number of the last change that was sent. */
  #number = 0;
  #snapshot: IterableIterator<LocalConnection> | undefined;
  /** A connection that came out of `#snapshot` is sent only up to here; later ones came through the log. */
  #snapshotHandleMax = 0;
  #snapshotWanted = true;

  constructor(session: Session, port: number, source: SenderSource, counters: SenderCounters) {
    this.#session = session;
    this.#port = port;
    this.#source = source;
    this.#counters = counters;
  }

  /** Number of the last change that was sent; earlier ones are not needed for this peer any more. */
  get number(): number {
    return this.#number;
  }

  /** The peer asks for a snapshot. One that is under way, or about to be, answers that too. */
  request(): void {
    if (this.#snapshot === undefined) this.#snapshotWanted = true;
  }

  /**
   * Sends as much as may wait on the lane. True when the peer has been sent everything. The log must be
   * sealed.
   */
  pump(): boolean {
    const { log } = this.#source.own;
    while (this.#session.pendingBytes(CONTROL) < LANE_PENDING_BYTES_MAX) {
      if (this.#number < log.number && !this.#snapshotWanted) {
        const frame = log.after(this.#number);
        if (frame === undefined) this.#snapshotWanted = true;
        else if (this.#send(frame.bytes)) this.#number = frame.last;
        else return true;
      } else if (this.#snapshotWanted) {
        if (!this.#begin()) return true;
      } else if (this.#snapshot !== undefined) {
        if (!this.#continue(this.#snapshot)) return true;
      } else {
        return true;
      }
    }
    return this.#number === log.number && !this.#snapshotWanted && this.#snapshot === undefined;
  }

  /** Sends a heartbeat's bytes. Only when the peer has been sent everything. */
  heartbeat(frame: Bytes): void {
    this.#send(frame);
  }

  #begin(): boolean {
    this.#snapshotWanted = false;
    this.#number = this.#source.own.log.number;
    this.#snapshot = this.#source.own.connections.values();
    this.#snapshotHandleMax = this.#source.own.connections.lastHandle;
    this.#counters.snapshotsSent++;
    return this.#send(encodeFrame({ kind: "snapshot-begin", number: this.#number }));
  }

  /** Sends one piece, or the end. False when the session has ended. */
  #continue(connections: IterableIterator<LocalConnection>): boolean {
    const entries = new EntriesWriter();
    entries.beginClaims();
    const empty = entries.bytes;
    while (entries.bytes < FRAME_BYTES_MAX) {
      const next = connections.next();
      if (next.done || next.value.handle > this.#snapshotHandleMax) {
        this.#snapshot = undefined;
        break;
      }
      const stamp = this.#source.own.stampOf(next.value);
      if (stamp !== undefined) entries.put(next.value.connectionId, next.value.handle, stamp);
    }
    if (entries.bytes > empty && !this.#send(entries.take())) return false;
    if (this.#snapshot !== undefined) return true;
    return this.#send(encodeFrame({ kind: "snapshot-end", state: this.#source.state() }));
  }

  #send(frame: Bytes): boolean {
    this.#counters.framesSent++;
    return this.#session.send(CONTROL, this.#port, frame) !== "ended";
  }
}
