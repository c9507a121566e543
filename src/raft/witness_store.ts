/** A witness's record between its messages and, with a disk, between its runs. */
import type { Random } from "../lib/random.ts";
import { EMPTY_CONF_STATE } from "./core/configuration.ts";
import type { RaftId } from "./core/types.ts";
import type { Keeper } from "./storage.ts";
import { drawRaftId, memberWith, type StoredMember } from "./stored_member.ts";
import type { WitnessRecord } from "./witness.ts";

/**
 * On a disk a record is a member without entries whose empty snapshot ends where the record does. Each change is
 * durable when the call returns; one that throws may have happened or not, and the witness must stop.
 */
export class WitnessStore {
  /** Whether it outlives the process. */
  readonly durable: boolean;
  readonly #random: Random;
  readonly #keeper: Keeper | undefined;
  #raftId: RaftId;
  #record: WitnessRecord | undefined;

  /** `member` is what `keeper` keeps; without a keeper nothing outlives this object. */
  constructor(member: StoredMember, random: Random, keeper: Keeper | undefined) {
    this.durable = keeper !== undefined;
    this.#random = random;
    this.#keeper = keeper;
    this.#raftId = member.raftId;
    this.#record = recordOf(member);
    // Whoever kept a state under this raftId does not any more: the others must see another member.
    if (member.clusterId !== undefined && this.#record === undefined) this.reset(member.clusterId);
  }

  static inMemory(random: Random): WitnessStore {
    return new WitnessStore(memberWith(drawRaftId(random), undefined, undefined), random, undefined);
  }

  get raftId(): RaftId {
    return this.#raftId;
  }

  /** Undefined while it belongs to no cluster. */
  get record(): WitnessRecord | undefined {
    return this.#record;
  }

  /** Becomes a member of another cluster than before. */
  begin(clusterId: string, end: { readonly term: number; readonly index: number }): void {
    const snapshot = { ...end, confState: EMPTY_CONF_STATE, data: new Uint8Array() };
    const member = memberWith(this.#raftId, clusterId, snapshot);
    this.#keeper?.replace({ clusterId: undefined }, member);
    this.#record = recordOf(member);
  }

  /** Of the same cluster and raftId. */
  save(record: WitnessRecord): void {
    const { term, vote, lastTerm, lastIndex } = record;
    this.#keeper?.write({
      hardState: { term, vote, commit: 0 },
      snapshot: { term: lastTerm, index: lastIndex, confState: EMPTY_CONF_STATE, data: new Uint8Array() },
      entries: [],
      mustSync: true,
    }, 0);
    this.#record = record;
  }

  /** Forgets the cluster and draws a new raftId: it never votes as its old self. `keepAside`: the content of that cluster. */
  reset(keepAside?: string): void {
    let raftId = drawRaftId(this.#random);
    while (raftId === this.#raftId) raftId = drawRaftId(this.#random);
    this.#keeper?.replace({ clusterId: keepAside }, memberWith(raftId, undefined, undefined));
    this.#raftId = raftId;
    this.#record = undefined;
  }

  close(): void {
    this.#keeper?.close();
  }
}

function recordOf(
  { raftId, clusterId, hardState, snapshot, entries }: StoredMember,
): WitnessRecord | undefined {
  const isWitness = snapshot !== undefined && snapshot.data.byteLength === 0 && entries.length === 0;
  if (clusterId === undefined || hardState === undefined || !isWitness) return undefined;
  const { term, vote } = hardState;
  return { raftId, clusterId, term, vote, lastTerm: snapshot.term, lastIndex: snapshot.index };
}
