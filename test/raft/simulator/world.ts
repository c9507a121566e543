/** Machines and a network in one virtual time: boots, crashes and drives the cores. */
import { type Random, randomBelow } from "../../../src/lib/random.ts";
import { EMPTY_CONF_STATE } from "../../../src/raft/core/configuration.ts";
import type { Entry, Message, RaftId } from "../../../src/raft/core/types.ts";
import { describeMessage, describeReady } from "../scripting/describe.ts";
import { Checker } from "./checker.ts";
import type { Core } from "../core.ts";
import { SimDisk } from "./disk.ts";
import { type AppliedState, FRESH, Machine, snapshotOf, stateOf } from "./machine.ts";
import { History } from "./history.ts";
import { Network } from "./network.ts";
import { Post } from "./post.ts";
import { ELECTION_TICKS, type Plan, TICK_MS } from "./plan.ts";
import { Timeline } from "./timeline.ts";

export interface WorldHooks {
  /** A vote, a change of role, or of members happened at `machine`. */
  readonly turningPoint: (machine: Machine) => void;
  /** `machine` has asked another to take the leadership over. */
  readonly handedOver: (machine: Machine) => void;
  /** The entry is committed for the first time, or a read was answered. */
  readonly committed: (entry: Entry) => void;
  readonly answered: (context: number) => void;
}

export class World extends Timeline {
  readonly plan: Plan;
  readonly machines: readonly Machine[];
  readonly network: Network;
  readonly history: History;
  readonly checker: Checker;
  readonly #core: Core;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #byRaftId = new Map<RaftId, Machine>();
  readonly #post: Post;
  hooks: WorldHooks = {
    turningPoint: () => {},
    handedOver: () => {},
    committed: () => {},
    answered: () => {},
  };
  #nextRaftId = 1;
  #committedSeen: number;
  #fresh = 0;

  constructor(plan: Plan, random: Random, core: Core, trace?: (line: string) => void) {
    super(random);
    this.plan = plan;
    this.#core = core;
    this.#trace = trace;
    this.machines = Array.from(
      { length: plan.machines },
      (_, index) => new Machine(index, this.#nextRaftId++),
    );
    this.network = new Network(random, plan);
    const voters = this.machines.slice(0, plan.voters);
    const confState = { ...EMPTY_CONF_STATE, voters: voters.map(({ raftId }) => raftId) };
    const start: AppliedState = { index: 1, term: 1, hash: 0, confState };
    const { inflightMessagesMax = 0, inflightBytesMax = 0, messageBytesMax = 0 } = plan.options;
    this.#post = new Post(this);
    this.history = new History(start);
    this.checker = new Checker(this.machines, this.history, {
      inflightMessagesMax,
      inflightBytesMax,
      messageBytesMax,
    });
    this.#committedSeen = this.history.maxCommitted;
    for (const machine of this.machines) {
      this.#byRaftId.set(machine.raftId, machine);
      if (voters.includes(machine)) {
        machine.disk.write({ type: "snapshot", snapshot: snapshotOf(start) });
        machine.disk.write({ type: "hard-state", hardState: { term: 1, vote: 0, commit: 1 } });
        machine.disk.sync();
      }
      this.boot(machine);
    }
  }

  /** `line` is made only when somebody listens. */
  trace(line: () => string): void {
    this.#trace?.(`${this.now.toFixed(1).padStart(9)} ${line()}`);
  }

  /** The machine whose member has this id now. */
  machineOf(raftId: RaftId): Machine | undefined {
    return this.#byRaftId.get(raftId);
  }

  /** A number that was not given before: 1, 2, … */
  fresh(): number {
    return ++this.#fresh;
  }

  boot(machine: Machine): void {
    const { plan, random } = this;
    const snapshot = machine.disk.snapshot();
    machine.state = snapshot === undefined ? FRESH : stateOf(snapshot);
    machine.run++;
    machine.raw = new this.#core.RawNode({
      ...plan.options,
      id: machine.raftId,
      storage: machine.disk,
      applied: machine.state.index,
      electionTimeoutTicks: () => ELECTION_TICKS + randomBelow(random, ELECTION_TICKS),
    });
    this.trace(() => `machine ${machine.index} starts member ${machine.raftId}`);
    this.checker.logs.boots(machine);
    this.#tickLater(machine, machine.run);
    this.settle(machine);
  }

  /** Power fails: a random part of what was not synced survives, the rest and the memory do not. */
  crash(machine: Machine): void {
    if (machine.raw === undefined) return;
    const { disk, writing } = machine;
    if (writing !== undefined) this.#write(machine);
    const kept = randomBelow(this.random, disk.unsyncedCount + 1);
    this.trace(() => `machine ${machine.index} crashes, keeping ${kept} of ${disk.unsyncedCount} writes`);
    disk.crash(kept);
    machine.raw = undefined;
    machine.writing = undefined;
    machine.asked = undefined;
    machine.backlog = [];
    machine.pausedUntil = 0;
    machine.missedTicks = 0;
    machine.run++;
  }

  /** The disk is replaced: what comes back is another member. */
  loseDisk(machine: Machine): void {
    this.crash(machine);
    this.#byRaftId.delete(machine.raftId);
    machine.raftId = this.#nextRaftId++;
    machine.disk = new SimDisk();
    this.#byRaftId.set(machine.raftId, machine);
    this.trace(() => `machine ${machine.index} lost its disk; it is member ${machine.raftId} now`);
  }

  /** The process stands still while its clock runs on: it makes up for the ticks before it reads a message. */
  pause(machine: Machine, forMs: number): void {
    if (machine.raw === undefined || machine.pausedUntil > this.now) return;
    const { run } = machine;
    machine.pausedUntil = this.now + forMs;
    this.trace(() => `machine ${machine.index} stands still`);
    this.after(forMs, () => {
      if (machine.run !== run || machine.raw === undefined) return;
      this.trace(() => `machine ${machine.index} goes on`);
      for (; machine.missedTicks > 0; machine.missedTicks--) machine.raw.tick();
      this.settle(machine);
      const backlog = machine.backlog;
      machine.backlog = [];
      for (const message of backlog) if (machine.run === run) this.receive(machine, message);
    });
  }

  /** Lets `machine` do what is due. */
  settle(machine: Machine): void {
    const { raw } = machine;
    if (raw === undefined) return;
    let turning = false;
    while (machine.writing === undefined && machine.raw === raw && raw.hasReady()) {
      turning = this.checker.observe(machine) || turning;
      const ready = raw.ready();
      machine.writing = ready;
      this.trace(() =>
        `${machine.raftId}: ${describeReady(ready, ready.mustSync).replaceAll("\n", "\n          ")}`
      );
      turning = this.checker.logs.handedOut(machine, ready) || turning;
      if (turning) this.hooks.turningPoint(machine);
      if (machine.raw !== raw) return;
      turning = false;
      if (this.plan.diskMs > 0) {
        const { run } = machine;
        this.after(this.exponential(this.plan.diskMs), () => this.#writeDone(machine, run));
      } else this.#finish(machine);
    }
    this.checker.observe(machine);
    for (let index = this.#committedSeen; index < this.history.maxCommitted;) {
      const entry = this.history.entry(++index);
      this.#committedSeen = index;
      if (entry !== undefined) this.hooks.committed(entry);
    }
  }

  #writeDone(machine: Machine, run: number): void {
    if (machine.run !== run) return;
    if (machine.pausedUntil > this.now) {
      this.after(machine.pausedUntil - this.now, () => this.#writeDone(machine, run));
      return;
    }
    this.#finish(machine);
    this.settle(machine);
  }

  #write({ disk, writing }: Machine): void {
    if (writing === undefined) return;
    if (writing.snapshot !== undefined) disk.write({ type: "snapshot", snapshot: writing.snapshot });
    for (const entry of writing.entries) disk.write({ type: "entry", entry });
    if (writing.hardState !== undefined) disk.write({ type: "hard-state", hardState: writing.hardState });
  }

  #finish(machine: Machine): void {
    const { writing: ready, raw, raftId } = machine;
    if (ready === undefined || raw === undefined) return;
    this.#write(machine);
    if (ready.mustSync) machine.disk.sync();
    machine.writing = undefined;
    if (ready.snapshot !== undefined) {
      machine.state = stateOf(ready.snapshot);
      this.history.checkState(raftId, machine.state);
    }
    for (const entry of ready.committedEntries) {
      const { confState } = machine.state;
      if (entry.type === "conf-change") this.checker.promises.comesInForce(machine, entry.index);
      const next = entry.type === "conf-change" ? raw.applyConfChange(entry.change) : confState;
      machine.state = this.history.applies(raftId, machine.state, entry, next);
    }
    for (const message of ready.messages) this.#post.send(machine, message);
    for (const read of ready.readStates) {
      this.checker.readEnds(raftId, read);
      this.hooks.answered(read.context);
    }
    raw.advance();
  }

  /** A message arrives at `machine`. */
  receive(machine: Machine, message: Message): void {
    const { raw } = machine;
    if (raw === undefined || machine.raftId !== message.to) return;
    if (machine.pausedUntil > this.now) {
      machine.backlog.push(message);
      return;
    }
    const before = message.type === "pre-vote" ? raw.status().term : 0;
    const result = raw.step(message);
    this.trace(() => `${describeMessage(message)} ${result}`);
    if (message.type === "pre-vote") this.checker.preVoteHandled(machine, before);
    this.settle(machine);
  }

  #tickLater(machine: Machine, run: number): void {
    this.after(TICK_MS / machine.rate, () => {
      if (machine.run !== run) return;
      this.#tickLater(machine, run);
      if (machine.raw === undefined) return;
      if (machine.pausedUntil > this.now) {
        machine.missedTicks++;
        return;
      }
      machine.raw.tick();
      this.settle(machine);
    });
  }
}
