/** Faults, and the requests that go on meanwhile. */
import { randomBelow } from "../../../src/lib/random.ts";
import { isJoint } from "../../../src/raft/core/configuration.ts";
import { voterIds } from "../../../src/raft/core/quorum.ts";
import { type Machine, snapshotOf } from "./machine.ts";
import type { Fault } from "./plan.ts";
import type { World } from "./world.ts";

const RESTART_MEAN_MS = 300;
const CUT_MEAN_MS = 500;
const CLOG_MEAN_MS = 200;
const PAUSE_MEAN_MS = 150;
/** Within the lease of the longest kind. */
const HANDOVER_READS_MEAN_MS = 40;

/** Lets everything the plan names happen until `until`. */
export function startChaos(world: World, until: number): void {
  const { plan } = world;
  const every = (meanMs: number, act: () => void): void => {
    if (meanMs === 0) return;
    const next = (): void =>
      world.after(world.exponential(meanMs), () => {
        if (world.now >= until) return;
        act();
        next();
      });
    next();
  };
  if (plan.faults.length > 0) {
    every(plan.faultEveryMs, () => inflict(world, world.pick(plan.faults), world.pick(world.machines)));
  }
  if (plan.clocks) every(300, () => changeClock(world));
  every(plan.requestEveryMs, () => request(world));
  every(plan.urgeEveryMs, () => urge(world));
  every(plan.compactEveryMs, () => compact(world.pick(world.machines)));
}

/** What follows a vote, a new role or a change of members, when the seed is biased towards them. */
export function atTurningPoint(world: World, machine: Machine): void {
  if (world.chance(world.plan.bias)) inflict(world, world.pick(world.plan.faults), machine);
}

/** A leader that handed over and is cut off does not know that it leads no more; whoever asks it must not be misled. */
export function atHandover(world: World, machine: Machine): void {
  if (!world.plan.faults.includes("isolate") || !world.chance(0.5)) return;
  inflict(world, "isolate", machine);
  for (let read = 0; read < 8; read++) {
    world.after(world.exponential(HANDOVER_READS_MEAN_MS), () => readAt(world, machine));
  }
}

function readAt(world: World, machine: Machine): void {
  if (machine.raw !== undefined && machine.pausedUntil <= world.now) beginRead(world, machine);
}

/** A crashed machine comes back after a while. */
export function restartLater(world: World, machine: Machine): void {
  const { run } = machine;
  world.after(world.exponential(RESTART_MEAN_MS), () => {
    if (machine.run === run && machine.raw === undefined && !machine.dead) world.boot(machine);
  });
}

function inflict(world: World, fault: Fault | undefined, machine: Machine | undefined): void {
  if (fault === undefined || machine === undefined) return;
  const { network, machines } = world;
  const until = world.now + world.exponential(CUT_MEAN_MS);
  const others = machines.filter((other) => other !== machine);
  switch (fault) {
    case "crash":
      if (machine.raw === undefined) return;
      world.crash(machine);
      return restartLater(world, machine);
    case "disk-loss":
      if (!mayLoseDisk(world)) return;
      world.loseDisk(machine);
      return restartLater(world, machine);
    case "isolate":
      for (const other of others) {
        network.cut(machine.index, other.index, until);
        network.cut(other.index, machine.index, until);
      }
      break;
    case "one-way": {
      const out = world.chance(0.5);
      for (const { index } of others) {
        network.cut(out ? machine.index : index, out ? index : machine.index, until);
      }
      break;
    }
    case "split": {
      const side = new Set(machines.filter(() => world.chance(0.5)));
      const oneWay = world.chance(0.3);
      for (const a of machines) {
        for (const b of machines) {
          if (side.has(a) && !side.has(b)) network.cut(a.index, b.index, until);
          if (!oneWay && side.has(b) && !side.has(a)) network.cut(a.index, b.index, until);
        }
      }
      break;
    }
    case "clog": {
      const other = world.pick(others);
      if (other !== undefined) {
        network.clog(machine.index, other.index, world.now + world.exponential(CLOG_MEAN_MS));
      }
      break;
    }
    case "pause":
      return world.pause(machine, world.exponential(PAUSE_MEAN_MS));
  }
  world.trace(() => `${fault} at machine ${machine.index} until ${until.toFixed(1)}`);
}

/**
 * Only one voter's disk at a time may be lost, and only while no change of members is under way: more is data loss
 * that no protocol survives.
 */
function mayLoseDisk({ history: { configuration, maxCommitted }, machines }: World): boolean {
  if (isJoint(configuration) || voterIds(configuration.voters).length < 3) return false;
  const present = new Set(machines.map(({ raftId }) => raftId));
  if (voterIds(configuration.voters).some((id) => !present.has(id))) return false;
  const changing = machines.some(({ disk, writing }) =>
    disk.lastConfChange > maxCommitted ||
    writing?.entries.some((entry) => entry.type === "conf-change" && entry.index > maxCommitted) === true
  );
  return !changing;
}

function changeClock(world: World): void {
  const machine = world.pick(world.machines);
  if (machine !== undefined) machine.rate = 2 ** (world.random.float() * 2 - 1);
}

/** Some bytes that nobody else proposed, a number first; sometimes many. */
export function freshData(world: World): Uint8Array {
  const bytes = 8 + (world.chance(0.05) ? 300 : randomBelow(world.random, 24));
  return new TextEncoder().encode(`${world.fresh()} `.padEnd(bytes, "."));
}

/** Begins a read at `machine`; the number by which its answer is known, 0 when it was dropped at once. */
export function beginRead(world: World, machine: Machine): number {
  const context = world.fresh();
  world.checker.readBegins(context);
  const result = machine.raw?.readIndex(context);
  world.settle(machine);
  return result === "taken" ? context : 0;
}

function request(world: World): void {
  // Half of the requests go to those who believe that they lead: they are the ones who could be wrong.
  const leaders = world.machines.filter(({ raw }) => raw?.status().softState.role === "leader");
  const machine = world.chance(0.5) && leaders.length > 0 ? world.pick(leaders) : world.pick(world.machines);
  if (machine?.raw === undefined || machine.pausedUntil > world.now) return;
  if (world.chance(0.4)) beginRead(world, machine);
  else {
    machine.raw.propose(freshData(world));
    world.settle(machine);
  }
}

/** Somebody is told to have another lead, to campaign itself, or to forget its leader. */
function urge(world: World): void {
  const machine = world.pick(world.machines), target = world.pick(world.machines);
  if (machine?.raw === undefined || target === undefined || machine.pausedUntil > world.now) return;
  if (world.chance(0.6)) {
    world.trace(() => `machine ${machine.index} is asked to have member ${target.raftId} lead`);
    machine.raw.transferLeader(target.raftId);
  } else if (world.chance(0.5)) {
    world.trace(() => `machine ${machine.index} is asked to campaign`);
    machine.raw.campaign();
  } else {
    world.trace(() => `machine ${machine.index} is asked to forget its leader`);
    machine.raw.forgetLeader();
  }
  world.settle(machine);
}

/** Keeps a snapshot of what is applied, and only some of the entries before it. */
function compact(machine: Machine | undefined): void {
  if (machine?.raw === undefined || machine.state.index <= (machine.disk.snapshot()?.index ?? 0)) return;
  const snapshot = snapshotOf(machine.state);
  const slack = machine.raftId % 2 === 0 ? 0 : 3;
  const last = Math.min(snapshot.index, machine.disk.lastIndex());
  machine.disk.write({
    type: "compact",
    snapshot,
    keepFrom: Math.max(machine.disk.firstIndex(), last + 1 - slack),
  });
}
