/** Forming and re-forming: carries a verdict of `formation.ts` out, as coordinator or as one who agrees. */
import { hex } from "../lib/bytes.ts";
import type { Logger } from "../lib/logger.ts";
import { type Random, randomBelow } from "../lib/random.ts";
import type { MemberScene, Plan, PlannedMember, Scene, Verdict } from "./formation.ts";
import { endOf, objectionTo } from "./formation.ts";
import type { RaftFrame } from "./frames.ts";

export interface FormerHost {
  readonly nodeId: string;
  readonly random: Random;
  readonly logger: Logger;
  scene(): Scene | MemberScene;
  send(nodeId: string, frame: RaftFrame): void;
  /** All members agreed: the cluster exists from now on. False when it could not be kept: then it does not. */
  form(plan: Plan): boolean;
}

/**
 * A coordinator asks so many times, or up to twice as often, and then gives everybody free for a while: two that each
 * hold what the other one needs would wait for ever, and a member that stands still hears nothing new.
 */
const REMINDERS = 4;

export class Former {
  readonly #host: FormerHost;
  /** What this node coordinates. */
  #proposed: { readonly plan: Plan; readonly agreed: Set<string>; remindersLeft: number } | undefined;
  /** Calls of `remind` before it proposes anything again. */
  #resting = 0;
  /** What it agreed to: until that exists, is withdrawn or its coordinator is gone, it agrees to nothing else. */
  #agreed: { readonly plan: Plan; readonly coordinator: string } | undefined;

  constructor(host: FormerHost) {
    this.#host = host;
  }

  /** This node's cluster is being re-formed: its member must stand still. */
  get frozen(): boolean {
    return (this.#proposed?.plan.from ?? this.#agreed?.plan.from ?? null) !== null;
  }

  /** This node has agreed to nothing. */
  get free(): boolean {
    return this.#agreed === undefined;
  }

  /** Whether this node may become a member of `clusterId`: it has agreed to no other cluster. */
  mayJoin(clusterId: string): boolean {
    return this.#agreed === undefined || this.#agreed.plan.clusterId === clusterId;
  }

  /** Whether this node has agreed to just that one. */
  agreedTo(clusterId: string): boolean {
    return this.#agreed?.plan.clusterId === clusterId;
  }

  /** Acts on what this node thinks of the present scene. */
  follow(verdict: Verdict): void {
    if (verdict.kind !== "form") return this.#withdraw();
    if (this.#resting > 0 || this.#agreed !== undefined) return;
    const { own } = this.#host.scene();
    const base = own.clusterId === null ? { term: 0, index: 0 } : endOf(own);
    const current = this.#proposed?.plan;
    const same = current !== undefined && current.from === own.clusterId && current.base.term === base.term &&
      current.base.index === base.index && sameMembers(current.members, verdict.members);
    if (same) return;
    this.#withdraw();
    const clusterId = hex(this.#host.random.bytes(8));
    const plan = { clusterId, from: own.clusterId, base, members: verdict.members };
    const remindersLeft = REMINDERS + randomBelow(this.#host.random, REMINDERS);
    this.#proposed = { plan, agreed: new Set([this.#host.nodeId]), remindersLeft };
    this.#ask(plan, this.#proposed.agreed);
    this.#formIfAgreed();
  }

  /** Asks those again who have not agreed yet: what they objected to may have changed. To be called now and then. */
  remind(): void {
    if (this.#resting > 0) this.#resting--;
    const proposed = this.#proposed;
    if (proposed === undefined) return;
    if (proposed.remindersLeft-- > 0) return this.#ask(proposed.plan, proposed.agreed);
    this.#withdraw();
    this.#resting = 1 + randomBelow(this.#host.random, REMINDERS);
  }

  #ask(plan: Plan, agreed: ReadonlySet<string>): void {
    for (const { nodeId } of plan.members) {
      if (!agreed.has(nodeId)) this.#host.send(nodeId, { kind: "propose", plan });
    }
  }

  /** A coordinator asks for this node's agreement. */
  asked(coordinator: string, plan: Plan): void {
    const holder = this.#proposed === undefined ? this.#agreed?.coordinator : this.#host.nodeId;
    const objection = holder !== undefined && holder !== coordinator
      ? `this node has agreed to what ${holder} proposes`
      : objectionTo(plan, coordinator, this.#host.scene());
    if (objection !== undefined) {
      this.#host.logger.debug("did not agree to a formation", { coordinator, reason: objection });
      return;
    }
    // Of one coordinator the later word counts.
    this.#agreed = { plan, coordinator };
    this.#host.send(coordinator, { kind: "agree", clusterId: plan.clusterId });
  }

  agreed(nodeId: string, clusterId: string): void {
    if (this.#proposed?.plan.clusterId !== clusterId) return;
    this.#proposed.agreed.add(nodeId);
    this.#formIfAgreed();
  }

  withdrawn(coordinator: string, clusterId: string): void {
    if (this.#agreed?.coordinator === coordinator && this.#agreed.plan.clusterId === clusterId) {
      this.#agreed = undefined;
    }
  }

  /** A session ended: what its node agreed to, or asked for, is void. */
  down(nodeId: string): void {
    if (this.#agreed?.coordinator === nodeId) this.#agreed = undefined;
    if (this.#proposed?.plan.members.some((member) => member.nodeId === nodeId) === true) this.#withdraw();
  }

  /** This node has become a member of a cluster, or left it, or takes no part any more. */
  reset(): void {
    this.#withdraw();
    this.#agreed = undefined;
  }

  #withdraw(): void {
    const proposed = this.#proposed;
    if (proposed === undefined) return;
    this.#proposed = undefined;
    this.#release(proposed.plan);
  }

  /** Those who agreed are free again. */
  #release({ clusterId, members }: Plan): void {
    for (const { nodeId } of members) {
      if (nodeId !== this.#host.nodeId) this.#host.send(nodeId, { kind: "withdraw", clusterId });
    }
  }

  #formIfAgreed(): void {
    const proposed = this.#proposed;
    if (proposed === undefined || proposed.agreed.size < proposed.plan.members.length) return;
    this.#proposed = undefined;
    if (!this.#host.form(proposed.plan)) this.#release(proposed.plan);
  }
}

function sameMembers(a: readonly PlannedMember[], b: readonly PlannedMember[]): boolean {
  return a.length === b.length && a.every(({ nodeId, raftId, voter }, index) => {
    const other = b[index];
    return other !== undefined && nodeId === other.nodeId && raftId === other.raftId && voter === other.voter;
  });
}
