/**
 * What one session's peer has told of its entries, applied to the table. Frames come in order; a
 * heartbeat's digest shows whether both sides still agree, and when they do not, a snapshot is asked for:
 * once, until it has come.
 */
import { FlotillaError, shown } from "../lib/errors.ts";
import { equalDigests } from "./digest.ts";
import { UNFINISHED_SNAPSHOTS_MAX } from "./options.ts";
import type { Owner, RouteTable } from "./table.ts";
import type { Change, Claim, OwnerState } from "./wire.ts";

/** What applying needs of the directory. */
export interface ReceiverHost {
  readonly table: RouteTable;
  /** Puts `owner`'s claim into the table, with all that follows from it. */
  putRemote(owner: Owner, claim: Claim): void;
  removeRemote(owner: Owner, id: string): void;
  /** Old generations were ended: their memory is to be swept. */
  sweepLater(): void;
  /** Asks the peer for a snapshot; counted as a repair. */
  requestSnapshot(reason: string): void;
}

export class RouteReceiver {
  readonly owner: Owner;
  /** True from the end of the first snapshot. */
  synced = false;
  readonly #host: ReceiverHost;
  /** Number of the last change that was applied; undefined before the first snapshot began. */
  #number: number | undefined;
  #inSnapshot = false;
  #requested = false;
  /**
   * Snapshots asked for in a row that did not make the digests agree, and heartbeats to let pass before the
   * next.
   */
  #failures = 0;
  #heartbeatsToIgnore = 0;

  constructor(nodeId: string, host: ReceiverHost) {
    this.#host = host;
    this.owner = host.table.open(nodeId);
  }

  changes(first: number, changes: readonly Change[]): void {
    if (this.#number === undefined || first !== this.#number + 1) {
      return this.repair(`change ${first} came after change ${this.#number ?? "none"}`);
    }
    for (const change of changes) {
      if (change.kind === "put") this.#host.putRemote(this.owner, change.claim);
      else this.#host.removeRemote(this.owner, change.id);
    }
    this.#number += changes.length;
  }

  beginSnapshot(number: number): void {
    this.#number = number;
    this.#inSnapshot = true;
    this.#requested = false;
    this.#host.table.renew(this.owner);
    // A snapshot that began again keeps what the unfinished one confirmed, so that nothing becomes unknown.
    this.#host.table.settle(this.owner, UNFINISHED_SNAPSHOTS_MAX);
    this.#host.sweepLater();
  }

  claims(claims: readonly Claim[]): void {
    if (!this.#inSnapshot) throw this.#outOfOrder("claims");
    for (const claim of claims) this.#host.putRemote(this.owner, claim);
  }

  endSnapshot(state: OwnerState): void {
    if (!this.#inSnapshot) throw this.#outOfOrder("snapshot-end");
    this.#inSnapshot = false;
    this.synced = true;
    this.#host.table.settle(this.owner);
    this.#host.sweepLater();
    if (this.#agrees(state)) this.#failures = 0;
    else this.#heartbeatsToIgnore = 2 ** Math.min(++this.#failures, 8);
  }

  heartbeat(state: OwnerState): void {
    if (this.#inSnapshot || this.#requested) return;
    if (this.#agrees(state)) {
      this.#failures = this.#heartbeatsToIgnore = 0;
      return;
    }
    // A peer whose digest disagrees even with its own snapshot is asked more and more rarely.
    if (this.#heartbeatsToIgnore > 0) this.#heartbeatsToIgnore--;
    else this.repair(`after change ${state.number} the peer has ${state.digest.count} entries`);
  }

  /** Asks for a snapshot, unless one is under way. */
  repair(reason: string): void {
    if (this.#requested || this.#inSnapshot) return;
    this.#requested = true;
    this.#host.requestSnapshot(reason);
  }

  #agrees(state: OwnerState): boolean {
    return state.number === this.#number && equalDigests(state.digest, this.#host.table.digestOf(this.owner));
  }

  #outOfOrder(what: string): FlotillaError {
    const from = shown(this.owner.nodeId);
    return new FlotillaError("malformed", `apply a directory frame of ${from}: ${what} outside a snapshot`);
  }
}
