/**
 * A witness without a process: its record (witness.ts) stands where both nodes reach it. Each of them takes its own
 * member's messages to it, changes it by compare-and-set, and hands the answers back to its own core.
 *
 * The record of a raftId is made once, by the leader, before it proposes the change that brings the raftId in. When it
 * is missing, or its store may have forgotten something, nobody makes it again: it abstains, until a leader, which then
 * needs both nodes to be one, replaces the raftId by a new one in a joint change. So no vote is ever cast twice.
 */
import type { Clock } from "../lib/clock.ts";
import { sleep } from "../lib/clock.ts";
import { reasonOf } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { Random } from "../lib/random.ts";
import type { Message, RaftId } from "./core/types.ts";
import type { RaftMember } from "./member.ts";
import type { Records } from "./records.ts";
import { SHARED_WITNESS } from "./shared_witness_id.ts";
import type { PresentNode } from "./steward.ts";
import { drawRaftId } from "./stored_member.ts";
import { answerAll, type WitnessRecord } from "./witness.ts";

/** Messages that wait for the store; more are lost, which Raft bears. */
const MESSAGES_MAX = 512;
/** How often a step is tried: another node may change the record in between, and replies get lost. */
const ATTEMPTS_MAX = 6;
/** Between two tries after a lost reply, ms. */
const RETRY_MS = 50;
/** Without an answer of the store for so many ms the witness counts as away. */
const AWAY_MS = 3_000;
/** Between two tries to make a record, ms. */
const CREATE_AGAIN_MS = 1_000;
const DATA_VOTERS = 2;

export interface SharedWitnessContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly records: Records;
  /** This node's member while it takes part. */
  active(): RaftMember | undefined;
  /** Something was told to its core. */
  schedule(): void;
}

interface Place {
  readonly clusterId: string;
  readonly raftId: RaftId;
}

export class SharedWitness {
  readonly #context: SharedWitnessContext;
  /** Messages to one raftId; what is for another one begins anew. */
  #place: Place | undefined;
  #queue: Message[] = [];
  #working = false;
  /** What was there last, as far as this node knows. */
  #known: string | undefined;
  #answeredAt = -Infinity;
  /** The raftId whose record is gone for good. */
  #gone: RaftId | undefined;
  /** Made by this node, and not a member yet. */
  #candidate: Place | undefined;
  #creating = false;
  #createdAt = -Infinity;
  /** The one that the candidate replaces. */
  #former: Place | undefined;
  #closed = false;

  constructor(context: SharedWitnessContext) {
    this.#context = context;
  }

  /** Undefined where no records are to be opened. */
  static open(
    { openRecords, ...context }: Omit<SharedWitnessContext, "records" | "active" | "schedule"> & {
      readonly openRecords?: (() => Records) | undefined;
    },
    active: () => RaftMember | undefined,
    schedule: () => void,
  ): SharedWitness | undefined {
    if (openRecords === undefined) return undefined;
    return new SharedWitness({ ...context, records: openRecords(), active, schedule });
  }

  /** Whether `raftId` answered lately. */
  answers(raftId: RaftId): boolean {
    return this.#place?.raftId === raftId && this.#gone !== raftId &&
      this.#context.clock.now() - this.#answeredAt < AWAY_MS;
  }

  /** Takes a message of this node's member, if it is to the witness. */
  takes({ state }: RaftMember, message: Message): boolean {
    if (state.member(message.to)?.nodeId !== SHARED_WITNESS) return false;
    if (!this.#closed) this.#send(state.clusterId, message);
    return true;
  }

  #send(clusterId: string, message: Message): void {
    if (this.#place?.raftId !== message.to || this.#place.clusterId !== clusterId) {
      this.#place = { clusterId, raftId: message.to };
      this.#known = undefined;
      this.#queue = [];
    }
    if (this.#queue.length >= MESSAGES_MAX || this.#gone === message.to) return this.#lost(message);
    this.#queue.push(message);
    if (!this.#working) void this.#work();
  }

  /** Leader: the node that the steward is to see, if the witness is needed or there. Makes its record when it must. */
  present(member: RaftMember): PresentNode | undefined {
    const { state } = member;
    const { clusterId } = state;
    const current = member.members.find((id) => state.member(id)?.nodeId === SHARED_WITNESS);
    if (current !== undefined && current === this.#candidate?.raftId) this.#joined();
    const isGone = current !== undefined && current === this.#gone;
    if (current !== undefined && !isGone) {
      return this.answers(current) ? presentNode(current, clusterId) : undefined;
    }
    if (member.keepers.length !== DATA_VOTERS) return undefined;
    if (this.#candidate?.clusterId === clusterId) return presentNode(this.#candidate.raftId, null);
    this.#create(clusterId, current).catch((thrown) => this.#complain(thrown));
    return undefined;
  }

  close(): void {
    this.#closed = true;
    this.#queue = [];
    this.#context.records.close();
  }

  async #work(): Promise<void> {
    this.#working = true;
    try {
      while (this.#queue.length > 0 && this.#place !== undefined && !this.#closed) {
        const batch = this.#queue, place = this.#place;
        this.#queue = [];
        const replies = await this.#step(place, batch);
        if (this.#closed) return;
        if (replies === undefined) { for (const message of batch) this.#lost(message); }
        const { active, schedule } = this.#context, member = active();
        if (member?.state.clusterId !== place.clusterId) continue;
        for (const reply of replies ?? []) member.raw.step(reply);
        schedule();
      }
    } finally {
      this.#working = false;
    }
  }

  /** Undefined: nothing came of it, or nobody knows. */
  async #step(place: Place, batch: readonly Message[]): Promise<readonly Message[] | undefined> {
    const { records, clock } = this.#context;
    const { clusterId, raftId } = place;
    for (let attempt = 0; attempt < ATTEMPTS_MAX && this.#place === place && !this.#closed; attempt++) {
      try {
        const known = this.#known ??= await records.read(clusterId, raftId);
        const before = known === undefined ? undefined : recordOf(place, known);
        if (known === undefined || before === undefined) return this.#lose(raftId);
        const { record, replies } = answerAll(before, batch);
        const wanted = contentOf(record);
        const found = await records.swap(clusterId, raftId, known, wanted);
        if (this.#place !== place) return undefined;
        if (found === undefined) return this.#lose(raftId);
        this.#answeredAt = clock.now();
        this.#known = found;
        if (found === wanted) return replies;
      } catch {
        // It may have happened: what is there is read again.
        this.#known = undefined;
        await sleep(clock, RETRY_MS);
      }
    }
    return undefined;
  }

  #lost({ type, to }: Message): void {
    const raw = this.#context.active()?.raw;
    if (type === "snapshot") raw?.reportSnapshot(to, false);
    else raw?.reportUnreachable(to);
  }

  /** The record is gone for good. */
  #lose(raftId: RaftId): undefined {
    if (this.#place?.raftId !== raftId || this.#gone === raftId) return undefined;
    this.#gone = raftId;
    this.#known = undefined;
    this.#context.logger.warn("the witness has forgotten, and abstains until both nodes replace it", {
      raftId,
    });
    return undefined;
  }

  async #create(clusterId: string, former: RaftId | undefined): Promise<void> {
    const { clock, random, records } = this.#context;
    if (this.#creating || this.#closed || clock.now() - this.#createdAt < CREATE_AGAIN_MS) return;
    this.#creating = true;
    this.#createdAt = clock.now();
    // Drawn for each try: of one whose reply was lost nobody knows whether its record is there.
    const place = { clusterId, raftId: drawRaftId(random) };
    const fresh = { ...place, term: 0, vote: 0, lastTerm: 0, lastIndex: 0 };
    try {
      if (!await records.create(clusterId, place.raftId, contentOf(fresh))) return;
      this.#candidate = place;
      this.#former = former === undefined ? undefined : { clusterId, raftId: former };
    } finally {
      this.#creating = false;
    }
  }

  /** The candidate is a member: nobody counts on the former one any more, as soon as the change is in force. */
  #joined(): void {
    const former = this.#former, { records } = this.#context;
    this.#candidate = this.#former = undefined;
    if (former !== undefined) {
      records.remove(former.clusterId, former.raftId).catch((thrown) => this.#complain(thrown));
    }
  }

  #complain(thrown: unknown): void {
    this.#context.logger.debug("the witness's store did not answer", { reason: reasonOf(thrown) });
  }
}

function presentNode(raftId: RaftId, clusterId: string | null): PresentNode {
  return {
    identity: {
      raftId,
      clusterId,
      lineage: [],
      lastTerm: 0,
      lastIndex: 0,
      members: 0,
      hasData: false,
      led: true,
      out: false,
      witness: true,
      expects: { kind: "count", count: 1 },
      score: 0,
    },
    // It has no runs.
    incarnation: "0000000000000000",
    publicUrl: null,
    draining: true,
  };
}

function contentOf({ term, vote, lastTerm, lastIndex }: WitnessRecord): string {
  return `${term} ${vote} ${lastTerm} ${lastIndex}`;
}

/** Undefined for what is no record. */
function recordOf(place: Place, content: string): WitnessRecord | undefined {
  if (!/^\d{1,15} \d{1,16} \d{1,15} \d{1,15}$/.test(content)) return undefined;
  const [term, vote, lastTerm, lastIndex] = content.split(" ").map(Number) as [
    number,
    number,
    number,
    number,
  ];
  return { ...place, term, vote, lastTerm, lastIndex };
}
