/** Where a witness's record stands that several nodes change: what `SharedWitness` asks of Redis. */
import type { RaftId } from "./core/types.ts";

/**
 * Each call is one step to everybody. One that rejects may have happened or not, and nothing may be assumed: whoever
 * must know reads again.
 */
export interface Records {
  /** Makes the record; false when it is there. It must be made once only, whatever becomes of it. */
  create(clusterId: string, raftId: RaftId, content: string): Promise<boolean>;
  /**
   * Replaces `expected` by `next` if that is what is there. What is there afterwards; undefined when nothing is, or the
   * store has restarted since the record was made, so that it may have forgotten what was written last.
   */
  swap(clusterId: string, raftId: RaftId, expected: string, next: string): Promise<string | undefined>;
  /** The same without a change. */
  read(clusterId: string, raftId: RaftId): Promise<string | undefined>;
  remove(clusterId: string, raftId: RaftId): Promise<void>;
  /** Every later call rejects. */
  close(): void;
}
