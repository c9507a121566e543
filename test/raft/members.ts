/** Members without a network: tests hand them messages and look at what they say. */
import { MemoryStorage } from "../../src/raft/core/memory_storage.ts";
import type { RaftOptions } from "../../src/raft/core/options.ts";
import { RawNode } from "../../src/raft/core/raw_node.ts";
import type { Entry, HardState, Message, RaftId } from "../../src/raft/core/types.ts";

export const ELECTION_TICKS = 10;

/** Omits `from`, `to` and the rest of the envelope that `message` fills in. */
type Body = Message extends infer Each ? Each extends Message ? Omit<Each, "to"> : never : never;

export class Member {
  readonly id: RaftId;
  readonly storage: MemoryStorage = new MemoryStorage();
  readonly raw: RawNode;
  /** Every entry it was told to apply. */
  readonly applied: Entry[] = [];
  /** What it has stored of its hard state; a test may look at it when a message leaves. */
  hardState: HardState = { term: 0, vote: 0, commit: 0 };
  /** What a crash leaves of it at least. */
  durableHardState: HardState = { term: 0, vote: 0, commit: 0 };

  constructor(id: RaftId, voters: readonly RaftId[], given: Given = {}) {
    const { terms = [], log = terms.map((of, place) => entry(of, place + 1)), ...rest } = given;
    const { term = 0, vote = 0, commit = 0, learners = [], ...options } = rest;
    this.id = id;
    const confState = { voters, votersOutgoing: [], learners, learnersNext: [], autoLeave: false };
    this.storage.append(log);
    if (term > 0 || commit > 0) this.storage.setHardState({ term, vote, commit });
    const { storage } = this;
    this.raw = new RawNode({
      preVote: false,
      checkQuorum: false,
      electionTicks: ELECTION_TICKS,
      electionTimeoutTicks: () => ELECTION_TICKS,
      ...options,
      id,
      storage: {
        initialState: () => ({ ...storage.initialState(), confState }),
        firstIndex: () => storage.firstIndex(),
        lastIndex: () => storage.lastIndex(),
        term: (index) => storage.term(index),
        entries: (from, to, bytesMax) => storage.entries(from, to, bytesMax),
        snapshot: () => storage.snapshot(),
      },
    });
  }

  /** Does everything that is due; the messages that leave, in order. */
  settle(): Message[] {
    const sent: Message[] = [];
    while (this.raw.hasReady()) {
      const ready = this.raw.ready();
      if (ready.snapshot !== undefined) this.storage.applySnapshot(ready.snapshot);
      this.storage.append(ready.entries);
      if (ready.hardState !== undefined) {
        this.hardState = ready.hardState;
        this.storage.setHardState(ready.hardState);
      }
      if (ready.mustSync) this.durableHardState = this.hardState;
      for (const each of ready.committedEntries) {
        this.applied.push(each);
        if (each.type === "conf-change") this.raw.applyConfChange(each.change);
      }
      sent.push(...ready.messages);
      this.raw.advance();
    }
    return sent;
  }

  /** Hands it a message; what it says in return. */
  receive(body: Body): Message[] {
    this.raw.step({ ...body, to: this.id });
    return this.settle();
  }

  tick(ticks: number): Message[] {
    for (let tick = 0; tick < ticks; tick++) this.raw.tick();
    return this.settle();
  }

  /** The terms of its log, from the first entry on. */
  get terms(): number[] {
    const { lastIndex } = this.raw.status();
    return Array.from({ length: lastIndex }, (_, place) => this.raw.termAt(place + 1) ?? 0);
  }

  get role(): string {
    return this.raw.status().softState.role;
  }

  get term(): number {
    return this.raw.status().term;
  }

  get commit(): number {
    return this.raw.status().commit;
  }
}

/** What a member has at its start, besides its options. */
interface Given extends Partial<Omit<RaftOptions, "id" | "storage">> {
  /** The terms of its log's entries. */
  readonly terms?: readonly number[];
  /** The same with what is in them. */
  readonly log?: readonly Entry[];
  readonly term?: number;
  readonly vote?: RaftId;
  readonly commit?: number;
  readonly learners?: readonly RaftId[];
}

export function entry(term: number, index: number, data: Uint8Array = new Uint8Array()): Entry {
  return { type: "normal", term, index, data };
}

/** Who leads at `term`, with voters 1 to `size`: member 1, its first append sent and not answered. */
export function leaderOf(size: number, given: Given = {}): { leader: Member; sent: Message[] } {
  const voters = Array.from({ length: size }, (_, place) => place + 1);
  const leader = new Member(1, voters, given);
  leader.raw.campaign();
  leader.settle();
  const sent: Message[] = [];
  for (const from of voters.slice(1)) {
    if (leader.role !== "leader") sent.push(...leader.receive(granted(from, leader.term)));
  }
  sent.push(...leader.settle());
  return { leader, sent };
}

/** A follower of `lead` in term 3, with a log of three entries of which two are committed. */
export function followerOf(lead: RaftId): Member {
  const member = new Member(1, [1, 2, 3], { terms: [1, 2, 3], term: 3, commit: 2 });
  member.settle();
  member.receive({ type: "heartbeat", from: lead, term: 3, commit: 2, round: 1 });
  return member;
}

export function granted(from: RaftId, term: number): Body {
  return { type: "vote-response", from, term, reject: false, commit: 0, commitTerm: 0 };
}

export function refused(from: RaftId, term: number): Body {
  return { type: "vote-response", from, term, reject: true, commit: 0, commitTerm: 0 };
}

export function accepted(from: RaftId, term: number, index: number): Body {
  return { type: "append-response", from, term, index, reject: false, hint: 0, hintTerm: 0 };
}

/** Carries messages among `members` until nobody says anything more. */
export function carry(
  members: readonly Member[],
  first: readonly Message[],
  passes: (message: Message) => boolean = () => true,
): void {
  const queue = [...first];
  for (const member of members) queue.push(...member.settle());
  for (let message = queue.shift(); message !== undefined; message = queue.shift()) {
    const to = members.find(({ id }) => id === message?.to);
    if (to !== undefined && passes(message)) queue.push(...to.receive(message));
  }
}
