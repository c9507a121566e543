/** After the chaos: a quorum is healed, the rest stays broken, and everything asked must be answered in time. */
import { changeConfiguration } from "../../../src/raft/core/conf_change.ts";
import { type Configuration, configurationOf } from "../../../src/raft/core/configuration.ts";
import { type Voters } from "../../../src/raft/core/quorum.ts";
import { LEAVE_JOINT } from "../../../src/raft/core/members.ts";
import type { Entry } from "../../../src/raft/core/types.ts";
import { beginRead, freshData, restartLater } from "./chaos.ts";
import { SimulationFailure } from "./failure.ts";
import type { Machine } from "./machine.ts";
import { ELECTION_TICKS, TICK_MS } from "./plan.ts";
import type { World } from "./world.ts";

/** From healing to equal states everywhere: so many election timeouts, the longest ones. */
const BOUND_ELECTIONS = 60;
export const BOUND_MS: number = BOUND_ELECTIONS * 2 * ELECTION_TICKS * TICK_MS;
const RETRY_MS = 150;

interface Wishes {
  wrote: boolean;
  read: boolean;
}

/**
 * False when there is nothing to ask for: the chaos left no quorum to heal, or there are no pre-votes. Without those
 * recovery is a matter of luck: a voter that lags behind and knows only an older configuration raises its term with
 * each election, and whoever could win needs its vote and does not hear of the term. Throws when there is no recovery.
 */
export function checkLiveness(world: World): boolean {
  if (world.plan.options.preVote !== true) return false;
  const healed = healQuorum(world);
  if (healed === undefined) return false;
  const pending = new Map<Machine, Wishes>();
  for (const machine of healed) pending.set(machine, { wrote: false, read: false });
  const writes = new Map<number, Machine>();
  const reads = new Map<number, Wishes>(), answered = new Set<number>();
  world.hooks = {
    ...world.hooks,
    turningPoint: () => {},
    handedOver: () => {},
    committed: (entry) => {
      const owner = writes.get(numberIn(entry));
      const wishes = owner && pending.get(owner);
      if (wishes !== undefined) wishes.wrote = true;
    },
    answered: (context) => {
      answered.add(context);
      const wishes = reads.get(context);
      if (wishes !== undefined) wishes.read = true;
    },
  };
  const isMember = (machine: Machine): boolean => memberOf(world.history.configuration, machine.raftId);
  const ask = (): void => {
    for (const [machine, wishes] of pending) {
      if (machine.raw === undefined || machine.pausedUntil > world.now || !isMember(machine)) continue;
      if (!wishes.wrote) {
        const data = freshData(world);
        writes.set(leadingNumber(data), machine);
        machine.raw.propose(data);
        world.settle(machine);
      }
      if (!wishes.read) {
        const context = beginRead(world, machine);
        reads.set(context, wishes);
        // A lease answers within the call.
        if (answered.has(context)) wishes.read = true;
      }
    }
    world.after(RETRY_MS, ask);
  };
  ask();
  const recovered = (): boolean => {
    const members = healed.filter(isMember);
    const leader = members.find(({ raw }) => raw?.status().softState.role === "leader");
    const { maxCommitted } = world.history;
    return leader !== undefined && members.every((machine) => {
      const status = machine.raw?.status(), wishes = pending.get(machine);
      return status?.softState.lead === leader.raftId && wishes?.wrote === true && wishes.read &&
        machine.state.index === maxCommitted;
    });
  };
  if (world.runUntil(world.now + BOUND_MS, recovered)) return true;
  const view = healed.map((machine) => {
    const status = machine.raw?.status();
    return `member ${machine.raftId} ${isMember(machine) ? "" : "(outside) "}${status?.softState.role} of ` +
      `${status?.term} under ${status?.softState.lead}, applied ${machine.state.index}, ` +
      `${JSON.stringify(pending.get(machine))}`;
  });
  throw new SimulationFailure(
    `liveness: no recovery in ${BOUND_MS} ms, committed ${world.history.maxCommitted}; ${view.join("; ")}`,
  );
}

/** The number that fresh data begins with; 0 for no data. */
function leadingNumber(data: Uint8Array): number {
  return Number.parseInt(new TextDecoder().decode(data), 10) || 0;
}

function numberIn(entry: Entry): number {
  return entry.type === "normal" ? leadingNumber(entry.data) : 0;
}

/** Heals random machines until they are a quorum of every configuration that may be in force; the rest is broken. */
function healQuorum(world: World): Machine[] | undefined {
  const { machines, network } = world;
  const voterSets = possibleConfigurations(machines).flatMap((
    { voters },
  ) => [voters.incoming, voters.outgoing]);
  const shuffled = machines.map((machine) => ({ machine, key: world.random.float() }))
    .sort((a, b) => a.key - b.key).map(({ machine }) => machine);
  const healed: Machine[] = [];
  for (const machine of shuffled) {
    if (healed.length > 0 && voterSets.every((voters) => isQuorum(voters, healed))) break;
    healed.push(machine);
  }
  if (!voterSets.every((voters) => isQuorum(voters, healed))) return undefined;
  network.heal();
  // Only checks for a live leader keep a member that hears nothing from disturbing the others.
  const mayTalk = world.plan.options.checkQuorum === true;
  for (const machine of machines) {
    if (healed.includes(machine)) {
      machine.rate = 1;
      if (machine.raw === undefined) restartLater(world, machine);
    } else breakForGood(world, machine, mayTalk);
  }
  world.trace(() => `healed: members ${healed.map(({ raftId }) => raftId)}`);
  return healed;
}

function breakForGood(world: World, machine: Machine, mayTalk: boolean): void {
  machine.dead = true;
  const isDown = world.chance(0.5), isDeaf = mayTalk && world.chance(0.5);
  if (isDown) world.crash(machine);
  for (const other of world.machines) {
    world.network.cut(other.index, machine.index, Infinity);
    if (!isDeaf) world.network.cut(machine.index, other.index, Infinity);
  }
}

function isQuorum(voters: Voters, healed: readonly Machine[]): boolean {
  return voters.size === 0 || healed.filter(({ raftId }) => voters.has(raftId)).length * 2 > voters.size;
}

function memberOf({ voters, learners }: Configuration, id: number): boolean {
  return voters.incoming.has(id) || voters.outgoing.has(id) || learners.has(id);
}

/** In force at a member, or soon, if the changes in its log are committed. */
function possibleConfigurations(machines: readonly Machine[]): Configuration[] {
  const possible: Configuration[] = [];
  for (const { disk, state, writing, asked } of machines) {
    const stored = configurationOf(state.confState);
    if (typeof stored === "string" || stored.voters.incoming.size === 0) continue;
    possible.push(stored);
    const from = Math.max(disk.firstIndex(), state.index + 1);
    const log = [...disk.entries(from, disk.lastIndex() + 1, Infinity) ?? [], ...writing?.entries ?? []];
    const changes = log.flatMap((entry) => entry.type === "conf-change" ? [entry.change] : []);
    if (asked !== undefined) changes.push(asked);
    let current = stored;
    for (const change of [LEAVE_JOINT, ...changes.flatMap((each) => [each, LEAVE_JOINT])]) {
      const changed = changeConfiguration(current, change);
      if ("refused" in changed) continue;
      possible.push(changed.configuration);
      current = changed.configuration;
    }
  }
  return possible;
}
