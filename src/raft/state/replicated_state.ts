/**
 * The replicated state machine (paper, section 2). This room is pure: no clock, randomness, I/O or waiting.
 * Every node applies the same entries in the same order and ends with the same bytes; nothing that an entry
 * holds makes it throw. It may import `src/lib`, and types of `src/raft/core`.
 */
import { FlotillaError, reasonOf, shown } from "../../lib/errors.ts";
import { decodeEnvelope, type Envelope } from "./commands.ts";
import { type Effect, execute } from "./execute.ts";
import { type Change, KeyValues, type StoredValue } from "./key_values.ts";
import { type Lease, type LeaseChange, Leases } from "./leases.ts";
import { CLUSTER_ID_BYTES_MAX, COUNTER_MAX, LINEAGE_MAX, MEMBERS_MAX } from "./limits.ts";
import { memberFields, type MemberRecord, Members, readMember } from "./members.ts";
import { type Parts, stateBytesOf } from "./parts.ts";
import type { Result } from "./results.ts";
import { Sessions } from "./sessions.ts";
import { decodeSnapshot, encodeSnapshot } from "./snapshot.ts";
import { asLabel, textField } from "./fields.ts";

export type { Change, StoredValue } from "./key_values.ts";
export type { Lease, LeaseChange } from "./leases.ts";

/** What became of one entry. */
export interface Applied {
  /** Undefined for Raft's own empty entry and for malformed ones. Values in it are views of the entry. */
  readonly envelope: Envelope | undefined;
  /**
   * Undefined for Raft's own empty entry, and for a copy of a command whose result is forgotten: its caller
   * has it, or its node had more than 4,096 commands outstanding and must say that it does not know.
   */
  readonly result: Result | undefined;
  /** The command came before, or may have: now it changed nothing. */
  readonly repeated: boolean;
  readonly change: Change | undefined;
  readonly leaseChange: LeaseChange | undefined;
}

/** How a cluster begins anew from the state of another. */
export interface Reformation {
  /** 1 to 128 bytes of UTF-8 without control characters. */
  readonly clusterId: string;
  /** Every fencing token is above it; at most 2^52. */
  readonly tokenFloor: number;
  /** At most 1,024, no raftId twice. */
  readonly members: readonly MemberRecord[];
}

export interface Formation extends Reformation {
  /** Ids of the clusters before, the oldest first; the last 16 are kept. */
  readonly lineage: readonly string[];
}

const NOTHING: Applied = {
  envelope: undefined,
  result: undefined,
  repeated: false,
  change: undefined,
  leaseChange: undefined,
};

export class ReplicatedState {
  readonly #parts: Parts;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Before the first entry. Throws `invalid-option`. */
  static begin(formation: Formation): ReplicatedState {
    demandSound(formation, formation.lineage);
    const members = new Members();
    members.replace(formation.members);
    return new ReplicatedState({
      clusterId: formation.clusterId,
      lineage: formation.lineage.slice(-LINEAGE_MAX),
      values: new KeyValues(),
      leases: new Leases(formation.tokenFloor),
      sessions: new Sessions(),
      members,
    });
  }

  /** What `snapshot` wrote. Throws `malformed`. */
  static restore(bytes: Uint8Array): ReplicatedState {
    return new ReplicatedState(decodeSnapshot(bytes));
  }

  get clusterId(): string {
    return this.#parts.clusterId;
  }

  /** Ids of the clusters that this one was re-formed from, the oldest first, at most 16. */
  get lineage(): readonly string[] {
    return this.#parts.lineage;
  }

  /** 0 at first; grows by one with every change of the map. */
  get revision(): number {
    return this.#parts.values.revision;
  }

  /** Keys in the map. */
  get size(): number {
    return this.#parts.values.size;
  }

  /** What counts against 16 MiB: keys, values, lease names and holders, 64 bytes for each key and lease. */
  get stateBytes(): number {
    return stateBytesOf(this.#parts);
  }

  /** Whether a key or a lease was ever written, here or in a cluster that this one was re-formed from. */
  get hasUserData(): boolean {
    return this.revision > 0 || this.#parts.leases.everGranted;
  }

  /** Applies the entry `entryIndex`, whose turn it is. Empty `data` is Raft's own. Never throws. */
  apply(entryIndex: number, data: Uint8Array): Applied {
    if (data.byteLength === 0) return NOTHING;
    let envelope: Envelope;
    try {
      envelope = decodeEnvelope(data);
    } catch (thrown) {
      return { ...NOTHING, result: { kind: "malformed", message: reasonOf(thrown) } };
    }
    const { session: id, sequence, doneBelow, command } = envelope;
    const { sessions } = this.#parts;
    if (id === 0) return applied(envelope, execute(this.#parts, entryIndex, command));
    const session = sessions.use(id);
    if (session === undefined) return { ...NOTHING, envelope, result: { kind: "session-expired" } };
    sessions.forgetBelow(session, doneBelow);
    const result = session.results.get(sequence);
    if (result !== undefined || sequence < session.floor) {
      return { ...NOTHING, envelope, result, repeated: true };
    }
    const effect = execute(this.#parts, entryIndex, command);
    sessions.remember(session, sequence, effect.result);
    return applied(envelope, effect);
  }

  /** Its bytes are not to be written to. */
  get(key: string): StoredValue | undefined {
    return this.#parts.values.get(key);
  }

  /** At most `limit` keys with `prefix` that come behind `after`, ordered by UTF-16 code units. */
  keys(prefix: string, after: string, limit: number): string[] {
    return this.#parts.values.keys(prefix, after, limit);
  }

  member(raftId: number): MemberRecord | undefined {
    return this.#parts.members.get(raftId);
  }

  /** Ascending by raftId. */
  members(): Iterable<MemberRecord> {
    return this.#parts.members.all();
  }

  /** Whether the raftId left the configuration; of such the newest 1,024 are remembered. */
  isForgotten(raftId: number): boolean {
    return this.#parts.members.isForgotten(raftId);
  }

  lease(name: string): Lease | undefined {
    return this.#parts.leases.get(name);
  }

  /** Ascending by token. */
  leases(): Iterable<Lease> {
    return this.#parts.leases.all();
  }

  /** Canonical: equal states give equal bytes, on all runtimes. */
  snapshot(): Uint8Array<ArrayBuffer> {
    return encodeSnapshot(this.#parts);
  }

  /**
   * The state as the first of a re-formed cluster: the same map, revision, sessions and leases, as of entry
   * 0; a new id, its own at the end of the lineage, tokens above `tokenFloor` and all that were granted.
   * Members that are not among the new ones are forgotten. This state stays as it is. Throws
   * `invalid-option`.
   */
  reform(formation: Reformation): ReplicatedState {
    demandSound(formation, []);
    const parts = decodeSnapshot(this.snapshot());
    parts.leases.reform(formation.tokenFloor);
    parts.members.replace(formation.members);
    const lineage = [...parts.lineage, parts.clusterId].slice(-LINEAGE_MAX);
    return new ReplicatedState({ ...parts, clusterId: formation.clusterId, lineage });
  }
}

function applied(envelope: Envelope, { result, change, leaseChange }: Effect): Applied {
  return { envelope, result, repeated: false, change, leaseChange };
}

/** Throws `invalid-option` unless a snapshot could hold it. */
function demandSound({ clusterId, tokenFloor, members }: Reformation, lineage: readonly string[]): void {
  try {
    for (const id of [clusterId, ...lineage]) asLabel(textField(id), CLUSTER_ID_BYTES_MAX, "a cluster's id");
    for (const member of members) readMember(memberFields(member));
  } catch (cause) {
    throw new FlotillaError("invalid-option", `form the cluster ${shown(clusterId)}: ${reasonOf(cause)}`, {
      cause,
    });
  }
  demand(
    Number.isInteger(tokenFloor) && tokenFloor >= 0 && tokenFloor <= COUNTER_MAX,
    `tokenFloor ${tokenFloor}: must be a whole number from 0 to ${COUNTER_MAX}`,
  );
  demand(members.length <= MEMBERS_MAX, `members ${members.length}: must be at most ${MEMBERS_MAX}`);
  const raftIds = new Set(members.map(({ raftId }) => raftId));
  demand(raftIds.size === members.length, `members: a raftId stands twice among ${members.length}`);
}

function demand(holds: boolean, message: string): void {
  if (!holds) throw new FlotillaError("invalid-option", message);
}
