/** The operator: changes the members, sensibly and otherwise, and replaces members that lost their disk. */
import { randomBelow } from "../../../src/lib/random.ts";
import { changeConfiguration } from "../../../src/raft/core/conf_change.ts";
import { type Configuration, isJoint } from "../../../src/raft/core/configuration.ts";
import { voterIds } from "../../../src/raft/core/quorum.ts";
import type { ConfChange, ConfOperation, ConfStep } from "../../../src/raft/core/types.ts";
import type { Machine } from "./machine.ts";
import type { World } from "./world.ts";

const VOTERS_MAX = 7;
const OPERATIONS: readonly ConfOperation[] = ["add-voter", "add-learner", "remove", "update"];
const TRANSITIONS: readonly ConfChange["transition"][] = ["auto", "implicit", "explicit"];
const NOTHING = new Uint8Array();

export function startOperator(world: World, until: number): void {
  const { changeEveryMs, faults } = world.plan;
  const meanMs = changeEveryMs > 0 ? changeEveryMs : faults.includes("disk-loss") ? 300 : 0;
  if (meanMs === 0) return;
  const next = (): void =>
    world.after(world.exponential(meanMs), () => {
      if (world.now >= until) return;
      operate(world);
      next();
    });
  next();
}

/** Asks whoever believes to lead for one change. */
export function operate(world: World): void {
  const leaders = world.machines.filter(({ raw, pausedUntil }) =>
    pausedUntil <= world.now && raw?.status().softState.role === "leader"
  );
  const leader = world.pick(leaders);
  if (leader?.raw === undefined) return;
  const change = nextChange(world, leader.raw.status().configuration);
  if (change === undefined) return;
  world.trace(() =>
    `member ${leader.raftId} is asked for ${JSON.stringify(change.steps)} ${change.transition}`
  );
  leader.asked = change;
  leader.raw.proposeConfChange(change);
  world.settle(leader);
}

function nextChange(world: World, configuration: Configuration): ConfChange | undefined {
  if (isJoint(configuration)) return { transition: "auto", steps: [], context: NOTHING };
  const lost = lostMembers(world.machines, configuration);
  if (lost.length > 0) return replacement(world, configuration, lost);
  // Another leader may know of a lost member that this one does not: no change before that is mended.
  if (lostMembers(world.machines, world.history.configuration).length > 0 || world.plan.changeEveryMs === 0) {
    return undefined;
  }
  const change: ConfChange = {
    transition: world.pick(TRANSITIONS) ?? "auto",
    steps: Array.from({ length: 1 + randomBelow(world.random, 3) }, () => randomStep(world)),
    context: NOTHING,
  };
  const changed = changeConfiguration(configuration, change);
  // Changes that cannot be made are proposed too; those that would leave too few voters are not.
  if ("refused" in changed) return change;
  const voters = changed.configuration.voters.incoming.size;
  return voters >= world.plan.votersMin && voters <= VOTERS_MAX ? change : undefined;
}

function lostMembers(machines: readonly Machine[], { voters, learners }: Configuration): number[] {
  const present = new Set(machines.map(({ raftId }) => raftId));
  return [...voterIds(voters), ...learners].filter((id) => !present.has(id));
}

/** One joint change: whoever came back without a disk takes the place of who it was. */
function replacement(world: World, configuration: Configuration, lost: readonly number[]): ConfChange {
  const members = new Set([...voterIds(configuration.voters), ...configuration.learners]);
  const fresh = world.machines.map(({ raftId }) => raftId).filter((id) => !members.has(id));
  const steps = lost.map((id): ConfStep => ({ operation: "remove", id }));
  const added = fresh.slice(0, lost.length).map((id): ConfStep => ({ operation: "add-voter", id }));
  return { transition: "implicit", steps: [...steps, ...added], context: NOTHING };
}

function randomStep(world: World): ConfStep {
  const machine = world.pick(world.machines);
  return {
    operation: world.pick(OPERATIONS) ?? "update",
    id: world.chance(0.03) ? 9_999 : machine?.raftId ?? 0,
  };
}
