/** Machines, a network and a clock that all obey one seed: runs events in order and drives the cores. */
import { Heap } from "../../../src/lib/heap.ts";
import { type Random, randomBelow } from "../../../src/lib/random.ts";
import { EMPTY_CONF_STATE } from "../../../src/raft/core/configuration.ts";
import type { Entry, Message, RaftId } from "../../../src/raft/core/types.ts";
import { describeMessage, describeReady } from "../scripting/describe.ts";
import { Checker } from "./checker.ts";
import type { Core } from "../core.ts";
import { SimDisk } from "./disk.ts";
import { type AppliedState, FRESH, Machine, snapshotOf, stateOf } from "./machine.ts";
import { Network } from "./network.ts";
import { ELECTION_TICKS, type Plan, TICK_MS } from "./plan.ts";

interface Event {
  readonly at: number;
  readonly order: number;
  readonly act: () => void;
}

export interface WorldHooks {
  /** A vote, a change of role, or of members happened at `machine`. */
  readonly turningPoint: (machine: Machine) => void;
  /** The entry is committed for the first time, or a read was answered. */
  readonly committed: (entry: Entry) => void;
  readonly answered: (context: number) => void;
}

export class World {
  readonly plan: Plan;
  readonly random: Random;
  readonly machines: readonly Machine[];
  readonly network: Network;
  readonly checker: Checker;
  readonly #core: Core;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #queue = new Heap<Event>((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order));
  readonly #byRaftId = new Map<RaftId, Machine>();
  hooks: WorldHooks = { turningPoint: () => {}, committed: () => {}, answered: () => {} };
  now = 0;
  steps = 0;
  #order = 0;
  #nextRaftId = 1;
  #committedSeen: number;
  #fresh = 0;

  constructor(plan: Plan, random: Random, core: Core, trace?: (line: string) => void) {
    this.plan = plan;
    this.random = random;
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
    this.checker = new Checker(this.machines, start, {
      inflightMessagesMax,
      inflightBytesMax,
      messageBytesMax,
    });
    this.#committedSeen = this.checker.maxCommitted;
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

  after(delayMs: number, act: () => void): void {
    this.#queue.push({ at: this.now + delayMs, order: this.#order++, act });
  }

  /** A random time with this mean. */
  exponential(meanMs: number): number {
    return -meanMs * Math.log(1 - this.random.float());
  }

  chance(probability: number): boolean {
    return this.random.float() < probability;
  }

  pick<Item>(items: readonly Item[]): Item | undefined {
    return items[randomBelow(this.random, items.length)];
  }

  /** A number that was not given before: 1, 2, … */
  fresh(): number {
    return ++this.#fresh;
  }

  machineOf(raftId: RaftId): Machine | undefined {
    return this.#byRaftId.get(raftId);
  }

  /** Runs until `until`, or until `done` says so; false when there was no time left. */
  runUntil(until: number, done: () => boolean = () => false): boolean {
    for (
      let event = this.#queue.peek();
      event !== undefined && event.at <= until;
      event = this.#queue.peek()
    ) {
      this.#queue.pop();
      this.now = event.at;
      this.steps++;
      event.act();
      if (done()) return true;
    }
    this.now = until;
    return false;
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
      for (let ticks = Math.floor((forMs * machine.rate) / TICK_MS); ticks > 0; ticks--) machine.raw.tick();
      this.settle(machine);
      const backlog = machine.backlog;
      machine.backlog = [];
      for (const message of backlog) if (machine.run === run) this.#receive(machine, message);
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
      turning = this.checker.handedOut(machine, ready) || turning;
      if (turning) this.hooks.turningPoint(machine);
      if (machine.raw !== raw) return;
      turning = false;
      if (this.plan.diskMs > 0) {
        const { run } = machine;
        this.after(this.exponential(this.plan.diskMs), () => this.#writeDone(machine, run));
      } else this.#finish(machine);
    }
    this.checker.observe(machine);
    for (let index = this.#committedSeen; index < this.checker.maxCommitted;) {
      const entry = this.checker.committedEntry(++index);
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
      this.checker.restores(raftId, machine.state);
    }
    for (const entry of ready.committedEntries) {
      const { confState } = machine.state;
      const next = entry.type === "conf-change" ? raw.applyConfChange(entry.change) : confState;
      machine.state = this.checker.applies(raftId, machine.state, entry, next);
    }
    for (const message of ready.messages) this.#send(machine, message);
    for (const read of ready.readStates) {
      this.checker.readEnds(raftId, read);
      this.hooks.answered(read.context);
    }
    raw.advance();
  }

  #send(from: Machine, message: Message): void {
    this.checker.sends(from, message);
    const to = this.#byRaftId.get(message.to);
    // The moment after a transfer began is a turning point too.
    if (message.type === "timeout-now") {
      this.after(this.exponential(TICK_MS), () => this.hooks.turningPoint(from));
    }
    if (message.type === "snapshot") this.#report(from, message, to);
    if (to === undefined) return;
    if (message.type !== "snapshot") this.#transmit(message, from.index, to);
    const again = this.network.replayed();
    if (again !== undefined) {
      const target = this.#byRaftId.get(again.message.to);
      if (target !== undefined) this.#transmit(again.message, again.from, target);
    }
  }

  /** Snapshots travel by a stream, whose end the sender's driver learns, though perhaps late or wrongly. */
  #report(from: Machine, message: Message, to: Machine | undefined): void {
    const { run } = from;
    const arrives = to !== undefined && this.#transmit(message, from.index, to);
    const report = (): void => {
      if (from.run !== run || from.raw === undefined) return;
      if (from.pausedUntil > this.now) return this.after(from.pausedUntil - this.now, report);
      from.raw.reportSnapshot(message.to, arrives);
      this.settle(from);
    };
    this.after(this.exponential(10 * TICK_MS), report);
  }

  #transmit(message: Message, from: number, to: Machine): boolean {
    const at = this.network.arrival(this.now, from, to.index, message);
    if (at === undefined) return false;
    this.after(at - this.now, () => {
      if (!this.network.isCut(this.now, from, to.index)) this.#receive(to, message);
    });
    return true;
  }

  #receive(machine: Machine, message: Message): void {
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
      if (machine.pausedUntil > this.now || machine.raw === undefined) return;
      machine.raw.tick();
      this.settle(machine);
    });
  }
}
