/** A machine: a disk, a clock of its own speed, and a member that runs on them until it crashes. */
import type {
  ConfChange,
  ConfState,
  Entry,
  Message,
  RaftId,
  Snapshot,
} from "../../../src/raft/core/types.ts";
import type { RawNode } from "../../../src/raft/core/raw_node.ts";
import type { Ready } from "../../../src/raft/core/ready.ts";
import { EMPTY_CONF_STATE } from "../../../src/raft/core/configuration.ts";
import { SimDisk } from "./disk.ts";

export class Machine {
  readonly index: number;
  raftId: RaftId;
  disk: SimDisk = new SimDisk();
  /** Undefined while it is down. */
  raw: RawNode | undefined;
  /** Counts its runs: what was scheduled for an earlier one is void. */
  run = 0;
  /** Ticks of its clock for each tick of the world. */
  rate = 1;
  pausedUntil = 0;
  /** Ticks of its clock while it was paused. */
  missedTicks = 0;
  /** Messages that came while it was paused. */
  backlog: Message[] = [];
  /** The ready that is being written. */
  writing: Ready | undefined;
  state: AppliedState = FRESH;
  /** The last change of members that it was asked for in this run: perhaps in its memory alone. */
  asked: ConfChange | undefined;
  /** Broken for good: it stays down. */
  dead = false;

  constructor(index: number, raftId: RaftId) {
    this.index = index;
    this.raftId = raftId;
  }
}

/** The state machine: a hash over everything applied, and the configuration. */
export interface AppliedState {
  readonly index: number;
  readonly term: number;
  readonly hash: number;
  readonly confState: ConfState;
}

export const FRESH: AppliedState = { index: 0, term: 0, hash: 0, confState: EMPTY_CONF_STATE };

export function hashAfter(hash: number, entry: Entry): number {
  let mixed = Math.imul(hash ^ entry.index, 0x01000193) ^ Math.imul(entry.term, 0x85ebca6b);
  if (entry.type === "normal") { for (const byte of entry.data) mixed = Math.imul(mixed ^ byte, 0x01000193); }
  else for (const { id } of entry.change.steps) mixed = Math.imul(mixed ^ id, 0x01000193);
  return mixed | 0;
}

export function snapshotOf({ index, term, hash, confState }: AppliedState): Snapshot {
  const data = new Uint8Array(4);
  new DataView(data.buffer).setInt32(0, hash);
  return { index, term, confState, data };
}

export function stateOf({ index, term, confState, data }: Snapshot): AppliedState {
  return { index, term, confState, hash: new DataView(data.buffer).getInt32(0) };
}
