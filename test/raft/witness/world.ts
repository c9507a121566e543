/** Two cores and a witness's record in one lossy network, where everything happens in an order drawn by chance. */
import { type Random, randomBelow } from "../../../src/lib/random.ts";
import { MemoryStorage } from "../../../src/raft/core/memory_storage.ts";
import { RawNode } from "../../../src/raft/core/raw_node.ts";
import type { Message, RaftId, Role } from "../../../src/raft/core/types.ts";
import type { WitnessAnswer, WitnessRecord } from "../../../src/raft/witness.ts";

export const DATA: readonly RaftId[] = [1, 2];
export const WITNESS: RaftId = 3;
const ELECTION_TICKS = 10;
/** Messages on their way; of more the oldest are lost. */
const MESSAGES_MAX = 400;

export type Answers = (record: WitnessRecord, messages: readonly Message[]) => WitnessAnswer;

interface Node {
  readonly id: RaftId;
  readonly storage: MemoryStorage;
  /** Undefined while it is down. */
  raw: RawNode | undefined;
  applied: number;
}

export class WitnessWorld {
  readonly #random: Random;
  readonly #answers: Answers;
  readonly nodes: readonly Node[];
  record: WitnessRecord = {
    raftId: WITNESS,
    clusterId: "00000000000000aa",
    term: 0,
    vote: 0,
    lastTerm: 0,
    lastIndex: 0,
  };
  #mail: Message[] = [];
  /** Pairs of members between whom nothing passes, as `1-3`. */
  readonly #cut = new Set<string>();
  /** The term of each committed entry, by index. */
  readonly committed: (number | undefined)[] = [undefined];
  readonly leaders: Map<number, RaftId> = new Map();
  readonly #votes = new Map<number, RaftId>();
  readonly #roles = new Map<RaftId, Role>();

  constructor(random: Random, answers: Answers) {
    this.#random = random;
    this.#answers = answers;
    const confState = {
      voters: [...DATA, WITNESS],
      votersOutgoing: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    };
    this.nodes = DATA.map((id) => {
      const storage = new MemoryStorage();
      storage.applySnapshot({ index: 1, term: 1, confState, data: new Uint8Array() });
      storage.setHardState({ term: 1, vote: 0, commit: 1 });
      return { id, storage, raw: undefined, applied: 1 };
    });
    this.committed[1] = 1;
    for (const node of this.nodes) this.start(node);
  }

  node(id: RaftId): Node {
    return this.nodes[DATA.indexOf(id)] as Node;
  }

  start(node: Node): void {
    if (node.raw !== undefined) return;
    node.raw = new RawNode({
      id: node.id,
      storage: node.storage,
      applied: node.applied,
      electionTicks: ELECTION_TICKS,
      electionTimeoutTicks: () => ELECTION_TICKS + randomBelow(this.#random, ELECTION_TICKS),
      messageBytesMax: 24,
      inflightMessagesMax: 4,
    });
    this.#settle(node);
  }

  kill(node: Node): void {
    node.raw = undefined;
    this.#roles.delete(node.id);
  }

  cut(a: RaftId, b: RaftId): void {
    this.#cut.add(pair(a, b));
  }

  heal(): void {
    this.#cut.clear();
  }

  /** All that is on its way is lost. */
  loseMail(): void {
    this.#mail = [];
  }

  /** One step of chance. */
  step(): void {
    const draw = this.#random.float();
    const node = this.node(DATA[randomBelow(this.#random, DATA.length)] as RaftId);
    if (draw < 0.55) this.#deliverOne();
    else if (draw < 0.8) this.tick(node);
    else if (draw < 0.9) this.propose(node, randomBelow(this.#random, 12));
    else if (draw < 0.92) this.#mail.splice(randomBelow(this.#random, this.#mail.length + 1), 1);
    else if (draw < 0.94) this.#cutOne();
    else if (draw < 0.96) this.heal();
    else if (draw < 0.975) this.kill(node);
    else if (draw < 0.99) this.start(node);
    else if (draw < 0.995) this.compact(node);
    else this.transfer(node);
  }

  tick(node: Node): void {
    node.raw?.tick();
    this.#settle(node);
  }

  propose(node: Node, bytes: number): boolean {
    const taken = node.raw?.propose(new Uint8Array(bytes)) === "taken";
    this.#settle(node);
    return taken;
  }

  compact({ storage, applied, raw }: Node): void {
    const { confState } = storage.initialState();
    if (raw === undefined || applied <= (storage.snapshot()?.index ?? 0)) return;
    storage.createSnapshot(applied, confState, new Uint8Array());
    storage.compact(applied);
  }

  transfer(node: Node): void {
    node.raw?.transferLeader(DATA.find((id) => id !== node.id) as RaftId);
    this.#settle(node);
  }

  /** Ticks and delivers everything in order, so many times. */
  calm(rounds: number): void {
    for (let round = 0; round < rounds; round++) {
      for (const node of this.nodes) this.tick(node);
      for (let budget = 200; this.#mail.length > 0 && budget > 0; budget--) this.#deliver([this.#take(0)]);
    }
  }

  leader(): Node | undefined {
    const leaders = this.nodes.filter(({ raw }) => raw?.status().softState.role === "leader");
    return leaders.sort((a, b) => (b.raw?.status().term ?? 0) - (a.raw?.status().term ?? 0))[0];
  }

  /** Whether a node's log ends at or above what the witness has noted. */
  isUpToDate({ storage }: Node): boolean {
    const index = storage.lastIndex(), term = storage.term(index) ?? 0;
    const { lastTerm, lastIndex } = this.record;
    return term > lastTerm || (term === lastTerm && index >= lastIndex);
  }

  get maxCommitted(): number {
    return this.committed.length - 1;
  }

  #take(index: number): Message {
    return this.#mail.splice(index, 1)[0] as Message;
  }

  #deliverOne(): void {
    if (this.#mail.length === 0) return;
    const at = this.#random.float() < 0.5 ? 0 : randomBelow(this.#random, this.#mail.length);
    // Some arrive twice, some in one batch with the next.
    const message = this.#random.float() < 0.1 ? this.#mail[at] as Message : this.#take(at);
    const batch = [message];
    while (message.to === WITNESS && this.#mail[0]?.to === WITNESS && this.#random.float() < 0.3) {
      batch.push(this.#take(0));
    }
    this.#deliver(batch);
  }

  #deliver(batch: readonly Message[]): void {
    const passing = batch.filter(({ from, to }) => !this.#cut.has(pair(from, to)));
    const [first] = passing;
    if (first === undefined) return;
    if (first.to === WITNESS) return this.#witness(passing);
    const node = this.node(first.to);
    for (const message of passing) {
      node.raw?.step(message);
      this.#settle(node);
    }
  }

  #witness(messages: readonly Message[]): void {
    const before = this.record;
    const { record, replies } = this.#answers(before, messages);
    this.record = record;
    if (record.term < before.term) throw new Error("the witness's term fell");
    for (const reply of replies) {
      if (reply.type === "vote-response" && !reply.reject) this.#voted(reply.term, reply.to);
      // It may be lost with the process: then the record is further than anybody heard.
      if (this.#random.float() < 0.95) this.#post(reply);
    }
  }

  #voted(term: number, candidate: RaftId): void {
    const other = this.#votes.get(term);
    if (other !== undefined && other !== candidate) throw new Error(`two votes in term ${term}`);
    this.#votes.set(term, candidate);
  }

  #post(message: Message): void {
    this.#mail.push(message);
    if (this.#mail.length > MESSAGES_MAX) this.#mail.shift();
  }

  #cutOne(): void {
    const members = [...DATA, WITNESS];
    const a = randomBelow(this.#random, 3);
    this.cut(members[a] as RaftId, members[(a + 1) % 3] as RaftId);
  }

  #settle(node: Node): void {
    const { raw, storage } = node;
    if (raw === undefined) return;
    while (raw.hasReady()) {
      const ready = raw.ready();
      if (ready.snapshot !== undefined) {
        storage.applySnapshot(ready.snapshot);
        node.applied = ready.snapshot.index;
      }
      storage.append(ready.entries);
      if (ready.hardState !== undefined) storage.setHardState(ready.hardState);
      this.#observe(node, raw);
      for (const { index } of ready.committedEntries) node.applied = index;
      for (const message of ready.messages) {
        this.#post(message);
        // The driver owes a report for each. It may arrive all the same.
        if (message.type === "snapshot") raw.reportSnapshot(message.to, false);
      }
      raw.advance();
    }
    this.#observe(node, raw);
  }

  #observe({ id }: Node, raw: RawNode): void {
    const { term, commit, softState: { role } } = raw.status();
    if (role === "leader" && this.#roles.get(id) !== "leader") {
      const other = this.leaders.get(term);
      if (other !== undefined && other !== id) throw new Error(`two leaders in term ${term}`);
      this.leaders.set(term, id);
      for (let index = this.maxCommitted; index > 0; index--) {
        const found = raw.termAt(index);
        if (found === undefined && raw.status().lastIndex >= index) break;
        if (found !== this.committed[index]) {
          throw new Error(`the leader of term ${term} lacks committed entry ${index}: ${found}`);
        }
      }
    }
    this.#roles.set(id, role);
    for (let index = commit; index > 0; index--) {
      const found = raw.termAt(index);
      if (found === undefined) break;
      const known = this.committed[index];
      if (known === undefined) this.committed[index] = found;
      else if (known !== found) {
        throw new Error(`entry ${index} was committed with term ${known}, then ${found}`);
      } else break;
    }
  }
}

function pair(a: RaftId, b: RaftId): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`;
}
