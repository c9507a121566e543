/** What the directory can be told, and its bounds; each default stands here and nowhere else. */
export interface DirectoryOptions {
  /**
   * What `resolve` does for a connection that no table entry names: ask the peers, or answer at once that
   * nobody has it.
   */
  readonly unknownConnection: "ask" | "fail";
  /** Milliseconds between two heartbeats, each with the digest of this node's own entries. */
  readonly directoryHeartbeatMs: number;
  /** Milliseconds that a peer's stamp may be ahead of this node's wall clock and still advance its stamps. */
  readonly clockSkewMaxMs: number;
  /** Milliseconds that peers get to answer a question. */
  readonly askTimeoutMs: number;
  /** Milliseconds for which "nobody has it" is remembered. */
  readonly nobodyTtlMs: number;
}

export const DIRECTORY_DEFAULTS: DirectoryOptions = {
  unknownConnection: "ask",
  directoryHeartbeatMs: 2_000,
  clockSkewMaxMs: 60_000,
  askTimeoutMs: 1_000,
  nobodyTtlMs: 1_000,
};

/** Bytes of one directory frame, about. */
export const FRAME_BYTES_MAX = 32_768;
/** Bytes on a session's control lane above which the directory sends that peer nothing more for now. */
export const LANE_PENDING_BYTES_MAX = 262_144;
/** Milliseconds between two looks at a peer that is behind. */
export const BEHIND_POLL_MS = 20;
/**
 * Bytes of announced changes kept while a peer is behind; who needs older ones gets a snapshot, which costs
 * as much as all entries. Some 200,000 registrations: a peer may stand still for two seconds of them.
 */
export const LOG_BYTES_MAX = 8_388_608;
/** Frames of announced changes kept for peers that are behind. */
export const LOG_FRAMES_MAX = 4_096;
/** Unfinished snapshots of one peer whose entries are kept; the oldest go first. */
export const UNFINISHED_SNAPSHOTS_MAX = 8;
/** Slots looked at in one turn while the entries of nodes that are gone are swept out (a few ms). */
export const SWEEP_SLOTS_PER_TURN = 8_192;
/** Slots counted again in one call of `verify` (some 10 ms). */
export const VERIFY_SLOTS_PER_CALL = 65_536;
/** Questions and requests for details under way at once. */
export const QUESTIONS_MAX = 10_000;
/** Connections remembered as nobody's. */
export const NOBODY_IDS_MAX = 10_000;
/** Characters of a connection's tags, keys and values together. */
export const TAGS_CHARS_MAX = 8_192;
/** Characters of a connection's endpoint. */
export const ENDPOINT_CHARS_MAX = 2_048;
/** Characters of a connection's remote address. */
export const REMOTE_ADDRESS_CHARS_MAX = 256;
/** Ids in one page of a listing. */
export const PAGE_IDS_MAX = 10_000;
