/** What a leader knows of one member's log, and how it may send to it now. */
import { Inflights } from "./inflights.ts";

/**
 * - `probe`: the end of its log is not known; one append at a time finds it.
 * - `replicate`: appends go out in a pipeline, up to the window of inflights.
 * - `snapshot`: it needs entries that are compacted; nothing goes out until it has the snapshot.
 */
export type ProgressState = "probe" | "replicate" | "snapshot";

export interface InflightLimits {
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
}

export class Progress {
  state: ProgressState = "probe";
  /** The highest entry known to be equal in both logs. */
  match = 0;
  /** The next entry to send; always above `match`. */
  next: number;
  /** In state `snapshot`: the index that was sent; else 0. */
  pendingSnapshot = 0;
  /** It answered since the last quorum check. A new member counts as active until the first. */
  recentActive: boolean;
  /** A probe is out, or the window is full: only a heartbeat's answer or progress allows more. */
  paused = false;
  readonly inflights: Inflights;
  /** The highest commit index it was sent, so that it is told of each one once. */
  #sentCommit = 0;

  constructor(next: number, recentActive: boolean, limits: InflightLimits) {
    this.next = next;
    this.recentActive = recentActive;
    this.inflights = new Inflights(limits.inflightMessagesMax, limits.inflightBytesMax);
  }

  becomeProbe(): void {
    // A snapshot that was sent is taken as received: the first probe shows whether it was.
    const from = this.state === "snapshot" ? Math.max(this.match, this.pendingSnapshot) : this.match;
    this.#become("probe");
    this.next = from + 1;
    this.#sentCommit = Math.min(this.#sentCommit, this.next - 1);
  }

  becomeReplicate(): void {
    this.#become("replicate");
    this.next = this.match + 1;
  }

  becomeSnapshot(index: number): void {
    this.#become("snapshot");
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.#sentCommit = index;
  }

  /** No append may be sent now. */
  get isPaused(): boolean {
    return this.state === "snapshot" || this.paused;
  }

  /** Notes an append of `count` entries from `next` on. */
  sentEntries(count: number, bytes: number): void {
    if (this.state === "replicate") {
      if (count > 0) {
        this.next += count;
        this.inflights.add(this.next - 1, bytes);
      }
      this.paused = this.inflights.full;
    } else if (count > 0) {
      this.paused = true;
    }
  }

  /** Whether telling the commit index could move the follower's own. */
  canBumpCommit(commit: number): boolean {
    return commit > this.#sentCommit && this.#sentCommit < this.next - 1;
  }

  sentCommit(commit: number): void {
    this.#sentCommit = commit;
  }

  /** Takes the news that entries up to `index` match; false when it is old news. */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.paused = false;
    return true;
  }

  /**
   * Takes the news that the append after `rejected` did not fit, and that `hint` is the next guess; false when
   * the rejection is of an older append, so that nothing needs to be sent again.
   */
  maybeDecreaseTo(rejected: number, hint: number): boolean {
    if (this.state === "replicate") {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
    } else {
      if (this.next - 1 !== rejected) return false;
      this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
      this.paused = false;
    }
    this.#sentCommit = Math.min(this.#sentCommit, this.next - 1);
    return true;
  }

  #become(state: ProgressState): void {
    this.state = state;
    this.paused = false;
    this.pendingSnapshot = 0;
    this.inflights.clear();
  }
}
