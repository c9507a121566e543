/** What an operator asks of the members: another leader, one member less. Each is tried until it is so. */
import type { Clock } from "../lib/clock.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import type { WaitOptions } from "./contract.ts";
import { isJoint } from "./core/configuration.ts";
import { NO_ID, type RaftId } from "./core/types.ts";
import type { RaftMember } from "./member.ts";
import type { PeerTable } from "./peer_table.ts";
import { changeOf } from "./steward.ts";

/** How long a node that leaves waits for its successor and for its removal, ms each. */
const LEAVE_MS = 2_000;
/** Between two tries, ms. */
const RETRY_MS = 200;

export interface MemberRequestsContext {
  readonly nodeId: string;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly peers: PeerTable;
  /** This node's member while it takes part. */
  active(): RaftMember | undefined;
  running(): boolean;
  nodeOf(raftId: RaftId): string | undefined;
  /** Why there is no leader to turn to. */
  obstacle(): string | undefined;
  /** Something was asked of the core. */
  schedule(): void;
}

export class MemberRequests {
  readonly #context: MemberRequestsContext;

  constructor(context: MemberRequestsContext) {
    this.#context = context;
  }

  /** See `RaftNode.transferLeadership`. */
  async transferLeadership(nodeId: string | undefined, options: WaitOptions): Promise<void> {
    const target = this.#successor(nodeId);
    if (target === undefined) {
      const whom = nodeId === undefined
        ? "there is no other voter"
        : `${shown(nodeId)} is no voter that is there`;
      throw new FlotillaError("not-found", `transfer the leadership: ${whom}`);
    }
    await this.#until(`transfer the leadership to ${this.#context.nodeOf(target)}`, options, (member) => {
      if (member === undefined) return false;
      const { transferee, softState: { lead } } = member.raw.status();
      if (lead === target) return true;
      if (transferee === NO_ID) member.raw.transferLeader(target);
      return false;
    });
  }

  /** See `RaftNode.removeNode`. */
  async removeNode(nodeId: string, options: WaitOptions): Promise<void> {
    const { active, nodeOf } = this.#context;
    const own = active()?.raftId;
    const raftId = active()?.members.find((id) => nodeOf(id) === nodeId);
    if (raftId === undefined) {
      throw new FlotillaError("not-found", `remove ${shown(nodeId)}: it is no member`);
    }
    await this.#until(`remove ${shown(nodeId)}`, options, (member) => {
      // Whoever is removed hears of it by being no member any more.
      if (member === undefined) return raftId === own;
      if (!member.members.includes(raftId)) return true;
      if (raftId === member.raftId && this.#mustHandOver(member)) return false;
      if (!isJoint(member.raw.status().configuration)) {
        member.proposeChange(changeOf({ operation: "remove", id: raftId }));
      }
      return false;
    });
  }

  /** See `RaftNode.leave`. */
  async leave(): Promise<void> {
    const member = this.#context.active();
    if (member === undefined || (member.voters.length <= 1 && member.voters.includes(member.raftId))) return;
    const wait = { timeoutMs: LEAVE_MS };
    if (member.leads) await this.transferLeadership(undefined, wait).catch(() => undefined);
    if (!member.storage.durable) await this.removeNode(this.#context.nodeId, wait).catch(() => undefined);
  }

  /**
   * A leader with a witness may be the only one that has all entries: before it goes, somebody else must have them. True
   * while nobody has.
   */
  #mustHandOver({ leads, raw, state, voters }: RaftMember): boolean {
    if (!leads || !voters.some((id) => state.member(id)?.witness === true)) return false;
    const successor = this.#successor(undefined);
    if (successor !== undefined && raw.status().transferee === NO_ID) raw.transferLeader(successor);
    return true;
  }

  /** A voter to whom the leadership can be handed: the named one, else the one with the longest log. */
  #successor(nodeId: string | undefined): RaftId | undefined {
    const { active, peers, nodeOf } = this.#context;
    const member = active();
    if (member === undefined) return undefined;
    const candidates = member.voters.filter((raftId) => {
      const isThere = peers.byRaftId(raftId)?.identity?.witness === false || raftId === member.raftId;
      return isThere && (nodeId === undefined ? raftId !== member.raftId : nodeOf(raftId) === nodeId);
    });
    return candidates.sort((a, b) => member.matchOf(b) - member.matchOf(a))[0];
  }

  /** Tries until it is so. Rejects `timeout`, `aborted`, `not-running`. */
  async #until(
    what: string,
    options: WaitOptions,
    attempt: (member: RaftMember | undefined) => boolean,
  ): Promise<void> {
    const { clock, timeoutMs, active, running, obstacle, schedule } = this.#context;
    const deadline = clock.now() + (options.timeoutMs ?? timeoutMs);
    for (;;) {
      if (!running()) throw new FlotillaError("not-running", `${what}: this node has stopped`);
      if (attempt(active())) return;
      schedule();
      const leftMs = deadline - clock.now();
      if (leftMs <= 0) throw new FlotillaError("timeout", `${what}: ${obstacle() ?? "not in time"}`);
      if (options.signal?.aborted === true) {
        throw new FlotillaError("aborted", `${what}: the caller's signal fired`);
      }
      await new Promise<void>((resolve) => void clock.timer(Math.min(leftMs, RETRY_MS), resolve));
    }
  }
}
