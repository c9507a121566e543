/** A replicated state with a log of its own: tests say what is applied, and this counts entries. */
import { equalBytes } from "../../../src/lib/bytes.ts";
import { utf8 } from "../../../src/lib/bytes.ts";
import { type Command, encodeEnvelope, type MemberRecord } from "../../../src/raft/state/commands.ts";
import { type Applied, type Formation, ReplicatedState } from "../../../src/raft/state/replicated_state.ts";
import type { Result } from "../../../src/raft/state/results.ts";

export const FORMATION: Formation = { clusterId: "harbour", lineage: [], tokenFloor: 1_000, members: [] };

export function member(raftId: number, changes: Partial<MemberRecord> = {}): MemberRecord {
  return {
    raftId,
    nodeId: `node-${raftId}`,
    publicUrl: "http://a:1",
    incarnation: "cafe",
    status: "up",
    witness: false,
    ...changes,
  };
}

export class Replica {
  state: ReplicatedState;
  index = 0;

  constructor(state: ReplicatedState = ReplicatedState.begin(FORMATION)) {
    this.state = state;
  }

  /** Applies `command` as the next entry, without a session unless one is named. */
  apply(command: Command, session = 0, sequence = 0, doneBelow = 0): Applied {
    return this.take(encodeEnvelope({ session, sequence, doneBelow, command }));
  }

  take(data: Uint8Array): Applied {
    return this.state.apply(++this.index, data);
  }

  result(command: Command, session = 0, sequence = 0, doneBelow = 0): Result | undefined {
    return this.apply(command, session, sequence, doneBelow).result;
  }

  set(key: string, value: string | Uint8Array): Result | undefined {
    return this.result({ kind: "set", key, value: typeof value === "string" ? utf8(value) : value });
  }

  /** A second one that learns the state from a snapshot. */
  restored(): Replica {
    const copy = new Replica(ReplicatedState.restore(this.state.snapshot()));
    copy.index = this.index;
    return copy;
  }

  equals(other: Replica): boolean {
    return equalBytes(this.state.snapshot(), other.state.snapshot());
  }
}
