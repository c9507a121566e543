/** Who the members are: the value that configuration changes turn into another. */
import { type JointVoters, voterIds } from "./quorum.ts";
import type { ConfState, RaftId } from "./types.ts";

/**
 * `learners` share no member with either half of `voters`. A voter of the outgoing half that is to become a
 * learner waits in `learnersNext` until the joint configuration is left, so that nobody is both.
 */
export interface Configuration {
  readonly voters: JointVoters;
  readonly learners: ReadonlySet<RaftId>;
  readonly learnersNext: ReadonlySet<RaftId>;
  /** The leader leaves this joint configuration itself once it is applied. */
  readonly autoLeave: boolean;
}

export const EMPTY_CONFIGURATION: Configuration = {
  voters: { incoming: new Set(), outgoing: new Set() },
  learners: new Set(),
  learnersNext: new Set(),
  autoLeave: false,
};

export const EMPTY_CONF_STATE: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

export function isJoint(configuration: Configuration): boolean {
  return configuration.voters.outgoing.size > 0;
}

/** Everybody the leader replicates to, itself included, ascending. */
export function memberIds(configuration: Configuration): RaftId[] {
  return [...new Set([...voterIds(configuration.voters), ...configuration.learners])].sort((a, b) => a - b);
}

export function confStateOf(configuration: Configuration): ConfState {
  const ascending = (ids: ReadonlySet<RaftId>): RaftId[] => [...ids].sort((a, b) => a - b);
  return {
    voters: ascending(configuration.voters.incoming),
    votersOutgoing: ascending(configuration.voters.outgoing),
    learners: ascending(configuration.learners),
    learnersNext: ascending(configuration.learnersNext),
    autoLeave: configuration.autoLeave,
  };
}

/** The configuration that `state` lists, or why no configuration can be so (a reason for people). */
export function configurationOf(state: ConfState): Configuration | string {
  const incoming = new Set(state.voters), outgoing = new Set(state.votersOutgoing);
  const learners = new Set(state.learners), learnersNext = new Set(state.learnersNext);
  const configuration = {
    voters: { incoming, outgoing },
    learners,
    learnersNext,
    autoLeave: state.autoLeave,
  };
  if (
    incoming.size !== state.voters.length || outgoing.size !== state.votersOutgoing.length ||
    learners.size !== state.learners.length || learnersNext.size !== state.learnersNext.length
  ) return "a member is listed twice";
  return faultOf(configuration) ?? configuration;
}

/** Why `configuration` breaks its own rules; undefined when it keeps them. */
export function faultOf(configuration: Configuration): string | undefined {
  const { voters: { incoming, outgoing }, learners, learnersNext, autoLeave } = configuration;
  if (incoming.size === 0 && (outgoing.size > 0 || learners.size > 0)) return "no voters";
  for (const id of learners) {
    if (incoming.has(id) || outgoing.has(id)) return `${id} is a learner and a voter`;
  }
  for (const id of learnersNext) {
    if (!outgoing.has(id)) return `${id} is a future learner and no outgoing voter`;
    if (incoming.has(id)) return `${id} is a future learner and an incoming voter`;
  }
  if (outgoing.size === 0 && autoLeave) return "automatic leave of a configuration that is not joint";
  return undefined;
}
