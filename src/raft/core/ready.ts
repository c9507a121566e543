/** What a member hands out: work to be done, and how it stands. */
import type { Configuration } from "./configuration.ts";
import type { Entry, HardState, Message, RaftId, ReadState, Snapshot, SoftState } from "./types.ts";

/**
 * The work that is due, in this order: persist `snapshot`, then `entries` (which replace what storage holds from
 * the first of them on), then `hardState`; apply `snapshot` or `committedEntries`, with `applyConfChange` for
 * each change among them; then send `messages`, and answer `readStates`; then `advance()`. If `mustSync`, nothing
 * may be sent or applied before all of it is durable, and what readies before it had written (thesis, 3.8); without
 * it, a crash may lose what was written.
 */
export interface Ready {
  /** Not undefined when it changed; never persisted. */
  readonly softState: SoftState | undefined;
  readonly hardState: HardState | undefined;
  readonly snapshot: Snapshot | undefined;
  readonly entries: readonly Entry[];
  readonly committedEntries: readonly Entry[];
  readonly messages: readonly Message[];
  readonly readStates: readonly ReadState[];
  readonly mustSync: boolean;
}

export interface RaftStatus {
  readonly id: RaftId;
  readonly term: number;
  readonly vote: RaftId;
  readonly commit: number;
  readonly applied: number;
  readonly lastIndex: number;
  readonly softState: SoftState;
  readonly configuration: Configuration;
  /** The member to whom the leadership is being handed; 0 for none. */
  readonly transferee: RaftId;
}
