/** Forming and re-forming: carries a verdict of `formation.ts` out, as coordinator or as one who agrees. */
import { hex } from "../lib/bytes.ts";
import type { Logger } from "../lib/logger.ts";
import type { Random } from "../lib/random.ts";
import type { MemberScene, Plan, PlannedMember, Scene, Verdict } from "./formation.ts";
import { endOf, objectionTo } from "./formation.ts";
import type { RaftFrame } from "./frames.ts";

export interface FormerHost {
  readonly nodeId: string;
  readonly random: Random;
  readonly logger: Logger;
  scene(): Scene | MemberScene;
  send(nodeId: string, frame: RaftFrame): void;
  /** All members agreed: the cluster exists from now on. */
  form(plan: Plan): void;
}

export class Former {
  readonly #host: FormerHost;
  /** What this node coordinates. */
  #proposed: { readonly plan: Plan; readonly agreed: Set<string> } | undefined;
  /** What it agreed to: until that exists or its coordinator is gone, it does nothing else. */
  #agreed: { readonly plan: Plan; readonly coordinator: string } | undefined;

  constructor(host: FormerHost) {
    this.#host = host;
  }

  /** This node's cluster is being re-formed: its member must stand still. */
  get frozen(): boolean {
    return (this.#proposed?.plan.from ?? this.#agreed?.plan.from ?? null) !== null;
  }

  /** Whether this node may become a member of `clusterId`: it has agreed to no other cluster. */
  mayJoin(clusterId: string): boolean {
    return this.#agreed === undefined || this.#agreed.plan.clusterId === clusterId;
  }

  /** Acts on what this node thinks of the present scene. */
  follow(verdict: Verdict): void {
    if (verdict.kind !== "form") return this.#withdraw();
    const { own } = this.#host.scene();
    const base = own.clusterId === null ? { term: 0, index: 0 } : endOf(own);
    const current = this.#proposed?.plan;
    const same = current !== undefined && current.from === own.clusterId && current.base.term === base.term &&
      current.base.index === base.index && sameMembers(current.members, verdict.members);
    if (same) return;
    this.#withdraw();
    const clusterId = hex(this.#host.random.bytes(8));
    const plan = { clusterId, from: own.clusterId, base, members: verdict.members };
    this.#proposed = { plan, agreed: new Set([this.#host.nodeId]) };
    this.remind();
    this.#formIfAgreed();
  }

  /** Asks those again who have not agreed yet: what they objected to may have changed. */
  remind(): void {
    if (this.#proposed === undefined) return;
    const { plan, agreed } = this.#proposed;
    for (const { nodeId } of plan.members) {
      if (!agreed.has(nodeId)) this.#host.send(nodeId, { kind: "propose", plan });
    }
  }

  /** A coordinator asks for this node's agreement. */
  asked(coordinator: string, plan: Plan): void {
    const objection = objectionTo(plan, coordinator, this.#host.scene());
    if (objection !== undefined) {
      this.#host.logger.debug("did not agree to a formation", { coordinator, reason: objection });
      return;
    }
    // Whoever coordinates under the same view asks for the same; the later word counts.
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

  /** This node has become a member of a cluster, or left it. */
  reset(): void {
    this.#proposed = this.#agreed = undefined;
  }

  #withdraw(): void {
    const proposed = this.#proposed;
    if (proposed === undefined) return;
    this.#proposed = undefined;
    const { plan: { clusterId, members } } = proposed;
    for (const { nodeId } of members) {
      if (nodeId !== this.#host.nodeId) this.#host.send(nodeId, { kind: "withdraw", clusterId });
    }
  }

  #formIfAgreed(): void {
    const proposed = this.#proposed;
    if (proposed === undefined || proposed.agreed.size < proposed.plan.members.length) return;
    this.#proposed = undefined;
    this.#host.form(proposed.plan);
  }
}

function sameMembers(a: readonly PlannedMember[], b: readonly PlannedMember[]): boolean {
  return a.length === b.length && a.every(({ nodeId, raftId, voter }, index) => {
    const other = b[index];
    return other !== undefined && nodeId === other.nodeId && raftId === other.raftId && voter === other.voter;
  });
}
