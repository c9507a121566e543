/** Turns one configuration into the next: simple changes, and into and out of joint ones (thesis, 4.1–4.3). */
import { type Configuration, faultOf, isJoint } from "./configuration.ts";
import type { ConfChange, ConfStep, RaftId } from "./types.ts";

/** `fresh` are members whose progress starts anew: they joined, or were removed and added again. */
export interface Changed {
  readonly configuration: Configuration;
  readonly fresh: ReadonlySet<RaftId>;
}

/** The next configuration, or why there is none (a reason for people). */
export type ChangeResult = Changed | { readonly refused: string };

/** Does what `change` asks for; which of the three kinds it is follows from its transition and steps. */
export function changeConfiguration(current: Configuration, change: ConfChange): ChangeResult {
  if (leavesJoint(change)) return leaveJoint(current);
  if (change.transition === "auto" && change.steps.length === 1) return simpleChange(current, change.steps);
  return enterJoint(current, change.transition !== "explicit", change.steps);
}

/** An empty `auto` change asks to leave the joint configuration. */
export function leavesJoint(change: ConfChange): boolean {
  return change.transition === "auto" && change.steps.length === 0;
}

/** Changes at most one voter, so that any old majority meets any new one (thesis, 4.1). */
export function simpleChange(current: Configuration, steps: readonly ConfStep[]): ChangeResult {
  if (isJoint(current)) return { refused: "can't apply simple config change in joint config" };
  const draft = new Draft(current);
  const refused = draft.apply(steps);
  if (refused !== undefined) return { refused };
  if (current.voters.incoming.symmetricDifference(draft.incoming).size > 1) {
    return { refused: "more than one voter changed without entering joint config" };
  }
  return draft.done();
}

/** C(old) to C(old,new): the incoming half changes, the outgoing one stays what it was (thesis, 4.3). */
export function enterJoint(
  current: Configuration,
  autoLeave: boolean,
  steps: readonly ConfStep[],
): ChangeResult {
  if (isJoint(current)) return { refused: "config is already joint" };
  if (current.voters.incoming.size === 0) return { refused: "can't make a zero-voter config joint" };
  const draft = new Draft(current);
  draft.outgoing = new Set(current.voters.incoming);
  const refused = draft.apply(steps);
  if (refused !== undefined) return { refused };
  draft.autoLeave = autoLeave;
  return draft.done();
}

/** C(old,new) to C(new). Voters that were to become learners are learners now. */
export function leaveJoint(current: Configuration): ChangeResult {
  if (!isJoint(current)) return { refused: "can't leave a non-joint config" };
  const draft = new Draft(current);
  for (const id of draft.learnersNext) draft.learners.add(id);
  draft.learnersNext.clear();
  draft.outgoing.clear();
  draft.autoLeave = false;
  return draft.done();
}

class Draft {
  readonly incoming: Set<RaftId>;
  outgoing: Set<RaftId>;
  readonly learners: Set<RaftId>;
  readonly learnersNext: Set<RaftId>;
  autoLeave: boolean;
  readonly #fresh = new Set<RaftId>();

  constructor(from: Configuration) {
    this.incoming = new Set(from.voters.incoming);
    this.outgoing = new Set(from.voters.outgoing);
    this.learners = new Set(from.learners);
    this.learnersNext = new Set(from.learnersNext);
    this.autoLeave = from.autoLeave;
  }

  /** A reason when the steps leave nobody to decide. */
  apply(steps: readonly ConfStep[]): string | undefined {
    for (const { operation, id } of steps) {
      if (id === 0) continue;
      switch (operation) {
        case "add-voter":
          this.#addVoter(id);
          break;
        case "add-learner":
          this.#addLearner(id);
          break;
        case "remove":
          this.#remove(id);
          break;
        case "update":
          break;
      }
    }
    return this.incoming.size === 0 ? "removed all voters" : undefined;
  }

  done(): ChangeResult {
    const { incoming, outgoing, learners, learnersNext, autoLeave } = this;
    const configuration = { voters: { incoming, outgoing }, learners, learnersNext, autoLeave };
    const refused = faultOf(configuration);
    return refused === undefined ? { configuration, fresh: this.#fresh } : { refused };
  }

  #isMember(id: RaftId): boolean {
    return this.incoming.has(id) || this.outgoing.has(id) || this.learners.has(id);
  }

  #addVoter(id: RaftId): void {
    if (!this.#isMember(id)) this.#fresh.add(id);
    this.learners.delete(id);
    this.learnersNext.delete(id);
    this.incoming.add(id);
  }

  #addLearner(id: RaftId): void {
    if (this.learners.has(id)) return;
    if (!this.#isMember(id)) this.#fresh.add(id);
    this.incoming.delete(id);
    if (this.outgoing.has(id)) this.learnersNext.add(id);
    else this.learners.add(id);
  }

  #remove(id: RaftId): void {
    this.incoming.delete(id);
    this.learners.delete(id);
    this.learnersNext.delete(id);
  }
}
